"""The card ``Where it comes from`` of a trial: its ancestors, what was changed each time, its children."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc

from dashboards.routes import trial_path
from dashboards.views import View
from nas.analysis.lineage import Lineage, Step, lineage_of
from nas.figures.data import shown_objectives
from nas.formatting import counted
from nas.ledger import Ledger, SearchConfig, TrialRecord
from nas.objectives import is_known, objective
from search_spaces.architecture import read_architecture

TITLE = "Where it comes from"
MOST_CHILDREN = 30
GIVEN = "It was given, not drawn: named in the search's settings, or by the command that made it."
_ARROW = "\N{RIGHTWARDS ARROW}"


def lineage_view(ledger: Ledger, trial: TrialRecord) -> View[Lineage]:
    """The card."""
    config = ledger.search(trial.search).config
    return View(
        TITLE,
        lambda: lineage_of(ledger, trial.search, trial.number),
        lambda found: None if len(found.steps) > 1 or found.children else _why_not(config, trial),
        lambda found: _drawn(config, found),
        note="The trials that it was bred from, back to the first, and what was changed each time.",
    )


def _why_not(config: SearchConfig, trial: TrialRecord) -> str:
    if trial.same_as:
        return f"It was taken over from trial {trial.same_as}: its parents are trials of that search."
    if trial.digest is None:
        return "It has no architecture yet."
    if trial.choices is None:
        return GIVEN
    return (
        f"It has no parents: it was drawn at random or by the sampler ('{config.sampler}'), "
        "or named in the search's settings."
    )


def _drawn(config: SearchConfig, found: Lineage) -> Any:
    parts: list[Any] = []
    if len(found.steps) > 1:
        parts.append(_table(config, found.steps))
    else:
        parts.append(dmc.Text(_why_not(config, found.steps[0].trial), size="sm"))
    if found.is_cut:
        parts.append(dmc.Text(f"Its first {len(found.steps) - 1} ancestors; there are more.", size="sm"))
    if found.children:
        parts.append(_children(found.steps[0].trial.search, found.children))
    return dmc.Stack(parts, gap="sm")


def _table(config: SearchConfig, steps: Sequence[Step]) -> Any:
    names = [name for name in shown_objectives(config) if is_known(name)]
    names = [name for name in names if any(objective(name).of(step.trial) for step in steps)]
    titles = ["Trial", *(objective(name).title.capitalize() for name in names), "What was changed"]
    head = dmc.TableThead(dmc.TableTr([dmc.TableTh(title) for title in titles]))
    pairs = zip(steps, (*steps[1:], None), strict=True)  # the row below is the parent's
    rows = [dmc.TableTr([dmc.TableTd(cell) for cell in _cells(names, *pair)]) for pair in pairs]
    table = dmc.Table([head, dmc.TableTbody(rows)], verticalSpacing="xs")
    return dmc.TableScrollContainer(table, minWidth=640)


def _cells(names: Sequence[str], step: Step, parent: Step | None) -> Iterator[Any]:
    trial = step.trial
    yield _on_one_line([_link(trial.search, trial.number), f" {trial.state}"])
    for name in names:
        value = objective(name).of(trial)
        yield _on_one_line(objective(name).told(None if value is None else value.value))
    yield _what_changed(step, None if parent is None else parent.trial)


def _on_one_line(told: Any) -> Any:
    return dmc.Text(told, size="sm", style={"whiteSpace": "nowrap"})


def _what_changed(step: Step, parent: TrialRecord | None) -> Any:
    """From its parent, which is the next row; and the further parents."""
    if step.parent is None:
        told = "the first: drawn at random or by the sampler, with no parents"
        return dmc.Text(GIVEN if step.trial.choices is None else told, size="sm", c="dimmed")
    lines: list[Any] = [dmc.Text(told, size="sm") for told in _chosen_otherwise(step)]
    lines += [dmc.Text(told, size="sm", c="dimmed") for told in _that_follow(step)]
    lines += [dmc.Text(told, size="sm") for told in _made_otherwise(step.trial, parent)]
    if not lines:
        lines.append(dmc.Text("nothing but how long it is trained", size="sm"))
    if step.others:
        links = [link for number in step.others for link in (", ", _link(step.trial.search, number))][1:]
        lines.append(dmc.Text(["crossed with ", *links], size="sm", c="dimmed"))
    return dmc.Stack(lines, gap=0)


def _made_otherwise(trial: TrialRecord, parent: TrialRecord | None) -> Iterator[str]:
    """What a command has done to the network of a parent that no choices led to."""
    if trial.choices is not None or parent is None or not (trial.architecture and parent.architecture):
        return
    before, now = read_architecture(parent.architecture), read_architecture(trial.architecture)
    if recoded := _different(before.layer_precisions, now.layer_precisions):
        yield f"other precisions: {counted(recoded, 'layer')}"
    if narrower := _different(before.widths, now.widths):
        yield f"fewer channels: {counted(narrower, 'layer')}"
    if left_out := sorted({*now.without} - {*before.without}):
        yield f"left out: {', '.join(left_out)}"


def _different(before: Mapping[str, object], now: Mapping[str, object]) -> int:
    return sum(before.get(name) != now.get(name) for name in {*before, *now})


def _chosen_otherwise(step: Step) -> Iterator[str]:
    for change in step.changes:
        if change.before is not None and change.after is not None:
            yield f"{change.name}: {change.before} {_ARROW} {change.after}"


def _that_follow(step: Step) -> Iterator[str]:
    """The choices that only the child made, and those that only the parent made."""
    for change in step.changes:
        if change.before is None:
            yield f"new: {change.name} {change.after}"
    gone = [change.name for change in step.changes if change.after is None]
    if gone:
        yield f"gone: {', '.join(gone)}"


def _children(search: str, children: Sequence[int]) -> Any:
    links = [link for number in children[:MOST_CHILDREN] for link in (", ", _link(search, number))][1:]
    more = len(children) - MOST_CHILDREN
    links += [f" and {more} more"] if more > 0 else []
    return dmc.Text(["Bred from it: ", *links], size="sm")


def _link(search: str, number: int) -> Any:
    return dmc.Anchor(f"trial {number}", href=trial_path(search, number), inherit=True)
