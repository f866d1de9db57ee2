"""``python -m benchmarks.predictions``: what a prediction takes once its kernels are in the table."""

import gc
import time
from itertools import islice

import click

import search_spaces
from benchmarks.command import Command
from latency import LatencyModel, device
from latency.model.calibration import architectures
from latency.model.workloads import forget_networks, workloads_of
from nas.ledger import Ledger
from nas.ledger.latencies import SqlLatencyTable
from search_spaces.errors import BitnasError, Parameter


@click.command(cls=Command)
@click.option("--storage", default="sqlite:///nas.db", show_default=True, help="Whose table.")
@click.option("--space", default="tiny", show_default=True, help="The space of the networks.")
@click.option("--seed", default=2_000_000, show_default=True, help="Which networks.")
@click.option("--networks", default=200, show_default=True, help="How many are looked at.")
def main(storage: str, space: str, seed: int, networks: int) -> None:
    """Time predictions of networks whose kernels a table holds, by what else of them was met before."""
    with Ledger.open(storage) as ledger:
        model = LatencyModel(device("local"), SqlLatencyTable(ledger), measure=False)
        drawn = islice(architectures(search_spaces.space(space), seed), networks)
        known = [a for a in drawn if not model.kernels.lacking(workloads_of(a))]
        if not known:
            problem = ": its table lacks kernels of each of these networks; nas latency measure fills it"
            raise BitnasError(Parameter("storage"), problem)
        model.predict(known[0])  # fits the correction
        forget_networks(blocks=True, traces=True)
        gc.freeze()  # as workers do
        for what in ("nothing known", "new blocks", "known blocks", "repeated"):
            started = time.perf_counter()
            for architecture in known:
                model.predict(architecture)
            each = (time.perf_counter() - started) / len(known)
            print(f"{what}: {each * 1e3:.2f} ms each, {1 / each:.0f} a second, {len(known)} networks")
            if what != "known blocks":
                forget_networks(blocks=what == "nothing known")


if __name__ == "__main__":
    main()
