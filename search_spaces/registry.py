"""The one way in which blocks, precisions, spaces, kernels, devices and their kin are found by name."""

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from search_spaces.errors import PLUGINS, InvalidInput, Parameter, nearest
from search_spaces.plugins import READING, load_plugin_files

T = TypeVar("T")


class Registry(Generic[T]):
    """Named things of one kind, open to other distributions.

    A distribution adds to a registry by an entry point in the group ``bitnas.<plural>`` whose value is
    the thing itself; a file of the user's by calling ``add`` or ``register``. Both are read once, the first
    time the registry is asked for anything, after ``homes``, the modules that add what is built in.
    Threads may ask at once: all get what there is when everything has been read.
    """

    def __init__(self, kind: str, plural: str, homes: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self._homes = homes
        self._group = f"bitnas.{plural}"
        self._things: dict[str, T] = {}
        self._begun = self._is_read = False

    def add(self, name: str, thing: T) -> T:
        """Register ``thing`` under ``name``; a name is taken once."""
        if name in self._things:
            raise InvalidInput(self.kind, f"'{name}' is already registered", "choose another name")
        self._things[name] = thing
        return thing

    def register(self, name: str) -> Callable[[T], T]:
        """Register the decorated class or function under ``name``."""
        return lambda thing: self.add(name, thing)

    def get(self, name: str) -> T:
        """The thing called ``name``.

        Raises:
            InvalidInput: nothing has that name; the message tells the nearest, and lists those there are.
        """
        self._read_plugins()
        if name not in self._things:
            raise InvalidInput(self.kind, f"unknown name '{name}'", self.instead_of(name))
        return self._things[name]

    def get_early(self, name: str) -> T:
        """As ``get``, but what was added already is found without reading plug-ins.

        So a module may ask as it is imported, where a plug-in would import it half made.

        Raises:
            InvalidInput: nothing has that name.
        """
        return self._things[name] if name in self._things else self.get(name)

    def instead_of(self, name: str, also: str = "") -> tuple[str | Parameter, ...]:
        """What to do about a name that nothing has; ``also`` follows the names there are."""
        return f"{nearest(name, self)}choose one of {', '.join(self)}{also}, or add it by ", PLUGINS

    def __contains__(self, name: object) -> bool:
        self._read_plugins()
        return name in self._things

    def __iter__(self) -> Iterator[str]:
        self._read_plugins()
        return iter(sorted(self._things))

    def _read_plugins(self) -> None:
        if self._is_read:
            return
        with READING:
            if self._begun:  # by a plug-in that asks, or by another thread, which is done
                return
            self._begun = True
            try:
                self._read()
            finally:
                self._is_read = True

    def _read(self) -> None:
        for home in self._homes:
            import_module(home)
        for entry in entry_points(group=self._group):
            self.add(entry.name, entry.load())
        load_plugin_files()
