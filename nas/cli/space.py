"""``nas space``: what a space's architectures take on a device, so that you know which limit to ask for."""

from statistics import quantiles
from typing import Any

import click

from nas.bars import show_progress
from nas.cli.latency_model import device_option, open_model
from nas.cli.options import json_option, storage_option
from nas.cli.output import Column, print_json, print_table, say
from nas.formatting import kilobytes, milliseconds
from nas.hints import command
from search_spaces.errors import BitnasError, InvalidInput

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Of the architectures that take no more than is shown."""


@click.command()
@click.argument("space")
@device_option
@click.option(
    "--data", metavar="NAME_OR_PATH", help="Fit the space to these images; without it, to its own shape."
)
@click.option("--image-size", type=int, help="Cut and scale images to a square of this side.")
@storage_option
@json_option
def space(
    space: str, device: str, data: str | None, image_size: int | None, storage: str, as_json: bool
) -> None:
    """Show what the architectures of SPACE take on a device, in milliseconds and kB.

    This measures kernels of the space, unless enough are measured already, and estimates 100 architectures
    from them. A search's --max-latency 0.5x is half of the median shown here.
    """
    from latency.model.profiling import latencies, profile, sampled
    from nas.data import load
    from search_spaces.search_space import spaces
    from search_spaces.sizing import size

    if image_size is not None and data is None:
        raise InvalidInput("image_size", "it is for images, and there are none", "give --data, too")
    chosen = spaces.get(space)
    if data is not None:
        loaded = load(data, image_size)
        chosen = chosen.fitted(loaded.input_shape, loaded.classes)
    with open_model(storage, device, brief=True) as model, show_progress() as progress:
        measured = profile(model, chosen, lambda done, of: progress("kernels", done, of))
        times = latencies(model, chosen)
    if not times:
        raise BitnasError(
            f"space: no architecture of '{space}' compiles; see one's error: nas search --trials 1"
        )
    sizes = sorted(size(architecture).kilobytes for architecture in sampled(chosen))
    if as_json:
        print_json(_summary(space, device, times, sizes, measured))
        return
    columns = [Column("architectures"), Column("latency ms", right=True), Column("size kB", right=True)]
    rows = [
        (f"{share:.0%} take at most", milliseconds(ms), kilobytes(kb))
        for share, ms, kb in zip(SHARES, _at(times), _at(sizes), strict=True)
    ]
    print_table(columns, rows)
    say(f"Estimated for {len(times)} architectures on {device}; {measured} kernels were measured now.")
    images = [] if data is None else ["--data", data]
    images += [] if image_size is None else ["--image-size", str(image_size)]
    options = ("--name", "NAME", "--space", space, *images, "--device", device, "--max-latency", "0.5x")
    say(f"Next: {command('search', *options, storage=storage)}")


def _at(values: list[float]) -> list[float]:
    """The quantiles of ``SHARES``."""
    found = quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return [found[round(100 * share) - 1] for share in SHARES]


def _summary(
    space: str, device: str, times: list[float], sizes: list[float], measured: int
) -> dict[str, Any]:
    return {
        "space": space,
        "device": device,
        "architectures": len(times),
        "kernels_measured_now": measured,
        "latency_ms": dict(zip(map(str, SHARES), _at(times), strict=True)),
        "size_kb": dict(zip(map(str, SHARES), _at(sizes), strict=True)),
    }
