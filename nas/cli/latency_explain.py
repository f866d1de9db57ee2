"""``nas latency explain``: where a network spends its time, kernel by kernel."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli.latency_model import device_option, open_model
from nas.cli.options import json_option, storage_option
from nas.cli.output import Column, print_json, print_pairs, print_table, say
from nas.cli.writing import check_target, write_figure
from nas.formatting import milliseconds, percent
from search_spaces.errors import BitnasError, InvalidInput

if TYPE_CHECKING:
    from latency import Measurement
    from search_spaces import Buildable

    Recorded = dict[str, float | None]


@click.command()
@click.argument("arch")
@device_option
@click.option("--whole", is_flag=True, help="Also compile the whole network and measure it.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw the time by layer.")
@storage_option
@json_option
def explain(arch: str, device: str, whole: bool, plot: Path | None, storage: str, as_json: bool) -> None:
    """Show where the network of ARCH spends its time, layer by layer.

    ARCH is a trial, such as demo:19, or a file, such as winner/architecture.json. The prediction is made
    now, of the newest time of each kernel: what a trial has recorded may differ, and is shown beside it.
    """
    found, recorded = _architecture(arch, storage, device)
    if plot is not None:
        check_target("plot", plot)
    with open_model(storage, device, is_needed=whole, brief=True) as model:
        prediction = model.predict(found)
        layers = _layers(found)
        whole_network = model.measure_network(found) if whole else None
    rows: list[dict[str, Any]] = [
        {
            "layer": layer,
            "workload": workload.key,
            "milliseconds": ms,
            "share": ms / sum(t for _, t in prediction.by_workload),
            "how": "estimated" if workload in prediction.estimated else "measured",
        }
        for layer, (workload, ms) in zip(layers, prediction.by_workload, strict=True)
    ]
    total = {
        "predicted_ms": prediction.milliseconds,
        "low_ms": prediction.low,
        "high_ms": prediction.high,
        **_measured(whole_network),
    }
    disturbed = whole_network and whole_network.disturbed
    if as_json:
        print_json({"layers": rows, **total, "measured_disturbed": disturbed, "recorded": recorded})
    else:
        columns = [
            Column("layer"),
            Column("kernel"),
            Column("ms", right=True),
            Column("share", right=True),
            Column("how"),
        ]
        print_table(columns, [_layer_row(row) for row in rows])
        shown = {name: value for name, value in total.items() if whole or not name.startswith("measured")}
        shown |= {f"recorded {name}": value for name, value in (recorded or {}).items()}
        print_pairs([(name.replace("_", " "), milliseconds(value)) for name, value in shown.items()])
        if recorded:
            say("Predicted now, of the newest time of each kernel; recorded is what the trial was judged by.")
        if disturbed:
            say(f"Do not rely on what is measured: the machine was disturbed ({disturbed})")
    if plot is not None:
        from nas.figures.latency import bars

        title = f"{arch} on {device}: {_whole(total)}"
        write_figure("plot", plot, bars(rows, title), title)
        say(f"Wrote {plot}")


def _architecture(text: str, storage: str, device: str) -> "tuple[Buildable, Recorded | None]":
    """An architecture by SEARCH:NUMBER or from a file, and what its trial has recorded of the device."""
    from search_spaces import read_architecture

    search, colon, number = text.rpartition(":")
    if colon and number.isascii() and number.isdigit():
        from nas.ledger import Ledger

        with Ledger.open(storage) as ledger:
            trial = ledger.trial(search, int(number))
            is_of_device = ledger.search(search).config.device == device
        if trial.architecture is None:
            raise BitnasError(f"trial {number}: it has no architecture yet; choose another")
        recorded = {"predicted_ms": trial.latency_ms, "measured_ms": trial.measured_latency_ms}
        return read_architecture(trial.architecture), recorded if is_of_device else None
    try:
        return read_architecture(Path(text).read_text(encoding="utf-8")), None
    except (OSError, UnicodeDecodeError) as error:
        fix = "give a trial, as demo:19, or a file, as winner/architecture.json"
        raise InvalidInput("arch", f"{text!r} cannot be read ({error})", fix) from error


def _layers(architecture: "Buildable") -> list[str]:
    """The layer that each kernel came from."""
    import search_spaces
    from runtime.lowering import lower

    module = search_spaces.build(architecture).eval()
    return [node.name for node in lower(module, (1, *architecture.input_shape)).nodes]


def _layer_row(row: dict[str, Any]) -> list[str]:
    family = str(row["workload"]).partition("(")[0]
    return [row["layer"], family, milliseconds(row["milliseconds"]), percent(row["share"]), row["how"]]


def _whole(total: dict[str, float | None]) -> str:
    """The figures of a whole network that there are."""
    named = [("predicted", total["predicted_ms"]), ("measured", total["measured_ms"])]
    return ", ".join(f"{milliseconds(ms)} ms {name}" for name, ms in named if ms is not None)


def _measured(found: "Measurement | None") -> dict[str, float | None]:
    """What a whole network was measured to take, and the ends of its interval, in milliseconds."""
    low, high = found.interval if found else (None, None)
    measured = found.milliseconds if found else None
    return {"measured_ms": measured, "measured_low_ms": low, "measured_high_ms": high}
