"""The one place where errors, which speak of parameters, get the names that a command has for these."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType

import click
from click.core import ParameterSource

from search_spaces.errors import BitnasError, Parameter

_BY_ANOTHER_OPTION = {"limit_shares": "limits"}
"""Parameters of Python that are given by an option which gives another, too."""

CONFIG_FILE = "nas.config_file"
"""Where a context keeps the path of the file that options were read from, if there is one."""


class NamingContext(click.Context):
    """Has an error that leaves a command name parameters as this command does."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        """As click does; the innermost command comes first, and keeps what it said."""
        if isinstance(exc_value, BitnasError) and exc_value.name_of is None:
            exc_value.name_of = self.name_of
        return super().__exit__(exc_type, exc_value, tb)

    def name_of(self, parameter: Parameter) -> str:
        """The option or argument of that name, here or of a command around; as Python says it, else."""
        around: click.Context | None = self
        name = _BY_ANOTHER_OPTION.get(parameter.name, parameter.name)
        while around is not None:
            for option in around.command.params:
                # ``--objective`` may be given several times, so that its value is called ``objectives``
                if name in (option.name, typed(option).lstrip("-").replace("-", "_")):
                    if around.get_parameter_source(str(option.name)) is ParameterSource.DEFAULT_MAP:
                        return f"'{typed(option).lstrip('-')}' in '{around.meta[CONFIG_FILE]}'"
                    path = "" if around is self else f"{around.command_path} "
                    return f"{path}{typed(option)} {parameter.value}".rstrip()
            around = around.parent
        return str(parameter)


def typed(option: click.Parameter) -> str:
    """How a parameter of a command is typed: the longest form of an option, the name of an argument."""
    if isinstance(option, click.Argument):
        return option.human_readable_name.upper()
    return max(option.opts, key=len)


@contextmanager
def called(**names: str) -> Iterator[None]:
    """Have errors name parameters by others of this command: ``called(storage="to")``, which has ``--to``."""
    context = click.get_current_context()

    def name_of(parameter: Parameter) -> str:
        other = replace(parameter, name=names.get(parameter.name, parameter.name))
        return context.name_of(other) if isinstance(context, NamingContext) else str(other)

    try:
        yield
    except BitnasError as error:
        if error.name_of is None:
            error.name_of = name_of
        raise
