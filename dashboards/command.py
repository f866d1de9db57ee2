"""The ``nas dashboard`` command; Dash is imported when it runs."""

import click

from nas.hints import DEFAULT_STORAGE, STORAGE_VARIABLE


@click.command()
@click.option(
    "--storage",
    default=DEFAULT_STORAGE,
    envvar=STORAGE_VARIABLE,
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="The database that holds the searches.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8050,
    show_default=True,
    help="The port; 0: any that is free.",
)
@click.option(
    "--token",
    envvar="NAS_DASHBOARD_TOKEN",
    show_envvar=True,
    help="Ask every request for this token; needed to listen on addresses beyond this machine. "
    "The variable is safer: options are visible in the list of processes.",
)
def dashboard(storage: str, host: str, port: int, token: str | None) -> None:
    """Show the searches of a ledger in your browser, until Ctrl-C."""
    from dashboards.app import create_app
    from dashboards.guard import guard
    from dashboards.server import address, bind, check_access, make
    from nas.ledger import Ledger

    check_access(host, token)
    Ledger.open(storage, read_only=True).close()  # a wrong --storage is told here, not on a page
    listener = bind(host, port)
    app = create_app(storage)
    guard(app.server, token, app.csp_hashes())
    server = make(app.server, listener)
    click.echo(f"Dashboard on {address(server)} (Ctrl-C stops it)", err=True)
    server.serve_forever()  # comes back at Ctrl-C, its socket closed
    raise click.Abort
