"""Executor ray: a real cluster of two nodes keeps the contract, and loses nothing when parts of it die."""

from collections.abc import Iterator

import pytest
from ray_cluster import TwoNodes, two_nodes

from nas.executors.ray.executor import RayExecutor
from nas.testing.executors import ExecutorConformance


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    with two_nodes() as found:
        yield found


class TestRay(ExecutorConformance):
    """On the cluster."""

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster: TwoNodes) -> None:
        self.cluster = cluster

    def executor(self) -> RayExecutor:
        return RayExecutor(self.cluster.address)
