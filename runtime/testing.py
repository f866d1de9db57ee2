"""Conformance suites of kernels and lowerings: classes of pytest tests for plug-ins' tests to derive from."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.kernels.base import Buffer, kernel_for, kernels
from runtime.tvm_types import PrimFunc
from runtime.workload import Workload

if TYPE_CHECKING:
    from torch import nn

    from runtime.graph import Graph, Node

Arrays = tuple[NDArray[Any], ...]


class Case(NamedTuple):
    """A kernel's call: the arrays of its inputs and constants, by name, and what it must write.

    Attributes:
        workload: the kernel's.
        arguments: of any shape with as many numbers as the buffer, whose type they are cast to.
        expected: the output, or both of a kernel with two; of any shape with as many numbers.
    """

    workload: Workload
    arguments: Mapping[str, NDArray[Any]]
    expected: NDArray[Any] | Arrays


class KernelConformance(ABC):
    """What every kernel must do, on random workloads of its family: one class of tests a family.

    A test class of yours gives the cases, with what numpy says of each::

        class TestSquaredRelu(KernelConformance):
            def case(self, random):
                pixels, channels = (int(n) for n in random.integers(1, 40, 2))
                x = random.standard_normal((pixels, channels), np.float32)
                scale = random.standard_normal(channels, np.float32)
                expected = scale * np.maximum(x, 0) ** 2
                return Case(SquaredReluWork(1, pixels, channels), {"data": x, "scale": scale}, expected)

    Attributes:
        examples: cases that each test sees.
        rtol: how far outputs may be from what is expected, relative to that; 0 and ``atol`` 0 for not at all.
        atol: the same in absolute terms.
        schedules: how many of the kernel's schedules are compiled, the most promising first.
    """

    examples: ClassVar[int] = 3
    rtol: ClassVar[float] = 0.0
    atol: ClassVar[float] = 0.0
    schedules: ClassVar[int] = 3

    @abstractmethod
    def case(self, random: np.random.Generator) -> Case:
        """A case that is drawn of ``random`` alone, mostly one of odd shapes."""

    def cases(self) -> Iterator[Case]:
        """The same cases for every test."""
        return (self.case(np.random.default_rng(seed)) for seed in range(self.examples))

    def test_a_key_names_each_workload(self) -> None:
        """A latency table and an artifact keep workloads as text."""
        found = [case.workload for case in self.cases()]
        for workload in found:
            assert workload.family in kernels, f"no kernel is registered as '{workload.family}'"
            assert Workload.from_key(workload.key) == workload, f"{workload.key} is read as another workload"
            assert Workload.from_json(workload.to_json()) == workload
            assert workload.symbol.isidentifier()
        assert len({w.symbol for w in found}) == len(set(found))

    def test_arguments_are_in_order(self) -> None:
        """A network calls a kernel with addresses in the order of its buffers, and looks at nothing else."""
        for workload, arguments, _ in self.cases():
            buffers = kernel_for(workload).buffers(workload)
            names, roles = [b.name for b in buffers], [b.role for b in buffers]
            assert len(set(names)) == len(names)
            assert all(name.isidentifier() for name in names)
            outputs = roles.count("output")
            assert outputs in (1, 2), "a kernel has one output, or two"
            assert set(roles[-outputs:]) == {"output"}, "outputs are the last arguments"
            assert all(extent > 0 for b in buffers for extent in b.shape)
            assert {b.name for b in buffers if b.role in ("input", "constant")} == set(arguments)

    def test_functions_take_the_buffers(self) -> None:
        """Each schedule's function has the buffers as its parameters, and beside them nothing but registers.

        It may read four bytes as one number: sizes are compared in bytes.
        """
        from runtime.codegen.kernel_functions import parameters

        for workload, _, _ in self.cases():
            buffers = [b.nbytes for b in parameters(workload, "native")]
            for schedule in _schedules(workload, self.schedules):
                function = _function(workload, schedule)
                found = [_size(p.shape) * np.dtype(str(p.dtype)).itemsize for p in function.params]
                assert found == buffers, f"{workload.key}: the parameters are not the buffers"
                scopes = {b.scope() for b in function.body.block.alloc_buffers}
                assert scopes <= {"local"}, f"{workload.key}: it allocates memory; make it scratch"

    def test_schedules_and_work_are_told(self) -> None:
        """Names of schedules are parts of functions' names; work is counted in multiply-accumulates."""
        for workload, _, _ in self.cases():
            names = _schedules(workload, self.schedules)
            assert len(set(names)) == len(names)
            assert all(f"_{name}".isidentifier() for name in names)
            assert kernel_for(workload).macs(workload) >= 0

    def test_every_schedule_computes_what_is_expected(self) -> None:
        """All of them give the same bits, whatever lay in scratch and output, and change no argument."""
        for workload, arguments, expected in self.cases():
            first, *others = (
                run_kernel(workload, arguments, schedule=name)
                for name in _schedules(workload, self.schedules)
            )
            wanted = expected if isinstance(expected, tuple) else (expected,)
            for found, right in zip(first, wanted, strict=True):
                shown = found.reshape(right.shape)
                np.testing.assert_allclose(shown, right, self.rtol, self.atol, err_msg=workload.key)
            for other in others:
                for one, two in zip(first, other, strict=True):
                    np.testing.assert_array_equal(one, two, f"{workload.key}: schedules differ")


class LoweringConformance(ABC):
    """What every lowering must do: one class of tests a lowering, with layers and images to try it on::

        class TestSquaredReluLowering(LoweringConformance):
            def layer(self, random):
                return SquaredRelu(channels=5), (2, 5, 3, 4)

    Attributes:
        examples: layers that each test sees.
        rtol: how far the compiled layer may be from torch, relative to torch's numbers.
        atol: the same in absolute terms.
    """

    examples: ClassVar[int] = 2
    rtol: ClassVar[float] = 1e-5
    atol: ClassVar[float] = 1e-5

    @abstractmethod
    def layer(self, random: np.random.Generator) -> "tuple[nn.Module, tuple[int, ...]]":
        """A layer whose parameters are as if trained, and an image batch for it, (N, C, H, W)."""

    def graphs(self) -> "Iterator[tuple[nn.Module, Graph]]":
        """The layers, each with its operator graph."""
        from runtime.lowering import lower

        for seed in range(self.examples):
            layer, shape = self.layer(np.random.default_rng(seed))
            yield layer, lower(layer, shape)

    def test_values_fit_the_buffers(self) -> None:
        """Each kernel call has inputs, constants and outputs of the sizes that the kernel takes."""
        for _, graph in self.graphs():
            for node in graph.nodes:
                _require_fit(node)

    def test_weights_decide_no_kernel(self) -> None:
        """A network is timed before it is trained: its kernels are the same whatever its weights are."""
        import torch

        from runtime.lowering import lower

        for layer, graph in self.graphs():
            shape = graph.input.shape
            with torch.no_grad():
                for parameter in layer.parameters():
                    parameter.mul_(0.5)
            assert lower(layer, shape).workloads == graph.workloads

    def test_compiled_layers_agree_with_torch(self) -> None:
        """Compiled alone, a layer gives what torch gives in evaluation mode."""
        import torch

        import runtime

        for layer, graph in self.graphs():
            shape = graph.input.shape
            images = np.random.default_rng(0).standard_normal(shape, np.float32)
            with torch.no_grad():
                expected = layer.eval()(torch.from_numpy(images)).numpy()
            found = runtime.compile(layer, shape).run(images)
            assert found.shape == expected.shape, f"torch gives {expected.shape}, the kernels {found.shape}"
            np.testing.assert_allclose(found, expected, self.rtol, self.atol)


def run_kernel(
    workload: Workload,
    arguments: Mapping[str, NDArray[Any]],
    target: str = "native",
    threads: int = 1,
    schedule: str = "",
) -> Arrays:
    """Compile a kernel, call it once, and return its outputs.

    Args:
        workload: which kernel.
        arguments: arrays for its inputs and constants, as ``Case`` has them.
        target: what it is compiled for; it must run here.
        threads: how many share its work.
        schedule: one of the kernel's; the most promising one if empty.

    Raises:
        AssertionError: an argument is missing or is none of the kernel's, or was changed by the call.
    """
    from runtime.codegen.kernel_functions import kernel_function, parameters
    from runtime.codegen.linking import load
    from runtime.target import cpu_of

    kernel = kernel_for(workload)
    generic = {b.name: _argument(b, arguments) for b in kernel.buffers(workload)}
    unknown = set(arguments) - set(generic)
    assert not unknown, f"not arguments of {workload.key}: {sorted(unknown)}"
    buffers = parameters(workload, target)
    arranged = kernel.arrange(workload, cpu_of(target), generic)
    given = {b.name: _argument(b, arranged) for b in buffers}
    tensors = [_tensor(given[b.name]) for b in buffers]
    function = kernel_function(workload, target, workload.symbol, schedule, threads)
    load({workload.symbol: function}, target, threads)[workload.symbol](*tensors)
    arrays = {b.name: tensor.numpy() for b, tensor in zip(buffers, tensors, strict=True)}
    for buffer in buffers:
        if buffer.role in ("input", "constant"):
            changed = f"{workload.key} writes to '{buffer.name}'"
            np.testing.assert_array_equal(arrays[buffer.name], given[buffer.name], changed)
    return tuple(arrays[b.name] for b in buffers if b.role == "output")


def _argument(buffer: Buffer, arguments: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The array of a buffer: one that is given, or one whose numbers must not matter."""
    if buffer.role in ("scratch", "output"):
        return np.full(buffer.shape, 0x7F, np.dtype(buffer.dtype))
    assert buffer.name in arguments, f"the argument '{buffer.name}' is missing"
    return np.ascontiguousarray(arguments[buffer.name], buffer.dtype).reshape(buffer.shape)


def _tensor(array: NDArray[Any]) -> Any:
    import tvm

    return tvm.runtime.tensor(array, tvm.cpu())


def _schedules(workload: Workload, most: int) -> list[str]:
    """Names of a kernel's most promising schedules; an empty one where there is nothing to choose."""
    from runtime.target import cpu_of

    tiles = kernel_for(workload).tiles(workload, cpu_of("native"))[:most]
    return [str(tile) for tile in tiles] or [""]


def _function(workload: Workload, schedule: str) -> PrimFunc:
    from runtime.codegen.kernel_functions import kernel_function

    return kernel_function(workload, "native", workload.symbol, schedule)


def _size(shape: Iterable[Any]) -> int:
    """Numbers in an array of a shape."""
    return math.prod(int(extent) for extent in shape)


def _require_fit(node: "Node") -> None:
    """Assert that what a node reads and writes has the sizes of its kernel's buffers."""
    constants = {name: array.size for name, array in node.constants.items()}
    buffers = kernel_for(node.workload).buffers(node.workload)
    assert constants == {b.name: _size(b.shape) for b in buffers if b.role == "constant"}
    for role, values in (("input", node.inputs), ("output", node.outputs)):
        own = [b for b in buffers if b.role == role]
        assert len(own) == len(values), f"{node.workload.key}: it has {len(own)} {role}s, not {len(values)}"
        for buffer, value in zip(own, values, strict=True):
            fits = value.layout == "codes" or _size(buffer.shape) == _size(value.shape)  # codes may be packed
            assert fits, f"{node.workload.key}: '{buffer.name}' does not hold {value.shape}"
