"""The algorithm called auto."""

from nas.algorithms.auto import Auto
from nas.algorithms.base import Algorithm
from nas.ledger import SearchConfig
from nas.testing.algorithms import AlgorithmConformance
from search_spaces.search_space import SearchSpace


class TestAuto(AlgorithmConformance):
    def algorithm(self, space: SearchSpace, config: SearchConfig) -> Algorithm:
        return Auto(space, config)
