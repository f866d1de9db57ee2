"""A command of a benchmark, which says in one line what it was given wrongly, as ``nas`` does."""

from pathlib import Path
from typing import Any

import click

from nas.cli.naming import NamingContext
from runtime.target import missing_flags, required_flags
from search_spaces.errors import BitnasError, InvalidInput


class NewFile(click.Path):
    """A file to be written; its folder must be there before anything is measured."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does."""
        path = Path(value)
        if not path.absolute().parent.is_dir():
            self.fail(f"There is no folder '{path.parent}'; make it, or name another file.", param, ctx)
        return super().convert(value, param, ctx)


def require_runs(target: str) -> None:
    """Refuse a target whose code this CPU does not run.

    Raises:
        InvalidInput: it lacks instructions.
    """
    if lacking := missing_flags(required_flags(target)):
        raise InvalidInput("target", f"this CPU lacks {', '.join(lacking)}", "choose one that runs here")


class Command(click.Command):
    """As click's, but bitnas's errors are a line that names its options: exit code 2 for usage, 1 else."""

    context_class = NamingContext

    def invoke(self, ctx: click.Context) -> Any:
        """As click does."""
        try:
            return super().invoke(ctx)
        except BitnasError as error:
            if isinstance(ctx, NamingContext):
                error.name_of = ctx.name_of
            told = click.ClickException(" ".join(str(error).split()))
            told.exit_code = 2 if isinstance(error, InvalidInput) else 1
            raise told from error
