"""What relative limits are shares of: the medians of costs over a fixed sample of a space's architectures."""

from statistics import median

from nas.evaluators.base import Evaluator
from nas.ledger.records import SearchConfig
from nas.ledger.relative_limits import LATENCY
from nas.objectives import LATENCY_AT, objective
from nas.trials.costing import told_by
from search_spaces.architecture import Buildable
from search_spaces.errors import BitnasError, InvalidInput
from search_spaces.search_space import Candidate, SearchSpace


def awaited_costs(config: SearchConfig) -> tuple[str, ...]:
    """The objectives whose medians are awaited and take no device."""
    return tuple(name for name in config.awaited if name != LATENCY and not name.startswith(LATENCY_AT))


def median_cost(name: str, space: SearchSpace, evaluator: Evaluator) -> float:
    """The median of an objective over the sample by which devices are profiled; nothing is measured.

    Raises:
        BitnasError: the evaluator's ``costs`` failed.
        InvalidInput: neither an architecture alone nor the evaluator tells it.
    """
    from latency.model.profiling import drawn

    costs = [cost for found in drawn(space) if (cost := _cost(name, found, evaluator)) is not None]
    if not costs:
        problem = f"{name} has no median, as it is not known of an architecture beforehand"
        raise InvalidInput("limit_shares", problem, "give a limit in its unit")
    return median(costs)


def _cost(name: str, candidate: Candidate, evaluator: Evaluator) -> float | None:
    """The value of one candidate; None where it has none."""
    from search_spaces.sizing import size

    if (told := told_by(evaluator, candidate).get(name)) is not None:
        return told
    if not isinstance(candidate, Buildable):
        return None
    try:
        return size(candidate).kilobytes if name == "size" else objective(name).cost(candidate)
    except BitnasError:  # such an architecture fails as a trial, too
        return None
