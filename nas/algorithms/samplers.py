"""What a trial tries: Optuna's samplers on a study in memory that is refilled from the ledger each time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nas import seeds
from nas.ledger.records import SearchConfig, TrialRecord, TrialState
from search_spaces.architecture import Architecture
from search_spaces.registry import Registry
from search_spaces.search_space import Option, SearchSpace

if TYPE_CHECKING:
    import optuna

Choices = dict[str, Option]
Params = dict[str, tuple[Option, tuple[Option, ...]]]
"""What was chosen for each name, and among which options."""

# An architecture that was tried already is proposed again only when this many draws bring nothing new; the
# last half of them is uniform, as a sampler that is sure of itself draws the same every time.
ATTEMPTS = 10

SamplerFactory = Callable[[int, SearchConfig], "optuna.samplers.BaseSampler"]
samplers: Registry[SamplerFactory] = Registry("sampler", "samplers")


@samplers.register("tpe")
def tpe(seed: int, config: SearchConfig) -> "optuna.samplers.BaseSampler":
    """TPE for several objectives; running trials count as bad ones, so that workers spread out.

    Every choice has its own estimator (Optuna's own default for several objectives): the joint ones see
    only what all trials have in common, and here most choices depend on the kind of block.
    """
    import optuna

    return optuna.samplers.TPESampler(seed=seed, multivariate=False, constant_liar=True)


@samplers.register("nsga2")
def nsga2(seed: int, config: SearchConfig) -> "optuna.samplers.BaseSampler":
    """NSGA-II with generations of a quarter of the trials, at least 4 and at most 50."""
    import optuna

    return optuna.samplers.NSGAIISampler(seed=seed, population_size=min(50, max(4, config.trials // 4)))


samplers.add("nsga-ii", nsga2)


@samplers.register("random")
def random(seed: int, config: SearchConfig) -> "optuna.samplers.BaseSampler":
    """Uniform choices."""
    import optuna

    return optuna.samplers.RandomSampler(seed=seed)


@dataclass
class Proposer:
    """Proposes the architectures of one search; keeps nothing but a cache of replayed trials.

    A proposal is a function of the search's seed, the trial's number and the other trials' records. So
    one worker that starts over proposes the same, and workers that propose at once propose differently.
    """

    space: SearchSpace
    config: SearchConfig
    _replayed: dict[int, Params | None] = field(default_factory=dict)

    def propose(self, number: int, trials: Sequence[TrialRecord]) -> tuple[Choices, Architecture]:
        """The choices of trial ``number`` and the architecture they lead to."""
        others = [trial for trial in trials if trial.number != number and trial.choices is not None]
        known = {trial.digest for trial in others}
        for attempt in range(ATTEMPTS):
            choices, architecture = self._ask(number, attempt, others)
            if architecture.digest not in known:
                break
        return choices, architecture

    def _ask(self, number: int, attempt: int, others: list[TrialRecord]) -> tuple[Choices, Architecture]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        seed = seeds.derive(self.config.seed, seeds.PROPOSE, number, attempt)
        name = self.config.sampler if attempt < ATTEMPTS // 2 else "random"
        sampler = samplers.get(name)(seed, self.config)
        study = optuna.create_study(directions=["maximize", "minimize", "minimize"], sampler=sampler)
        study.add_trials(self._history(others, sampler))
        asked = study.ask()
        choices: Choices = {}

        def choose(name: str, options: tuple[Option, ...]) -> Option:
            choices[name] = asked.suggest_categorical(name, options)
            return choices[name]

        return choices, self.space.propose(choose)

    def _history(
        self, others: list[TrialRecord], sampler: "optuna.samplers.BaseSampler"
    ) -> list["optuna.trial.FrozenTrial"]:
        """The other trials as Optuna's; failed ones and those of an older form of the space stay out."""
        import optuna

        replayed = [(trial, self._replay(trial)) for trial in sorted(others, key=lambda trial: trial.number)]
        usable = [
            (trial, params)
            for trial, params in replayed
            if params is not None and trial.state is not TrialState.FAILED
        ]
        if not isinstance(sampler, optuna.samplers.NSGAIISampler):
            return [self._frozen(trial, params) for trial, params in usable]
        everything = {name: options for _, params in usable for name, (_, options) in params.items()}
        population = sampler.population_size or 1
        history, finished = [], 0
        for trial, params in usable:
            filled = self._with_dormant_genes(trial, params, everything)
            history.append(
                self._frozen(trial, filled, {sampler._get_generation_key(): finished // population})
            )
            finished += trial.state.finished
        return history

    def _with_dormant_genes(
        self, trial: TrialRecord, params: Params, everything: dict[str, tuple[Option, ...]]
    ) -> Params:
        """``params`` with a fixed random value for every choice that did not come up in this trial.

        NSGA-II crosses over what all parents have, which would be next to nothing where most choices
        depend on others. A value that does nothing in one parent may do something in the child.
        """
        draw = np.random.default_rng((self.config.seed, trial.number))
        genes = {
            name: (options[int(draw.integers(len(options)))], options) for name, options in everything.items()
        }
        return {**genes, **params}

    def _replay(self, trial: TrialRecord) -> Params | None:
        """What a trial chose and among what; None when the space no longer offers it."""
        if trial.number not in self._replayed:
            self._replayed[trial.number] = replay(self.space, trial.choices or {})
        return self._replayed[trial.number]

    def _frozen(
        self, trial: TrialRecord, params: Params, attributes: dict[str, int] | None = None
    ) -> "optuna.trial.FrozenTrial":
        import optuna

        finished = trial.state.finished
        accuracy = 0.0 if trial.accuracy is None else trial.accuracy
        states = optuna.trial.TrialState
        return optuna.trial.create_trial(
            state=states.COMPLETE if finished else states.RUNNING,
            # A pruned trial takes part with the accuracy it had got to; an infeasible one has none, and
            # its violated constraint puts it behind every feasible one whatever stands here.
            values=[accuracy, trial.latency_ms, trial.size_kb] if finished else None,
            params={name: chosen for name, (chosen, _) in params.items()},
            distributions={
                name: optuna.distributions.CategoricalDistribution(options)
                for name, (_, options) in params.items()
            },
            system_attrs=attributes,
            constraints=violations(self.config, trial) if finished else None,
        )


def replay(space: SearchSpace, choices: Choices) -> Params | None:
    """What stored choices stand for in ``space``: each with its options; None when they do not fit."""
    params: Params = {}

    def choose(name: str, options: tuple[Option, ...]) -> Option:
        chosen = choices[name]
        if chosen not in options:
            raise KeyError(name)
        params[name] = (chosen, options)
        return chosen

    try:
        space.propose(choose)
    except KeyError:
        return None
    return params


def violations(config: SearchConfig, trial: TrialRecord) -> dict[str, float]:
    """How far a trial is over each limit, as a share of the limit; 0 or less is within it."""
    limits = {
        "latency": (trial.latency_ms, config.max_latency_ms),
        "size": (trial.size_kb, config.max_size_kb),
    }
    return {
        name: cost / limit - 1
        for name, (cost, limit) in limits.items()
        if cost is not None and limit is not None
    }
