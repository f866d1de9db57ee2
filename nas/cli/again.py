"""The command that was typed, to be typed again: what goes on after Ctrl-C is told so."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from click.core import ParameterSource

from nas.cli.naming import typed
from nas.hints import command


def same_command(context: click.Context) -> str:
    """The running command as a shell takes it, with what was typed and no more."""
    words = [word for option in context.command.params for word in _words(context, option)]
    return command(*context.command_path.split()[1:], *words)


def _words(context: click.Context, option: click.Parameter) -> Iterator[str]:
    """How one parameter was given; nothing where it was not."""
    value = context.params.get(str(option.name))
    if context.get_parameter_source(str(option.name)) is not ParameterSource.COMMANDLINE:
        return
    if isinstance(option, click.Argument):
        yield str(value)
    elif isinstance(option, click.Option) and option.is_flag:
        yield typed(option) if value else option.secondary_opts[0]
    else:
        for each in value if option.multiple and value else (value,):
            names = ",".join(each) if isinstance(each, tuple) else each  # which options take with commas
            yield from (typed(option), str(names))


@contextmanager
def goes_on(context: click.Context) -> Iterator[None]:
    """Tell how to go on with what Ctrl-C has interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\nGo on with: {same_command(context)}", err=True)
        raise click.Abort from None
