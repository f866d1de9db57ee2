"""What PostgreSQL's own library, libpq, reads of the environment: read once, then hidden from others."""

import os

from sqlalchemy import URL

FILES = "PGSERVICEFILE", "PGSYSCONFDIR"
"""Name files, which each new connection reads; no connection can be given them in another way."""
WITH_SERVICE = {"password", "passfile"}
"""Where the URL names a service, this is what its file had better not hold; all else is the file's."""


def settings_of_environment(url: URL) -> dict[str, str]:
    """What the environment says of connections to ``url`` that the URL does not say, as libpq's keywords.

    An engine that has been made with them needs the environment no more.
    """
    from psycopg.pq import Conninfo

    said = url.get_dialect()().create_connect_args(url)[1]
    found = {
        option.keyword.decode(): option.val.decode()
        for option in Conninfo.get_defaults()
        if option.envvar and option.envvar.decode() in os.environ and option.val is not None
    }
    is_in_file = "service" in said
    return {
        name: value
        for name, value in found.items()
        if name not in said and (not is_in_file or name in WITH_SERVICE)
    }


def hide() -> None:
    """Take all that libpq reads out of the environment, so that processes started from now on get none."""
    for name in [name for name in os.environ if name.startswith("PG") and name not in FILES]:
        del os.environ[name]
