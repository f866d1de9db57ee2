"""The reference kernel: always the same work, so that a change of its time is a change of the machine."""

from pathlib import Path

Buffers = list[tuple[tuple[int, ...], str]]


def compile_reference(target: str, library: Path) -> Buffers:
    """Compile ``reference``, a 1x1 convolution of 64 channels on 14x14 pixels, and list its arguments."""
    from runtime.assembly import kernel_function, parameters
    from runtime.linking import link
    from runtime.workload import Conv2d

    workload = Conv2d(1, 14, 14, 1, 1, 0, 64, 64, 1, "float", "float")
    functions = {"reference": kernel_function(workload, target, "reference", "")}
    link(functions, ["reference"], target, library, 1)
    return [(buffer.shape, buffer.dtype) for buffer in parameters(workload)]
