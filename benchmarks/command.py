"""A command of a benchmark, which says in one line what it was given wrongly, as ``nas`` does."""

from typing import Any

import click

from nas.cli.naming import NamingContext
from runtime.target import missing_flags, required_flags
from search_spaces.errors import BitnasError, InvalidInput


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
