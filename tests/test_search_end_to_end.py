"""One real search: proposed, lowered, compiled with TVM, timed on this machine, trained, and timed whole."""

import threading
from pathlib import Path

import pytest

from nas.ledger import Ledger, SearchConfig, TrialState
from nas.ledger.latencies import SqlLatencyTable
from nas.trials.job import Job
from nas.trials.worker import work


def test_a_trial_is_timed_and_trained_for_real(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/nas.db"
    with Ledger.open(storage, create=True) as ledger:
        config = SearchConfig(space="tiny", data="digits", device="local", trials=1, epochs=1)
        ledger.create_search("demo", config)
        work(Job(storage, "demo"), threading.Event())

        trial = ledger.trial("demo", 0)
        assert trial.error is None
        assert trial.state is TrialState.COMPLETE
        assert trial.accuracy is not None
        assert trial.accuracy > 0.2  # Twice chance, after one epoch.
        assert trial.measured_latency_ms is not None
        assert trial.latency_ms is not None
        assert 0.2 < trial.measured_latency_ms / trial.latency_ms < 5
        assert trial.latency_by_workload is not None
        assert trial.latency_ms == pytest.approx(sum(ms for _, ms in trial.latency_by_workload))

        table = SqlLatencyTable(ledger)
        ((device, description),) = table.devices().items()
        assert device.startswith("local")
        assert description is not None
        for key, milliseconds in trial.latency_by_workload:
            measured = table.get(device, key)
            assert measured is not None
            assert measured.milliseconds == milliseconds
