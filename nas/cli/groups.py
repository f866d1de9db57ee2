"""A group of commands that tells where an option belongs that was given too early."""

import click


class Group(click.Group):
    """As click's, but ``nas --json searches`` is answered with ``nas searches --json``."""

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
