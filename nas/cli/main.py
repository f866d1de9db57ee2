"""The ``nas`` command: finds its subcommands without importing them, and turns errors into exit codes."""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple, NoReturn

import click

from nas.cli.groups import Group
from runtime.light_tvm import without_backends
from search_spaces.errors import BitnasError, InvalidInput

PLUGIN_GROUP = "bitnas.commands"
DEBUG_VARIABLE = "NAS_DEBUG"
INTERRUPTED = 130  # 128 + SIGINT, what a shell expects after Ctrl-C

COLLECTED_AFTER = (50_000, 20, 50)
"""For `gc.set_threshold`: torch and TVM make hundreds of thousands of objects that stay, and to look through
them as often as Python does takes a tenth of a command's time."""


class LazyCommand(NamedTuple):
    """Where a command is found and what ``nas --help`` says about it without importing it."""

    target: str  # "module:attribute"; "" where an entry point says it
    help: str


# In the order in which a newcomer meets them.
COMMANDS: dict[str, LazyCommand] = {
    "search": LazyCommand("nas.cli.search:search", "Search a space, or continue a search."),
    "searches": LazyCommand(
        "nas.cli.searches:searches", "List, rename, delete, copy, export or import searches."
    ),
    "worker": LazyCommand("nas.cli.worker:worker", "Work on a search, from another machine, too."),
    "workers": LazyCommand("nas.cli.workers:workers", "List who works on a search, and on what."),
    "trials": LazyCommand("nas.cli.reading:trials", "List the trials of a search."),
    "trial": LazyCommand("nas.cli.reading:trial", "Show one trial: architecture, latency, epochs."),
    "pareto": LazyCommand("nas.cli.pareto:pareto", "Show the best trials of a search, or plot them."),
    "report": LazyCommand("nas.cli.report:report", "Write a search's views into one HTML file."),
    "export-runs": LazyCommand(
        "nas.cli.export_runs:export_runs", "Write a search's trials as runs of MLflow or TensorBoard."
    ),
    "scale": LazyCommand("nas.cli.scale:scale", "Propose larger versions of a trial, and train them."),
    "compress": LazyCommand("nas.cli.compress:compress", "Write a trained network as one small file."),
    "adapt": LazyCommand("nas.cli.adapt:adapt", "Make a trained network one for your own images and budget."),
    "prune": LazyCommand("nas.cli.prune:prune", "Make a trained network faster: fewer channels and blocks."),
    "export": LazyCommand("nas.cli.export:export", "Compile and write the network of a trial or a training."),
    "verify": LazyCommand("nas.cli.export:verify", "Check an exported network against its card."),
    "predict": LazyCommand("nas.cli.exported:predict", "Classify image files with an exported network."),
    "benchmark": LazyCommand("nas.cli.exported:benchmark", "Time an exported network beside onnxruntime."),
    "space": LazyCommand("nas.cli.space:space", "Show the latency and size of a space's architectures."),
    "networks": LazyCommand("nas.cli.networks:networks", "List the published networks."),
    "size": LazyCommand("nas.cli.networks:size", "Show the size and MACs of a published network."),
    "train": LazyCommand("nas.cli.train:train", "Train a published network."),
    "device": LazyCommand("nas.cli.device:device", "Add, list, probe and serve measuring devices."),
    "latency": LazyCommand("nas.cli.latency:latency", "Measure, calibrate, evaluate and explain latency."),
    "db": LazyCommand("nas.cli.db:db", "Upgrade, check or back up the database."),
    # Nothing below the dashboards may import them: the entry point is the way from here to there.
    "dashboard": LazyCommand("", "Show the searches in your browser."),
}


class LazyGroup(Group):
    """A group whose commands are imported when they are called, not when they are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our commands in their order, then those that other distributions add."""
        plugins = _plugins()
        ours = [name for name, command in COMMANDS.items() if command.target or name in plugins]
        return ours + sorted(set(plugins) - set(COMMANDS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command called ``cmd_name``; None when there is none."""
        known = COMMANDS.get(cmd_name)
        if known and known.target:
            module, _, attribute = known.target.partition(":")
            command = getattr(import_module(module), attribute)
        elif cmd_name in _plugins():
            command = _load_plugin(_plugins()[cmd_name])
        else:
            return None
        assert isinstance(command, click.Command)  # noqa: S101 - for the type alone
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by the help strings at hand, so that ``nas --help`` stays fast."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _short_help(name)) for name in self.list_commands(ctx)])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; in standalone mode every error ends in one line and an exit code."""
        run = super().main
        if not standalone_mode:
            return run(args, prog_name, complete_var, standalone_mode=False, **extra)
        for stream in (sys.stdout, sys.stderr):
            _never_fail_to_encode(stream)
        try:
            code = run(args, prog_name, complete_var, standalone_mode=False, **extra)
            if sys.stdout is not None:
                sys.stdout.flush()  # so that a full disk or a closed pipe is found here, not at exit
        except BrokenPipeError:
            code = _leave_pipe()
        except Exception as error:
            code = _report(error)
        sys.exit(code if isinstance(code, int) else 0)


@cache
def _plugins() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=PLUGIN_GROUP)}


def _load_plugin(entry: EntryPoint) -> Any:
    """The command behind an entry point; whatever its import raises becomes one clear line."""
    origin = entry.dist.name if entry.dist else "an unknown distribution"
    try:
        command = entry.load()
    except Exception as error:
        raise BitnasError(
            f"command '{entry.name}' of {origin} does not load ({_one_line(error)}); "
            f"reinstall or remove {origin}"
        ) from error
    if not isinstance(command, click.Command):
        raise BitnasError(f"command '{entry.name}' of {origin} is not a click command; update {origin}")
    return command


def _short_help(name: str) -> str:
    if name in COMMANDS:
        return COMMANDS[name].help
    distribution = _plugins()[name].dist
    return f"(added by {distribution.name})" if distribution else "(added by a plug-in)"


def _never_fail_to_encode(stream: Any) -> None:
    """A terminal that cannot show a character gets a '?' in its place, never a crash."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")


def _leave_pipe() -> int:
    """The reader has gone (`nas trials demo | head`): stop quietly, also when Python flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _report(error: Exception) -> int:
    """Say on stderr what went wrong, in one line, and give the exit code."""
    if isinstance(error, click.exceptions.Abort):
        click.echo("Stopped.", err=True)
        return INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    if os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    message, code = _explain(error)
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    return code


def _explain(error: Exception) -> tuple[str, int]:
    if isinstance(error, BitnasError):
        return str(error), 2 if isinstance(error, InvalidInput) else 1
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "nas"
        return f"{error.format_message()} Try '{path} --help'.", error.exit_code
    if isinstance(error, click.ClickException):
        return error.format_message(), error.exit_code
    return f"{_one_line(error)}; 'nas --debug ...' shows where", 1


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _show_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        import nas

        click.echo(f"nas {nas.__version__}")
        ctx.exit()


def _set_debug(_ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        os.environ[DEBUG_VARIABLE] = "1"  # the environment, so that worker processes know as well


def _add_plugins(_ctx: click.Context, _option: click.Parameter, files: tuple[str, ...]) -> None:
    from pathlib import Path

    from search_spaces.plugins import add_plugin_file

    for file in files:
        add_plugin_file(Path(file))


@click.group("nas", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
@click.option(
    "--debug", is_flag=True, is_eager=True, expose_value=False, callback=_set_debug,
    help=f"Show where an error comes from (also {DEBUG_VARIABLE}=1).",
)  # fmt: skip
@click.option(
    "--plugin", "plugins", metavar="FILE", multiple=True, expose_value=False, callback=_add_plugins,
    help="A Python file that adds blocks, spaces, precisions and more.",
)  # fmt: skip
def cli() -> None:
    """Neural architecture search for vision models down to one bit, with latency measured on a device."""


def main() -> NoReturn:
    """The ``nas`` console script."""
    gc.set_threshold(*COLLECTED_AFTER)
    without_backends()
    # A script's shell has what it starts with `&` ignore SIGINT, and Python then does so for good.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main(prog_name="nas")
    raise AssertionError("unreachable: cli.main exits")


if __name__ == "__main__":
    main()
