"""What ``nas search`` says when a search has ended: its trials, its front, and what to type next."""

import json

import click

from nas.formatting import counted, numbered
from nas.hints import command
from nas.ledger.records import SearchRecord, TrialRecord, TrialState
from nas.objectives import objective
from search_spaces.errors import BitnasError


def report(storage: str, name: str, as_json: bool) -> None:
    from nas.ledger import Ledger, Worker
    from nas.ledger.claims import Claims
    from nas.result import Result

    with Ledger.open(storage) as ledger:
        record, front = ledger.search(name), ledger.front(name)
        others = Claims(ledger, name, Worker.this_process()).at_work()
    if as_json:
        click.echo(json.dumps(Result(storage, name).to_dict()))
    else:
        counts = ", ".join(f"{count} {state}" for state, count in record.counts.items() if count)
        click.echo(f"{name}: {counted(record.trials, 'trial')} ({counts}), {len(front)} on the front")
        if record.ended:
            click.echo(f"The search ended early: {record.ended}", err=True)
        _tell_limits(record)
        _tell_audit(storage, record)
    if record.counts[TrialState.FAILED] == record.trials > 0:
        raise BitnasError(
            f"search: every trial failed; see why with: {command('trial', name, 0, storage=storage)}"
        )
    if as_json:
        return
    if over := [t.number for t in front if record.config.is_over(t.measured_latency_ms)]:
        click.echo(f"Over the limit when measured, so never exported: {numbered('trial', over)}", err=True)
    _verdict(record, front[0].accuracy if front else None)
    click.echo(next_step(record, front, others, storage), err=True)


def _tell_audit(storage: str, record: SearchRecord) -> None:
    """What the trials that were trained twice say of shorter trainings."""
    from nas.ledger import Ledger
    from nas.searching.audit import LEAST, audit_of

    if not record.config.audit:
        return
    with Ledger.open(storage) as ledger:
        found = audit_of(ledger, record.name)
    none = f"The audit says nothing: fewer than {LEAST} of its networks were trained to the end."
    for sentence in [none] if found is None else found.sentences():
        click.echo(sentence, err=True)


def _tell_limits(record: SearchRecord) -> None:
    """What the limits were, where they were relative."""
    config = record.config
    for name, middle in config.known_medians.items():
        of = objective(name)
        limit, share = config.limited[name], config.shares[name]
        told = f"{of.told(limit)}: {share:g}x the median, {of.told(middle)}"
        click.echo(f"The limit of {of.title} was {told}", err=True)


def _verdict(record: SearchRecord, best: float | None) -> None:
    """Say so where the best network is no better than chance or than a linear classifier."""
    from nas.data import load
    from nas.training.baseline import Baselines

    if best is None or not record.config.data:
        return
    verdict = Baselines.of(load(record.config.data, record.config.image_size)).verdict(best)
    if verdict is not None:
        click.echo(verdict, err=True)


def next_step(record: SearchRecord, front: list[TrialRecord], others: list[str], storage: str) -> str:
    def next_command(*words: str) -> str:
        return command(*words, record.name, storage=storage)

    if (queued := record.counts[TrialState.QUEUED]) and not others:
        left, resume = counted(queued, "trial"), command("search", resume=record.name, storage=storage)
        return f"Not begun: {left}; go on with: {resume}" + (
            f"\nNext: {next_command('pareto')}" if front else ""
        )
    if not front and record.counts[TrialState.INFEASIBLE]:
        return f"Nothing was within the limits; see by how much: {next_command('trials')}"
    if not record.counts[TrialState.COMPLETE]:
        return f"No trial is complete; see why: {next_command('trials')}"
    if not record.config.device:
        return f"Next: {next_command('pareto')}"
    if any(trial.measured_latency_ms is None and trial.error is None for trial in front):
        if others:
            return f"The front is being timed by {', '.join(others)}; once it is: {next_command('pareto')}"
        return f"The front is not measured; when the device answers: {next_command('latency', 'verify')}"
    if any(trial.measured_disturbed for trial in front):
        noisy = numbered("trial", (trial.number for trial in front if trial.measured_disturbed))
        again, pareto = next_command("latency", "verify"), next_command("pareto")
        return f"Timed on a disturbed machine: {noisy}; when it is quiet: {again}\nNext: {pareto}"
    return f"Next: {next_command('pareto')}"
