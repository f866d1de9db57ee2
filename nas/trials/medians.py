"""What relative limits are shares of: the medians of costs over a fixed sample of a space's architectures."""

from statistics import median

from nas.ledger.records import LATENCY, SearchConfig
from nas.objectives import LATENCY_AT, objective
from search_spaces.architecture import Architecture
from search_spaces.errors import BitnasError, InvalidInput
from search_spaces.search_space import SearchSpace


def awaited_costs(config: SearchConfig) -> tuple[str, ...]:
    """The objectives whose medians are awaited and are known without a device."""
    return tuple(name for name in config.awaited if name != LATENCY and not name.startswith(LATENCY_AT))


def median_cost(name: str, space: SearchSpace) -> float:
    """The median of an objective over the sample by which devices are profiled; nothing is measured.

    Raises:
        InvalidInput: the objective has no value that the architecture alone tells.
    """
    from latency.model.profiling import sampled

    costs = [cost for a in sampled(space) if (cost := _cost(name, a)) is not None]
    if not costs:
        problem = f"{name} has no median, as no architecture alone tells it"
        raise InvalidInput("limit_shares", problem, "give a limit in its unit")
    return median(costs)


def _cost(name: str, architecture: Architecture) -> float | None:
    """The value of one architecture; None where it has none."""
    from search_spaces.sizing import size

    try:
        return size(architecture).kilobytes if name == "size" else objective(name).cost(architecture)
    except BitnasError:  # such an architecture fails as a trial, too
        return None
