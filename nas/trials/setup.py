"""Makes what runs the trials of a search: its space, data, evaluator, algorithm and devices."""

from dataclasses import replace

from nas.algorithms.choosing import algorithm
from nas.data import DataSet, load
from nas.evaluators.base import Task, evaluators
from nas.ledger.claims import Claims
from nas.ledger.records import SearchConfig
from nas.ledger.store import Ledger
from nas.measuring.elsewhere import bench_of
from nas.measuring.machine_lock import MachineLock
from nas.trials.costing import Costing
from nas.trials.job import Job
from nas.trials.trial import TrialRunner
from search_spaces.restricted import restricted
from search_spaces.search_space import SearchSpace, space


def data_of(config: SearchConfig) -> DataSet | None:
    """The data of a search; None where its evaluator goes without."""
    if not config.data:
        return None
    return load(config.data, config.image_size, validation=config.validation)


def space_of(config: SearchConfig, data: DataSet | None) -> SearchSpace:
    """The space of a search: what it leaves of it, fitted to its data."""
    found = restricted(space(config.space), config.fix, config.only)
    return found if data is None else found.fitted(data.input_shape, data.classes)


def make_runner(job: Job, ledger: Ledger, claims: Claims, lock: MachineLock) -> TrialRunner:
    """What runs the trials of the job's search in this process."""
    config = ledger.search(job.search).config
    names = (config.device, *config.further_devices) if config.device else ()
    benches = {
        name: bench_of(job.bench, ledger, job.search, replace(config, device=name), lock) for name in names
    }
    data = data_of(config)
    fitted = space_of(config, data)
    evaluator = evaluators.get(config.evaluator)(Task(config, data))
    costing = Costing(config, evaluator, benches)
    proposing = algorithm(fitted, config)
    return TrialRunner(ledger, claims, job.search, config, fitted, proposing, evaluator, costing, lock)
