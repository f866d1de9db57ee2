"""A group of commands that knows what was meant by a misspelt command, or by an option given too early."""

import click
from click.core import ParameterSource

from nas.cli.naming import NamingContext, typed


def refuse_before(context: click.Context) -> None:
    """Refuse options of a group, which does something by itself, before one of its commands."""
    for option in context.command.params:
        if context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE:
            told = f"Option '{typed(option)}' stands before '{context.invoked_subcommand}'"
            raise click.UsageError(f"{told}; give it after, if it is one there.", context)


class Group(click.Group):
    """As click's, but answers ``nas --json searches`` by ``searches --json``, ``tril`` by ``trial``."""

    context_class = NamingContext

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            at = next((i for i, word in enumerate(given) if word in self.list_commands(ctx)), None)
            if at is None:
                raise
            moved = " ".join([ctx.command_path, *given[at:], *given[:at]])
            told = f"No such option '{error.option_name}' before the command; did you mean '{moved}'?"
            raise click.UsageError(told, ctx) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; the command, a plug-in's too, then names parameters by its options."""
        name, command, rest = self._resolve(ctx, args)
        if command is not None:
            command.context_class = NamingContext
        return name, command, rest

    def _resolve(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but a misspelt name is compared with names alone (click wants the commands)."""
        from difflib import get_close_matches

        names = self.list_commands(ctx)
        if args[0] in names or args[0].startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        close = get_close_matches(args[0], names)
        hint = f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(names)}."
        raise click.UsageError(f"No such command '{args[0]}'; {hint}", ctx)
