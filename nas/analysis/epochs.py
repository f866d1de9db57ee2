"""How many epochs the trials of a search have been through, and how many are left at most."""

from nas.ledger.records import SearchConfig, SearchRecord, TrialRecord


class Epochs:
    """Counts what has changed: for searches that pause trials, where one that ends says little of the rest.

    Attributes:
        done: epochs that the trials have been through.
    """

    def __init__(self, config: SearchConfig) -> None:
        self._each = config.epochs
        self._known: dict[int, tuple[int, int]] = {}
        self.done = self._left = 0

    def take(self, trial: TrialRecord) -> None:
        """Take in a trial that has changed."""
        before_done, before_left = self._known.get(trial.number, (0, 0))
        done = trial.epochs_done or 0
        left = 0 if trial.state.finished else max((trial.budget or self._each) - done, 0)
        self._known[trial.number] = done, left
        self.done += done - before_done
        self._left += left - before_left

    def left(self, record: SearchRecord) -> int:
        """As many as there are if every trial is trained to its end."""
        return self._left + (record.trials - len(self._known)) * self._each
