"""``nas prune``: a trained network made faster: fewer channels and blocks, then trained on."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from nas.cli.options import Milliseconds, json_option, storage_option
from nas.cli.output import Column, print_json, print_table, say
from nas.formatting import counted, kilobytes, milliseconds
from nas.hints import command
from search_spaces.errors import InvalidInput

if TYPE_CHECKING:
    from latency import LatencyModel
    from nas.ledger import Ledger
    from nas.pruning.run import Pruned
    from nas.pruning.source import Source
    from nas.training.loop import Epoch

_FIELDS = (
    "by",
    "target_latency_ms",
    "target_share",
    "rounds",
    "epochs",
    "rate",
    "distillation",
    "seed",
)


@click.command()
@click.argument("run")
@click.option(
    "--trial", "number", type=click.IntRange(min=0), help="Of a search: this trial; else its most accurate."
)
@click.option(
    "--by", default="taylor", show_default=True, metavar="NAME", help="What matters: taylor, magnitude or bn."
)
@click.option("--target-latency-ms", type=Milliseconds, help="What the network may take on the device.")
@click.option("--target-share", type=float, help="The same as a share of what it takes now, such as 0.5.")
@click.option(
    "--rounds", type=int, default=1, show_default=True, help="In how many steps, with a training after each."
)
@click.option("--epochs", type=int, default=10, show_default=True, help="How many epochs each trains.")
@click.option("--rate", type=float, help="Their highest learning rate. [default: a third of the network's]")
@click.option(
    "--distillation",
    type=float,
    default=0.5,
    show_default=True,
    help="The share of the loss that the unpruned network teaches; 0: none.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the trainings repeatable.")
@click.option(
    "--name",
    metavar="NAME",
    help="Of a training: the search that is made. [default: its folder's name-pruned]",
)
@click.option("--device", metavar="NAME", help="Of a training: what it is to be fast on. [default: local]")
@storage_option
@json_option
@click.pass_context
def prune(context: click.Context, /, run: str, **options: Any) -> None:
    """Make the network of RUN faster by taking out channels and blocks, and train what is left.

    RUN is the folder of a finished training, or a search. Which channels, and how many, is chosen by the
    measured time of the kernels that are left. What comes out is a trial whose parent is what was pruned.
    """
    from nas.cli.latency_model import open_model
    from nas.export.trainings import is_training
    from nas.ledger import Ledger
    from nas.ledger.changing import check_new_name
    from nas.pruning.run import Request, prune
    from nas.pruning.source import of_trial

    request = Request(**{name: options[name] for name in _FIELDS})
    storage, is_folder = options["storage"], is_training(run)
    _refuse(context, run, is_folder)
    name = options["name"] or f"{Path(run).resolve().name}-pruned" if is_folder else run
    trained = _of_training(run, options["device"]) if is_folder else None  # before a ledger is made
    with Ledger.open(storage, create=is_folder) as ledger:
        if is_folder:
            check_new_name(ledger, name)
        source = trained or of_trial(ledger, run, options["number"])
        with open_model(storage, source.config.device, brief=True) as model:
            kept = _Kept(ledger, name, source, model)
            found = prune(source, request, model, kept.add, say, lambda epoch: _tell(epoch, request.epochs))
    if options["as_json"]:
        print_json(kept.to_dict(found))
        return
    print_table(COLUMNS, list(kept.rows(found)))
    say(f"Next: {command('export', name, '-o', 'pruned', trial=kept.numbers[-1], storage=storage)}")


def _refuse(context: click.Context, run: str, is_folder: bool) -> None:
    """Refuse options that are about the other kind of RUN."""
    of_other, told = (("number",), "a training") if is_folder else (("name", "device"), "a search")
    for name in of_other:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise InvalidInput(name, f"'{run}' is {told}, which has none to choose", "leave it out")


def _of_training(run: str, device: str | None) -> "Source":
    from nas.pruning.source import of_training

    try:
        return of_training(Path(run), device or "local")
    except InvalidInput as error:
        if error.parameter != "search":
            raise
        raise error.of("run") from error


def _tell(epoch: "Epoch", of: int) -> None:
    right = "" if epoch.accuracy is None else f"  accuracy {epoch.accuracy:.4f}"
    say(f"epoch {epoch.epoch} of {of}  loss {epoch.train_loss:.4f}{right}  {epoch.seconds:.1f} s")


class _Kept:
    """Records networks in the ledger as they are done.

    Attributes:
        numbers: of their trials.
    """

    def __init__(self, ledger: "Ledger", search: str, source: "Source", model: "LatencyModel") -> None:
        self.numbers: list[int] = []
        self._ledger, self._search, self._source, self._model = ledger, search, source, model

    def add(self, pruned: "Pruned") -> None:
        from nas.ledger.adding import add_trained
        from nas.pruning.run import trained

        trial = self._source.trial
        if not self.numbers and trial is not None:
            self.numbers.append(trial.number)  # it is there already
            return
        if not self.numbers:
            self._create()
        parents = tuple(self.numbers[-1:])
        record = trained(pruned, self._source, self._model, parents)
        self.numbers.append(add_trained(self._ledger, self._search, record))

    def _create(self) -> None:
        from nas.ledger.origin import Origin
        from nas.versions import versions

        origin = Origin(versions(), self._source.data.digest, {})
        self._ledger.create_search(self._search, self._source.config, origin=origin, queues=False)

    def rows(self, found: "list[Pruned]") -> Iterator[list[str]]:
        from search_spaces.sizing import size

        before = found[0].measured.milliseconds
        for number, each in zip(self.numbers, found, strict=True):
            taken, left = each.measured, each.before_training
            yield [
                str(number),
                milliseconds(taken.milliseconds) + (" (disturbed)" if taken.disturbed else ""),
                f"x{before / taken.milliseconds:.2f}",
                "" if left is None else f"{left:.2%}",
                f"{each.accuracy:.2%}",
                kilobytes(size(each.architecture).kilobytes),
                counted(len(each.architecture.without), "block"),
                each.architecture.digest[:12],
            ]

    def to_dict(self, found: "list[Pruned]") -> dict[str, Any]:
        return {
            "search": self._search,
            "trials": [
                {
                    "number": number,
                    "measured_latency_ms": each.measured.milliseconds,
                    "disturbed": each.measured.disturbed,
                    "accuracy": each.accuracy,
                    "accuracy_before_training": each.before_training,
                    "digest": each.architecture.digest,
                    "architecture": each.architecture.model_dump(mode="json"),
                }
                for number, each in zip(self.numbers, found, strict=True)
            ],
        }


COLUMNS = (
    Column("trial", right=True),
    Column("latency ms", right=True),
    Column("speed-up", right=True),
    Column("before training", right=True),
    Column("accuracy", right=True),
    Column("size kB", right=True),
    Column("left out", right=True),
    Column("digest"),
)
