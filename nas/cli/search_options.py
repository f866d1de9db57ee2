"""The options of ``nas search``: which search, what it tries, its goals, how it runs."""

import click

from nas.cli.config_file import config_option
from nas.cli.options import (
    ChoicesType,
    ChoiceType,
    CountLimit,
    Decorator,
    KilobyteLimit,
    LatencyLimit,
    Milliseconds,
    NamedLimitType,
    all_of,
    json_option,
    storage_option,
)
from nas.objectives import DEFAULT
from nas.objectives.reward import REWARDS, SOFT_EXPONENT

which_search: Decorator = all_of(
    config_option,
    click.option("--name", metavar="NAME", help="The name of the search."),
    click.option("--resume", metavar="NAME", help="Continue a search with its own settings."),
    click.option("--more", type=int, metavar="N", help="With --resume: add so many trials."),
)
"""A new search, or one that is there."""

what_to_try: Decorator = all_of(
    click.option("--space", default="tiny", show_default=True, help="The search space."),
    click.option(
        "--data",
        default="",
        metavar="NAME_OR_PATH",
        help="The data set: digits, a folder, OWNER/NAME on the hub.  [default: digits]",
    ),
    click.option(
        "--evaluator",
        default="training",
        show_default=True,
        metavar="NAME",
        help="What a trial runs: training, or one of a plug-in.",
    ),
    click.option(
        "--fix",
        type=ChoiceType(),
        multiple=True,
        help="Leave one option of a choice, such as stage1.block=separable.",
    ),
    click.option(
        "--only",
        type=ChoicesType(),
        multiple=True,
        help="Leave some options of a choice, such as precision=int8,binary.",
    ),
    click.option("--image-size", type=int, help="Crop and scale images to a square of this side."),
    click.option("--device", default="local", show_default=True, help="The device whose latency counts."),
    click.option("--trials", type=int, default=24, show_default=True, help="How many architectures to try."),
    click.option("--epochs", type=int, default=3, show_default=True, help="How many epochs to train each."),
    click.option(
        "--first",
        multiple=True,
        metavar="NETWORK",
        help="Begin with this: a published network, a JSON file of an architecture, SEARCH/NUMBER.",
    ),
    click.option(
        "--warm-start",
        multiple=True,
        metavar="SEARCH",
        help="Take over the trials of another search of the database; once for each.",
    ),
    click.option(
        "--audit",
        type=int,
        default=0,
        show_default=True,
        help="Train the first so many to the end twice, and tell how well short trainings rank them.",
    ),
    click.option(
        "--repeats", type=int, default=1, show_default=True, help="How often to train each, with other seeds."
    ),
    click.option(
        "--batch-size", type=int, help="Images per step; chosen by the number of images if not given."
    ),
    click.option("--learning-rate", type=float, help="The highest rate of a training."),
    click.option(
        "--pretrained",
        default="",
        metavar="FILE",
        help="Start trainings from these weights, wherever names and shapes agree.",
    ),
    click.option(
        "--sampler",
        default="auto",
        show_default=True,
        help="What proposes trials: auto, tpe, nsga2, nsga3, gp, qmc, random, grid, local, evolution.",
    ),
    click.option(
        "--seed",
        type=int,
        default=0,
        show_default=True,
        help="The random seed; the same seed repeats a search.",
    ),
    click.option(
        "--pruner",
        default="none",
        show_default=True,
        help="What stops unpromising trials early: none, halving, hyperband or median.",
    ),
    click.option(
        "--when-away",
        type=click.Choice(["wait", "predict"]),
        default="wait",
        show_default=True,
        help="While the device does not answer: wait for it, or predict from what was measured.",
    ),
    click.option(
        "--measure",
        type=click.Choice(["front", "all"]),
        default="front",
        show_default=True,
        help="Measure the kernels of what may be on the front, or of every trial.",
    ),
)
"""What is searched, and how a trial is chosen and trained."""

goals: Decorator = all_of(
    click.option(
        "--max-latency",
        type=LatencyLimit,
        help="Do not train networks predicted to be slower: 0.4ms, 400us, or 0.5x of the space's median.",
    ),
    click.option("--max-latency-ms", type=Milliseconds, help="The same limit in milliseconds."),
    click.option(
        "--max-size-kb",
        type=KilobyteLimit,
        help="Do not train networks that are larger: 32 (kB of 1000 bytes), 0.5MB, or 0.5x of the median.",
    ),
    click.option(
        "--max-memory-kb",
        type=KilobyteLimit,
        help="Do not train networks whose activations need more memory; likewise.",
    ),
    click.option(
        "--max-macs",
        type=CountLimit,
        help="Do not train networks of more multiply-accumulates: 1e6, or 0.5x of the median.",
    ),
    click.option(
        "--limit",
        "limits",
        type=NamedLimitType(),
        multiple=True,
        help="The same for any objective, such as latency@pi=3, accuracy=0.9 or macs=0.5x.",
    ),
    click.option(
        "--objective",
        "objectives",
        multiple=True,
        metavar="NAME",
        default=DEFAULT,
        show_default=True,
        help="What to trade off, once for each: accuracy, latency, size, memory, macs, latency@DEVICE.",
    ),
    click.option(
        "--reward",
        type=click.Choice(REWARDS),
        help="Instead, maximise accuracy times (latency / target)^w; mnasnet-hard: w = 0 within, -1 beyond.",
    ),
    click.option("--target-latency-ms", type=Milliseconds, help="The target of --reward."),
    click.option("--w", type=float, help=f"The exponent of --reward mnasnet.  [default: {SOFT_EXPONENT}]"),
)
"""What is traded off, and what is not trained."""

how_to_run: Decorator = all_of(
    click.option(
        "--workers",
        type=int,
        default=1,
        show_default=True,
        help="How many trials run at once; 0 creates the search for 'nas worker'.",
    ),
    click.option(
        "--executor",
        default="local",
        show_default=True,
        metavar="NAME",
        help="Where they run: local, in processes of this machine, or ray, on a cluster.",
    ),
    click.option(
        "--ray-address",
        metavar="HOST:PORT",
        help="With --executor ray: a cluster that runs; auto is this machine's.  [default: start one here]",
    ),
    click.option(
        "--cpus-per-trial",
        type=float,
        metavar="X",
        help="With --executor ray: how many CPUs a trial takes.  [default: 1]",
    ),
    click.option(
        "--gpus-per-trial",
        type=float,
        metavar="X",
        help="With --executor ray: how many GPUs; less than 1 to share one.  [default: 0]",
    ),
    click.option("--minutes", type=float, metavar="X", help="Begin no trial after so many minutes."),
    click.option("--dry-run", is_flag=True, help="Tell what would be searched, and how long it takes."),
    click.option("--verbose", is_flag=True, help="Say when the device was disturbed."),
    storage_option,
    json_option,
)
"""What may be said again each time."""
