"""Predictions: kernels estimated from others, sums corrected by whole networks, and what is promised."""

from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import kendalltau

import runtime
import search_spaces
from latency import (
    Conditions,
    LatencyModel,
    MeasurementError,
    MemoryTable,
    NetworkMeasurement,
)
from latency.model.calibration import calibrate, evaluate, measure_space
from latency.model.correction import MIN_NETWORKS, SUM_TERM, Correction, KernelTime, terms
from latency.model.effort import effort_of
from latency.model.evaluation import judge_regressor, kendall_tau
from latency.model.features import features
from latency.model.kernel_table import KERNELS_A_BATCH
from latency.model.network_times import NetworkTimes
from latency.model.profiling import PROFILED_KERNELS, latencies, profile, sampled
from latency.model.regressor import NORMAL_QUANTILE, KernelRegressor
from latency.model.repeats import RepeatedTimes
from latency.model.sum_errors import PRIOR_MISS
from latency.model.table import FRONT
from latency.model.workloads import forget_networks, workloads_of
from runtime.cpu import Cpu
from runtime.kernels import kernel_for
from runtime.lowering import trace
from runtime.target import cpu_of
from runtime.workload import BitserialConv2d, Conv2d, Workload
from search_spaces import Architecture, InvalidInput
from search_spaces.architecture import Block, Head, Stem
from search_spaces.block.separable import Separable
from search_spaces.errors import BitnasError
from search_spaces.search_space import USER_PRECISIONS
from tests.latency.board import Board, measurement, milliseconds, milliseconds_of_vectors

SPACE = search_spaces.space("tiny")
CPU = cpu_of("native")


def kernels(count):
    found = {w: None for seed in range(count) for w in workloads_of(SPACE.sample(seed))}
    return list(found)


def quietly(what, done, count):
    assert 0 <= done <= count


def test_every_workload_is_found_again_by_its_key():
    for workload in kernels(60):
        assert Workload.from_key(workload.key) == workload
    for bad in ("", "nonsense", "conv2d(batch=1)", "conv2d(batch=x,height=1)", "relu(batch=1,size=2,more=3)"):
        with pytest.raises(InvalidInput, match="not a workload's key"):
            Workload.from_key(bad)


def test_features_tell_kernels_apart():
    found = kernels(30)
    assert len({features(w, CPU).tobytes() for w in found}) >= 0.95 * len(found)


def test_effort_is_that_of_the_kernel_for_the_cpu():
    def of(workload, flags, architecture="x86_64"):
        return effort_of(workload, Cpu(architecture, frozenset(flags.split())))

    def floats(width, channels):
        return Conv2d(1, width, width, 3, 1, 1, 16, channels, 1, "float", "float")

    assert of(floats(8, 17), "avx2").vectors == of(floats(8, 32), "avx2").vectors, "vectors are whole"
    tile = kernel_for(floats(29, 16)).tiles(floats(29, 16), Cpu("x86_64", frozenset({"avx512f"})))[0]
    assert 29 % tile.x, "the last tile overlaps"
    assert of(floats(29, 16), "avx512f").vectors == 29 * -(-29 // tile.x) * tile.x
    assert of(floats(8, 16), "avx2").steps == 2 * of(floats(8, 16), "avx512f").steps == 2 * 9 * 16
    bits = BitserialConv2d(1, 8, 8, 3, 1, 1, 64, 64, 1, "binary")
    assert of(bits, "ssse3 avx2").way != of(bits, "avx512f avx512_vpopcntdq").way
    assert of(bits, "avx512f avx512_vpopcntdq").steps == 9 * 2, "words"
    assert of(bits, "ssse3 avx2").steps == 9 * 8, "bytes"
    bytewise = replace(floats(16, 32), weight="int8", input="uint8")
    assert of(bytewise, "avx512f avx512bw avx512_vnni").steps == 9 * 4, "four bytes a step"
    assert of(bytewise, "", "c").steps == 9 * 16 * 16, "each byte of each lane"
    assert of(bytewise, "avx512f avx512bw avx512_vnni amx_tile amx_int8").way == "AMX"


def test_kernels_are_estimated_from_others():
    found = kernels(60)
    order = np.random.default_rng(0).permutation(len(found))
    known, held = [found[i] for i in order[50:]], [found[i] for i in order[:50]]
    regressor = KernelRegressor(known, [milliseconds(w) for w in known], CPU)
    estimates = regressor.predict(held)
    errors = [abs(e.milliseconds / milliseconds(w) - 1) for e, w in zip(estimates, held, strict=True)]
    assert np.mean(errors) < 0.1
    inside = [e.low <= milliseconds(w) <= e.high for e, w in zip(estimates, held, strict=True)]
    assert np.mean(inside) >= 0.8, "nine in ten are promised"
    networks = [workloads_of(SPACE.sample(seed)) for seed in range(20)]
    unseen = judge_regressor({w: milliseconds(w) for network in networks for w in network}, CPU, networks)
    assert unseen.networks < unseen.kernels < 0.3
    with pytest.raises(ValueError, match="too few"):
        KernelRegressor(found[:5], [1.0] * 5, CPU)


def test_an_estimate_that_says_nothing_has_ends_all_the_same() -> None:
    """Warnings are errors here: a factor that overflows would be told to users."""
    known = kernels(60)[:24]
    regressor = KernelRegressor(known, [milliseconds(w) for w in known], CPU)
    regressor._widening_alone = 1e9
    for estimate in regressor.predict(known):
        assert 0 < estimate.low < estimate.milliseconds < estimate.high < float("inf")


def test_a_correction_finds_what_the_sum_misses():
    code = np.random.default_rng(1)
    networks = [
        [
            KernelTime(w, milliseconds(w), 2 * milliseconds(w), code.integers(200, 4000))
            for w in workloads_of(SPACE.sample(seed))
        ]
        for seed in range(40)
    ]
    noise = np.random.default_rng(0).normal(1, 0.01, 30)
    noise[3] = 1.4  # disturbed, both times
    # calls, and code that the instruction cache has no room for
    whole = [1.05 * terms(n)[SUM_TERM] + 5e-6 * len(n) + 2e-5 * max(0, terms(n)[4] - 16) for n in networks]
    assert max(w / terms(n)[SUM_TERM] for w, n in zip(whole, networks, strict=True)) > 1.2
    correction = Correction(networks[:30], [w * e for w, e in zip(whole[:30], noise, strict=True)])
    for network, ms in zip(networks[30:], whole[30:], strict=True):
        assert correction.predict(network) == pytest.approx(ms, rel=0.02)
        assert 0 < correction.miss < 0.2
    with pytest.raises(ValueError, match="too few"):
        Correction(networks[: MIN_NETWORKS - 1], whole[: MIN_NETWORKS - 1])


@pytest.fixture
def without_code(monkeypatch):
    """Networks are their kernels alone: a simulated board runs no code, and to compile it takes minutes."""

    def lowered(times, architecture):
        return SimpleNamespace(info=SimpleNamespace(workloads=workloads_of(architecture)))

    monkeypatch.setattr(NetworkTimes, "compiled", lowered)


@pytest.mark.usefixtures("without_code")
def test_a_calibrated_device_is_predicted_better_and_with_an_interval():
    device = Board()
    model = LatencyModel(device, MemoryTable())
    before = evaluate(model, SPACE, 10, 500, quietly)
    assert before.coverage is not None
    assert before.mape > 0.03
    after = calibrate(model, SPACE, 60.0, 12, quietly)
    assert len(model.table.networks(device.identity)) == 12
    assert (len(model.networks.learned("tiny")), len(model.networks.learned("cifar"))) == (12, 0)
    assert after.mape < 0.005
    assert after.coverage >= 0.8
    assert after.within(0.05) == 1.0
    assert after.tau > 0.95
    again = calibrate(model, SPACE, 60.0, 12, quietly)
    assert len(model.table.networks(device.identity)) == 12, "what is learned is not learned again"
    assert again.networks == after.networks


@pytest.mark.usefixtures("without_code")
def test_too_few_minutes_are_told_after_the_first_networks(monkeypatch):
    monkeypatch.setattr("latency.model.calibration.EVALUATION_NETWORKS", 5)
    clock = [0.0]
    monkeypatch.setattr("latency.model.calibration.time.monotonic", lambda: clock[0])

    class SlowDevice(Board):
        def measure_networks(self, networks, usual_ms=None):
            clock[0] += 30.0 * len(networks)
            return super().measure_networks(networks)

    model = LatencyModel(SlowDevice(), MemoryTable())
    says = r"^minutes: 2 are too few: a network takes 30 s here, and 13 more are needed; give 7 or more"
    with pytest.raises(InvalidInput, match=says):
        calibrate(model, SPACE, 2.0, 12, quietly)
    assert len(model.networks.learned()) == 2
    assert calibrate(model, SPACE, 3.5, 12, quietly).coverage is not None, "it goes on though time is up"
    assert len(model.networks.learned()) >= 10


def test_a_table_is_filled_ahead_and_goes_on_where_it_was():
    device = Board()
    model = LatencyModel(device, MemoryTable())
    first = measure_space(model, SPACE, 3, quietly)
    assert first == len(device.asked) == len(set(device.asked))
    assert measure_space(model, SPACE, 3, quietly) == 0
    assert measure_space(model, SPACE, 4, quietly) == len(device.asked) - first


def test_a_device_that_is_away_is_predicted_and_marked():
    device, table = Board(), MemoryTable()
    measure_space(LatencyModel(device, table), SPACE, 30, quietly)
    asked = len(device.asked)
    model = LatencyModel(device, table, measure=False)
    architecture = SPACE.sample(12345)
    found = model.predict(architecture)
    assert len(device.asked) == asked
    measured = {w for w in workloads_of(architecture) if table.get(device.identity, w.key)}
    assert found.estimated == set(workloads_of(architecture)) - measured
    assert found.estimated
    true = sum(milliseconds(w) for w in workloads_of(architecture))
    assert found.milliseconds == pytest.approx(true, rel=0.2)
    with pytest.raises(MeasurementError, match="measure first: nas latency measure"):
        LatencyModel(device, MemoryTable(), measure=False).predict(architecture)


def test_kernels_of_a_plugin_that_is_not_loaded_are_left_out():
    device, table = Board(), MemoryTable()
    measure_space(LatencyModel(device, table), SPACE, 30, quietly)
    architecture = SPACE.sample(12345)
    found = LatencyModel(device, table, measure=False).predict(architecture)
    table.put(device.identity, "warped(batch=1,size=3)", measurement(7.0))
    model = LatencyModel(device, table, measure=False)
    model.refresh()
    assert model.predict(architecture) == found


def test_kendalls_tau_is_that_of_scipy():
    values = np.random.default_rng(0)
    for _ in range(20):
        a, b = values.integers(0, 9, 30).astype(float), values.integers(0, 9, 30).astype(float)
        assert kendall_tau(a, b) == pytest.approx(kendalltau(a, b).statistic)
    assert kendall_tau(np.ones(4), np.arange(4.0)) == 0.0


@pytest.mark.parametrize("name", ["tiny", "cifar"])
def test_kernels_from_traced_blocks_are_those_of_the_whole_network(name):
    space = search_spaces.space(name)
    for seed in range(12):
        architecture = space.sample(seed)
        module = search_spaces.build(architecture)
        assert workloads_of(architecture) == runtime.workloads(module, (1, *architecture.input_shape))


def test_a_prediction_is_never_nonsense():
    """Of a network unlike those of the fit it is near the sum of its kernels."""
    networks = [[KernelTime(w, milliseconds(w)) for w in workloads_of(SPACE.sample(s))] for s in range(30)]
    noise = np.random.default_rng(0).normal(1, 0.2, 30)
    whole = [terms(n)[SUM_TERM] * e - 3e-4 for n, e in zip(networks, noise, strict=True)]
    correction = Correction(networks, whole)
    for kernel in networks[0]:
        assert kernel.milliseconds / 2 <= correction.predict([kernel]) <= kernel.milliseconds * 2


def test_what_is_estimated_widens_the_interval():
    device, table = Board(), MemoryTable()
    measure_space(LatencyModel(device, table), SPACE, 30, quietly)
    model = LatencyModel(device, table, measure=False)
    known = model.predict(SPACE.sample(0))
    assert not known.estimated
    assert known.high / known.milliseconds == pytest.approx(np.exp(PRIOR_MISS)), (
        "what the sum is taken to miss"
    )
    architecture = next(a for a in map(SPACE.sample, range(99_000, 100_000)) if model.predict(a).estimated)
    found = model.predict(architecture)
    assert found.low < found.milliseconds < found.high
    assert found.high / found.milliseconds > known.high / known.milliseconds
    assert model.estimate(architecture) == found


def test_networks_that_were_timed_tell_what_the_sum_misses():
    device, table = Board(), MemoryTable()
    model = LatencyModel(device, table)
    before = model.predict(SPACE.sample(0))
    for seed in range(60):
        total = model.predict(SPACE.sample(seed)).milliseconds
        keys = tuple(w.key for w in workloads_of(SPACE.sample(seed)))
        table.put_network(device.identity, NetworkMeasurement(keys, measurement(1.04 * total)), FRONT)
    model.refresh()
    after = model.predict(SPACE.sample(0))
    assert after.milliseconds == before.milliseconds
    assert after.high / after.milliseconds == pytest.approx(1.04)


def test_errors_of_a_sum_go_together():
    """Kernels of one kind err in the same direction: the sum's doubt is more than that of strangers."""
    found = kernels(60)
    regressor = KernelRegressor(found[::3], [milliseconds(w) for w in found[::3]], CPU)
    alike = [w for w in found if w not in found[::3]][:1] * 4
    (one,) = regressor.predict(alike[:1])
    assert regressor.doubt(alike) == pytest.approx(4 * regressor.doubt(alike[:1]), rel=1e-3)
    assert one.high / one.milliseconds == pytest.approx(
        np.exp(NORMAL_QUANTILE * regressor.doubt(alike[:1]) / one.milliseconds), rel=1e-6
    )


def test_brief_times_count_for_brief_models_only():
    device, table = Board(), MemoryTable()
    thorough, brief = LatencyModel(device, table), LatencyModel(device, table, brief=True)
    work = workloads_of(SPACE.sample(0))
    assert brief.kernels.fill(work) == len(set(work))
    assert brief.kernels.lacking(work) == []
    assert set(thorough.kernels.lacking(work)) == set(work)
    assert thorough.kernels.fill(work) == len(set(work))
    brief.refresh()
    assert brief.kernels.lacking(work) == thorough.kernels.lacking(work) == []


@pytest.mark.parametrize(("cost", "error"), [(milliseconds, 0.03), (milliseconds_of_vectors, 0.1)])
def test_a_device_is_known_by_kernels_that_stand_for_a_space(cost, error):
    device, table = Board(cost), MemoryTable()
    model = LatencyModel(device, table, brief=True)
    told = []
    assert profile(model, SPACE, lambda done, of: told.append((done, of))) == PROFILED_KERNELS
    assert told[-1] == (PROFILED_KERNELS, PROFILED_KERNELS)
    assert profile(model, SPACE, quietly_counted) == 0, "it is known"
    assert len(set(device.asked)) == len(device.asked) == PROFILED_KERNELS
    others = [SPACE.sample(seed) for seed in range(60)]
    errors, held, alone = [], [], []
    for architecture in others:
        estimate, truth = (
            model.estimate(architecture),
            sum(map(cost, workloads_of(architecture))),
        )
        errors.append(abs(estimate.milliseconds / truth - 1))
        held.append(estimate.low <= truth <= estimate.high)
        own = np.exp(np.sqrt(np.log(estimate.high / estimate.milliseconds) ** 2 - PRIOR_MISS**2))
        alone.append(1 / own <= estimate.milliseconds / truth <= own)
    assert np.median(errors) < error
    assert np.mean(held) >= 0.9, "nine in ten are promised"
    assert np.mean(alone) >= 0.8, "without what sums may miss, which these do not"
    one_by_one = sorted(model.estimate(architecture).milliseconds for architecture in sampled(SPACE))
    assert latencies(model, SPACE) == pytest.approx(one_by_one), "in one go or one by one"


def quietly_counted(done, count):
    assert 0 <= done <= count


def test_what_was_learned_is_not_judged_by():
    model = LatencyModel(Board(), MemoryTable())
    for seed in range(200):
        model.networks.learn(SPACE.sample(500 + seed), measurement(1e-3))
    judged = evaluate(model, SPACE, 5, 500, quietly)
    seen = {SPACE.sample(500 + seed).digest for seed in range(200)}
    assert not seen & {network.digest for network in judged.networks}


def test_kernels_of_an_earlier_run_are_met_again():
    device, table = Board(), MemoryTable()
    model = LatencyModel(device, table)
    architecture = SPACE.sample(0)
    model.kernels.fill(workloads_of(architecture))
    assert set(model.kernels.measured_once(workloads_of(architecture))) == set(workloads_of(architecture))
    repeats = RepeatedTimes(LatencyModel(device, table))
    repeats.measure([architecture])
    repeats.repeat([architecture])
    assert LatencyModel(device, table).kernels.measured_once(workloads_of(architecture)) == []


def test_code_that_two_calls_share_counts_once():
    first, second, *_ = workloads_of(SPACE.sample(0))
    twice = [KernelTime(first, 1.0, None, 3000.0)] * 2
    other = [KernelTime(first, 1.0, None, 3000.0), KernelTime(second, 1.0, None, 3000.0)]
    assert terms(other)[4] - terms(twice)[4] == pytest.approx(3.0)


def test_code_that_is_not_known_is_taken_for_that_of_its_family():
    device, table = Board(), MemoryTable()
    measure_space(LatencyModel(device, table), SPACE, 30, quietly)
    rows = table.rows(device.identity)
    convolutions = [key for key in rows if Workload.from_key(key).family == "conv2d"]
    for size, key in zip((700, 900, 800), convolutions, strict=False):
        table.put(device.identity, key, replace(rows[key], code_bytes=size))
    model = LatencyModel(device, table, measure=False)
    found = model.predictor.times([Workload.from_key(key) for key in (*convolutions[:4], *rows)])
    assert [time.code_bytes for time in found[:4]] == [700, 900, 800, 800]
    assert {t.code_bytes for t in found if t.workload.family != "conv2d"} == {0.0}


def separable(precision, width=32):
    """A network of one block."""
    chosen = {"depthwise": precision, "pointwise": "float"}
    stem = Stem(width=16, kernel=3, stride=1, precision="float")
    block = Block(kind="separable", width=width, kernel=3, stride=2, precisions=chosen)
    head = Head(precision="float")
    return Architecture(
        space="tiny", input_shape=(1, 8, 8), classes=10, stem=stem, blocks=(block,), head=head
    )


def test_blocks_that_differ_in_layers_are_traced_once(monkeypatch):
    traced = []
    monkeypatch.setattr(
        "runtime.lowering.trace", lambda module: traced.append(module) or trace(module), raising=True
    )
    forget_networks(blocks=True, traces=True)
    for precision, width in product(USER_PRECISIONS, (32, 48)):
        architecture = separable(precision, width)
        module = search_spaces.build(architecture)
        assert workloads_of(architecture) == runtime.workloads(module, (1, 1, 8, 8))
    assert len(traced) == 3, "stem, block and head"


def test_a_block_that_looks_at_its_precision_is_refused(monkeypatch):
    def forward(self, x):
        y = self.pointwise(self.depthwise(x))
        return y if self.depthwise[0].precision.weight == "float" else y + y

    monkeypatch.setattr(Separable, "forward", forward)
    forget_networks(blocks=True, traces=True)
    model = LatencyModel(Board(), MemoryTable())
    model.networks.compiled(separable("float"))
    with pytest.raises(BitnasError, match="not look into them"):
        model.networks.compiled(separable("ternary"))
    forget_networks(blocks=True, traces=True)


def test_of_two_measurements_the_lower_counts(monkeypatch):
    monkeypatch.setattr("latency.timing.agreement.time.sleep", lambda seconds: None)
    model = LatencyModel(Board(), MemoryTable())
    architecture = SPACE.sample(3)
    repeats = RepeatedTimes(model)
    slow = iter(
        [1.3, 1.3]  # the kernels, then the network, which is slow
        + [1.0, 1.2, 1.0]  # the kernels until two times agree
        + [1.0, 1.0]  # the network likewise
        + [1.5] * 6  # the network once more: it agrees with none
    )

    def slowly(measure):
        def measured(*arguments, **options):
            factor, found = next(slow), measure(*arguments, **options)
            return [replace(each, milliseconds=each.milliseconds * factor) for each in found]

        return measured

    model.device.measure_kernels = slowly(model.device.measure_kernels)
    model.device.measure_networks = slowly(model.device.measure_networks)
    kernels = list(dict.fromkeys(workloads_of(architecture)))
    assert len(kernels) <= KERNELS_A_BATCH
    repeats.measure([architecture])
    before = repeats.times[architecture].milliseconds
    assert repeats.repeat([architecture]) == [architecture]
    assert repeats.times[architecture].milliseconds == pytest.approx(before / 1.3)
    assert [time.milliseconds for time in model.predictor.times(kernels)] == pytest.approx(
        [milliseconds(kernel) for kernel in kernels]
    )
    assert repeats.repeat([architecture]) == [], (
        "its kernels are not measured a third time, and it was slower"
    )


def test_all_is_timed_at_the_speed_of_the_table():
    """Which the first measurement tells, also in another process."""

    class Referring(Board):
        def measure_kernels(self, workloads, schedules=None, brief=False, usual_ms=None):
            found = super().measure_kernels(workloads, schedules, brief, usual_ms)
            how = Conditions(usual_ms=usual_ms or 0.006, brief=brief)
            return [replace(each, conditions=how) for each in found]

    table, work = MemoryTable(), workloads_of(SPACE.sample(0))
    first, second = Referring(), Referring()
    for device in (first, second):
        model = LatencyModel(device, table)
        model.kernels.fill(work[:1])
        model.kernels.measure_again(work[:1])
        model.networks.measure_once([model.networks.compiled(separable("float"))])
    assert first.speeds[0] is None, "it chooses"
    assert {*first.speeds[1:], *second.speeds} == {0.006}
