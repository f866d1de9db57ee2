"""Options that several commands share, so that they are called the same and mean the same."""

from collections.abc import Callable
from typing import Any

import click

from nas.hints import DEFAULT_STORAGE, STORAGE_VARIABLE

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

storage_option: Decorator = click.option(
    "--storage",
    default=DEFAULT_STORAGE,
    envvar=STORAGE_VARIABLE,
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="The database that holds the searches.",
)

json_option: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON instead of a table."
)
