"""Networks that several threads run: the output is that of one thread, to the bit, whoever calls."""

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import runtime
import search_spaces
from latency.hardware.local import LocalDevice
from search_spaces import InvalidInput, precisions
from search_spaces.layers import QuantConv2d
from tests.runtime.harness import DISTINCT, trained
from tests.thinning import each_nth

FORKED = """
import os, sys, numpy, runtime
network = runtime.load(sys.argv[1])
images = numpy.random.default_rng(0).random((4, *network.info.input_shape[1:]), numpy.float32)
before = network.run(images)
child = os.fork()
if child == 0:
    os._exit(0 if numpy.array_equal(network.run(images), before) else 1)
assert os.waitpid(child, 0)[1] == 0
assert numpy.array_equal(network.run(images), before)
"""


def small(precision="binary"):
    torch.manual_seed(0)
    p = precisions.get(precision)
    layers = [QuantConv2d(3, 32, 3, precisions.get("float")), nn.BatchNorm2d(32)]
    layers += [QuantConv2d(32, 48, 3, p, stride=2), nn.BatchNorm2d(48), QuantConv2d(48, 48, 3, p, groups=48)]
    layers += [nn.MaxPool2d(2), QuantConv2d(48, 20, 1, p), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return trained(nn.Sequential(*layers), (1, 3, 13, 9))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).standard_normal((6, 3, 13, 9)).astype(np.float32)


@pytest.mark.parametrize(("threads", "precision"), each_nth(3, (2, 3), DISTINCT))
def test_every_precision_is_the_same_to_the_bit(precision, threads, images):
    module = small(precision)
    expected = runtime.compile(module, (2, 3, 13, 9)).run(images)
    network = runtime.compile(module, (2, 3, 13, 9), threads=threads)
    for _ in range(20):
        np.testing.assert_array_equal(network.run(images), expected)


@pytest.mark.parametrize("name", ["tiny", pytest.param("cifar", marks=pytest.mark.slow)])
def test_samples_of_every_space_are_the_same_to_the_bit(name):
    space = search_spaces.space(name)
    for seed in range(2):
        architecture = space.sample(seed)
        module, shape = search_spaces.build(architecture).eval(), (1, *architecture.input_shape)
        image = np.random.default_rng(seed).random(shape, np.float32)
        expected = runtime.compile(module, shape).run(image)
        network = runtime.compile(module, shape, threads=2)
        for _ in range(20):
            np.testing.assert_array_equal(network.run(image), expected)


def test_callers_take_turns(images):
    network = runtime.compile(small(), (1, 3, 13, 9), threads=2)
    expected = [network.run(image[None]) for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: network.run(images[i : i + 1]), [*range(len(images))] * 100))
    for i, output in enumerate(found):
        np.testing.assert_array_equal(output, expected[i % len(images)])


def test_more_threads_than_cores_end_as_well(images):
    network = runtime.compile(small(), (1, 3, 13, 9), threads=8)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        first = network.run(images)  # its threads, made now, may use one core
    finally:
        os.sched_setaffinity(0, before)
    np.testing.assert_array_equal(first, runtime.compile(small(), (1, 3, 13, 9)).run(images))


def test_threads_end_with_their_network(images):
    def count():
        return len(list(Path("/proc/self/task").iterdir()))

    network = runtime.compile(small(), (1, 3, 13, 9), threads=4)
    before = count()
    network.run(images)
    assert count() == before + 3
    del network
    gc.collect()
    assert count() == before


def test_a_saved_network_has_its_threads_and_survives_a_fork(images, tmp_path):
    network = runtime.compile(small(), (1, 3, 13, 9), threads=2)
    network.save(tmp_path / "artifact")
    loaded = runtime.load(tmp_path / "artifact")
    assert loaded.info.threads == 2
    np.testing.assert_array_equal(loaded.run(images), network.run(images))
    command = [sys.executable, "-c", FORKED, str(tmp_path / "artifact")]
    subprocess.run(command, check=True, timeout=120)


def test_a_wrong_call_is_an_error_and_the_next_is_right(images):
    network = runtime.compile(small(), (1, 3, 13, 9), threads=2)
    expected = network.run(images)
    with pytest.raises(ValueError, match="workspace"):
        network.entry(*network.arguments[:2], np.zeros(3, np.uint8), network.arguments[3])
    np.testing.assert_array_equal(network.run(images), expected)


@pytest.mark.parametrize("threads", [0, -1, 257])
def test_an_impossible_number_is_refused(threads):
    with pytest.raises(InvalidInput, match="threads: "):
        runtime.compile(small(), (1, 3, 13, 9), threads=threads)


def test_a_device_measures_with_its_threads():
    two = LocalDevice("two", threads=2)
    assert two.identity != LocalDevice("two").identity
    workload = next(w for w in runtime.workloads(small(), (1, 3, 13, 9)) if w.family == "bitserial_conv2d")
    assert two.measure(workload).milliseconds > 0
    assert two.measure_network(runtime.compile(small(), (1, 3, 13, 9), threads=2)).milliseconds > 0
