"""Optuna's samplers as algorithms: a study in memory that is refilled from the history each time.

Nothing outside of this file knows Optuna's types.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nas import seeds
from nas.algorithms.base import Algorithm, Choices, Proposal, replay
from nas.ledger.records import SearchConfig, TrialRecord, TrialState
from nas.objectives import objective
from search_spaces.registry import Registry
from search_spaces.search_space import Option, SearchSpace

if TYPE_CHECKING:
    import optuna

Params = dict[str, tuple[Option, tuple[Option, ...]]]
"""What was chosen for each name, and among which options."""

# An architecture that was tried already is proposed again only when this many draws bring nothing new; the
# last half of them is uniform, as a sampler that is sure of itself draws the same every time.
ATTEMPTS = 10

SamplerFactory = Callable[[int, SearchConfig], "optuna.samplers.BaseSampler"]
samplers: Registry[SamplerFactory] = Registry("sampler", "samplers")
"""Makes one of Optuna's samplers from a seed and the search's settings; each is an algorithm, too."""


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
class OptunaAlgorithm(Algorithm):
    """Asks one of Optuna's samplers; keeps nothing but a cache of replayed trials."""

    space: SearchSpace
    config: SearchConfig
    _replayed: dict[int, Params | None] = field(default_factory=dict)

    def ask(
        self, number: int, history: Sequence[TrialRecord], passed_over: Sequence[TrialRecord] = ()
    ) -> Proposal:
        """What the sampler suggests, again if that was tried already."""
        others = [trial for trial in history if trial.number != number and trial.choices is not None]
        known = {trial.digest for trial in others}
        for attempt in range(ATTEMPTS):
            choices, digest = self._ask(number, attempt, others)
            if digest not in known:
                break
        return Proposal(choices)

    def _ask(self, number: int, attempt: int, others: list[TrialRecord]) -> tuple[Choices, str]:
        """What the sampler suggests, and the digest of the architecture it leads to."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        seed = seeds.derive(self.config.seed, seeds.PROPOSE, number, attempt)
        name = self.config.sampler if attempt < ATTEMPTS // 2 else "random"
        sampler = samplers.get(name)(seed, self.config)
        study = optuna.create_study(directions=self._directions(), sampler=sampler)
        study.add_trials(self._history(others, sampler))
        asked = study.ask()
        choices: Choices = {}

        def choose(name: str, options: tuple[Option, ...]) -> Option:
            choices[name] = asked.suggest_categorical(name, options)
            return choices[name]

        return choices, self.space.propose(choose).digest

    def _directions(self) -> list[str]:
        found = (objective(name).is_maximized for name in self.config.objectives)
        return ["maximize" if is_maximized else "minimize" for is_maximized in found]

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
        states = optuna.trial.TrialState
        return optuna.trial.create_trial(
            state=states.COMPLETE if finished else states.RUNNING,
            # A pruned trial takes part with the accuracy it had got to; an infeasible one has none, and
            # its violated constraint puts it behind every feasible one whatever stands here.
            values=_values(self.config, trial) if finished else None,
            params={name: chosen for name, (chosen, _) in params.items()},
            distributions={
                name: optuna.distributions.CategoricalDistribution(options)
                for name, (_, options) in params.items()
            },
            system_attrs=attributes,
            constraints=violations(self.config, trial) if finished else None,
        )


def _values(config: SearchConfig, trial: TrialRecord) -> list[float]:
    """A trial's objectives; the worst where one has no value."""
    named = [objective(name) for name in config.objectives]
    found = [(o, o.of(trial)) for o in named]
    return [o.worst if value is None else value.value for o, value in found]


def violations(config: SearchConfig, trial: TrialRecord) -> dict[str, float]:
    """How far a trial is over each limit, as a share of the limit; 0 or less is within it."""
    found: dict[str, float] = {}
    for name, limit in config.limited.items():
        value = objective(name).of(trial)
        if value is not None:
            found[name] = (objective(name).loss(value.value) - objective(name).loss(limit)) / limit
    return found
