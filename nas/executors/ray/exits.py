"""An evaluator that ends its process by ``os._exit`` is caught, as Ray would not tell that from a kill."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


class ExitedError(BaseException):
    """The process was to end with ``code``; as no ``Exception``, so that no evaluator handles it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")


@contextmanager
def caught_exits() -> Iterator[None]:
    """Have ``os._exit`` raise ExitedError in this thread; forks of the process and other threads may exit."""
    leave, here = os._exit, (os.getpid(), threading.get_ident())

    def exit_or_raise(status: int) -> NoReturn:
        if (os.getpid(), threading.get_ident()) == here:
            raise ExitedError(status)
        leave(status)

    os._exit = exit_or_raise
    try:
        yield
    finally:
        os._exit = leave
