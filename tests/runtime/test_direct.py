"""How a compiled network calls its kernels, and how much code both have."""

import numpy as np
import pytest
import tvm_ffi
from torch import nn

from runtime.codegen.assembly import ENTRY, assemble
from runtime.codegen.code_size import function_sizes
from runtime.codegen.direct import PACKED_PREFIX
from runtime.codegen.linking import link
from runtime.codegen.timed_kernels import SINGLE_CALL, TIMED_C, blocks_of, code_symbol, link_schedules
from runtime.lowering import lower
from runtime.network import aligned_array
from runtime.workload import Conv2d, Relu

CALL_BYTES = 60  # at most: addresses in registers, and the call


def network(calls):
    """A model of so many more kernels that are all one."""
    return nn.Sequential(nn.Conv2d(1, 16, 1), *[nn.MaxPool2d(1) for _ in range(calls)]).eval()


def entry_bytes(calls, library, monkeypatch):
    """The code that calls the kernels."""

    def keep(*arguments, source):
        link(*arguments, has_symbols=True, source=source)

    monkeypatch.setattr("runtime.codegen.assembly.link", keep)
    assemble(lower(network(calls), (1, 1, 4, 4)), "native", library, {})
    return function_sizes(library)[PACKED_PREFIX + ENTRY]


def test_a_call_is_short(tmp_path, monkeypatch):
    few, many = (entry_bytes(calls, tmp_path / "network.so", monkeypatch) for calls in (4, 24))
    assert 0 < (many - few) / 20 < CALL_BYTES


def test_the_code_of_a_kernel_is_found_by_its_schedule(tmp_path):
    work = [Relu(1, 64), Conv2d(1, 6, 6, 3, 1, 1, 16, 16, 1, "float", "float")]
    relu, convolution = link_schedules(work, "native", 3, tmp_path / "kernels.so")
    sizes = function_sizes(tmp_path / "kernels.so")
    (small,) = (sizes[code_symbol(work[0], schedule)] for schedule in relu)
    large = [sizes[code_symbol(work[1], schedule)] for schedule in convolution]
    assert len(set(large)) == 3, "each way of making it has code of its own"
    assert 0 < small < min(large)


@pytest.mark.parametrize("content", [b"", b"no library", b"\x7fELF\x00"])
def test_what_is_no_library_has_no_sizes(tmp_path, content):
    (tmp_path / "other").write_bytes(content)
    assert function_sizes(tmp_path / "other") == {}


def blocks_with(workload, values):
    """The memory of a kernel that is timed alone, with values as its input; and its output there."""
    workspace, constants = blocks_of(workload, "native")
    memory = [aligned_array((max(1, block.nbytes),), np.uint8) for block in (workspace, constants)]
    input, output = (
        memory[0][offset : offset + 4 * workload.size].view(np.float32)
        for offset in workspace.offsets.values()
    )
    input[:], output[:] = values, -1
    return memory, output


@pytest.mark.parametrize("threads", [1, 2])
def test_what_times_a_kernel_calls_it_on_its_memory(tmp_path, threads):
    work, values = Relu(1, 64), np.linspace(-1, 1, 64, dtype=np.float32)
    ((name,),) = (found.values() for found in link_schedules([work], "native", 1, tmp_path / "k.so", threads))
    module = tvm_ffi.load_module(str(tmp_path / "k.so"))
    for function, count, is_called in ((name, [0], False), (name, [1], True), (name + SINGLE_CALL, [], True)):
        memory, output = blocks_with(work, values)
        getattr(module, function)(*memory, *count)
        np.testing.assert_array_equal(output, np.maximum(values, 0) if is_called else -1)


def test_what_times_a_kernel_calls_it_as_often_as_it_is_told(tmp_path):
    counted = (
        "static int32_t counted(unsigned char *calls) { return calls[0]++, 0; }\nTIMED(k, counted(workspace))"
    )
    source = TIMED_C.read_text(encoding="utf-8") + counted
    link([], ["k", f"k{SINGLE_CALL}"], "native", tmp_path / "k.so", threads=1, source=source)
    module = tvm_ffi.load_module(str(tmp_path / "k.so"))
    calls, nothing = aligned_array((1,), np.uint8), aligned_array((1,), np.uint8)
    for count, together in ((0, 0), (1, 1), (7, 8)):
        module.k(calls, nothing, count)
        assert calls[0] == together
    getattr(module, f"k{SINGLE_CALL}")(calls, nothing)
    assert calls[0] == 9
