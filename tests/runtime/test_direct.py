"""How a compiled network calls its kernels, and how much code both have."""

import pytest
from torch import nn

from runtime.codegen.assembly import ENTRY, assemble, code_symbol, link_schedules
from runtime.codegen.code_size import function_sizes
from runtime.codegen.direct import PACKED
from runtime.lowering import lower
from runtime.workload import Conv2d, Relu

CALL_BYTES = 60  # at most: addresses in registers, and the call


def network(calls):
    """A model of so many more kernels that are all one."""
    return nn.Sequential(nn.Conv2d(1, 16, 1), *[nn.MaxPool2d(1) for _ in range(calls)]).eval()


def entry_bytes(calls, library, monkeypatch):
    """The code that calls the kernels."""

    def keep(parts, entries, target, library, threads):
        link(parts, entries, target, library, threads, has_symbols=True)

    from runtime.codegen.linking import link

    monkeypatch.setattr("runtime.codegen.assembly.link", keep)
    assemble(lower(network(calls), (1, 1, 4, 4)), "native", library, {})
    return function_sizes(library)[PACKED + ENTRY]


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
