"""Rules for parts of tensors: slices, splits and chunks, and their joining."""

import math
import operator
from dataclasses import replace
from typing import Any

import torch

from runtime.graph import Value
from runtime.lowering.arrangement import Arranged, Tensor, arranged
from runtime.lowering.arranging_rules import axis_of, canonical, reshaped
from runtime.lowering.rulebook import At, rule, torch_shape
from runtime.workload import Concat, Slice, Subsample

Parts = tuple[Tensor, ...]
Index = tuple[Any, ...]


@rule(torch.chunk, "chunk", view=True, takes="any")
def _chunk(at: At, input: Tensor, chunks: Any, dim: Any = 0) -> Parts:
    at.require(isinstance(chunks, int) and chunks > 0, f"{chunks!r} is no number of chunks")
    axis, size = _axis(at, input, dim)
    return _split_evenly(at, input, -(-size // chunks), axis, size)


@rule(torch.split, "split", view=True, takes="any")
def _split(at: At, tensor: Tensor, split_size_or_sections: Any, dim: Any = 0) -> Parts:
    axis, size = _axis(at, tensor, dim)
    given = split_size_or_sections
    if isinstance(given, int):
        at.require(given > 0, f"{given} is no size of parts")
        return _split_evenly(at, tensor, given, axis, size)
    at.require(isinstance(given, tuple | list), f"{given!r} are no sizes of parts")
    at.require(sum(given) == size and min(given) > 0, f"{tuple(given)} are no parts of {size}")
    starts = [sum(given[:i]) for i in range(len(given))]
    return tuple(
        part(at, tensor, axis, start, n, f"{i}")
        for i, (start, n) in enumerate(zip(starts, given, strict=True))
    )


@rule(torch.narrow, "narrow", view=True, takes="any")
def _narrow(at: At, input: Tensor, dim: Any, start: Any, length: Any) -> Tensor:
    axis, size = _axis(at, input, dim)
    whole = isinstance(start, int) and isinstance(length, int)
    first = start + size if whole and start < 0 else start
    at.require(whole and 0 <= first < first + length <= size, f"{length} from {start} on are not in {size}")
    return part(at, input, axis, first, length)


def _split_evenly(at: At, tensor: Tensor, each: int, axis: int, size: int) -> Parts:
    starts = range(0, size, each)
    return tuple(
        part(at, tensor, axis, start, min(each, size - start), f"{start // each}") for start in starts
    )


def _axis(at: At, tensor: Tensor, dim: Any) -> tuple[int, int]:
    """A dimension that is not that of images, and its size."""
    shape = torch_shape(at.any_tensor(tensor))
    axis = axis_of(at, dim, len(shape))
    at.require(axis > 0, "the images of a batch are not computed apart; name another dimension")
    return axis, shape[axis]


def part(at: At, value: Tensor, axis: int, start: int, count: int, name: str = "") -> Tensor:
    """Some of a tensor along one of torch's axes."""
    tensor = arranged(value)
    if count == tensor.shape[axis]:
        return value
    tensor, own = at.in_one_piece(tensor, axis)
    before, behind = math.prod(tensor.sizes[1:own]), math.prod(tensor.sizes[own + 1 :])
    batch, size = tensor.sizes[0], tensor.sizes[own]
    work = Slice(batch, before, size * behind, start * behind, count * behind)
    sizes = (*tensor.sizes[:own], count, *tensor.sizes[own + 1 :])
    written = at.emit(work, [tensor.value], (batch, math.prod(sizes[1:])), part=name)
    return canonical(Arranged(written, sizes, tensor.axes).simple())


@rule(operator.getitem, view=True, takes="any")
def _getitem(at: At, input: Any, index: Any) -> Any:
    if isinstance(input, tuple):  # of parts
        known = isinstance(index, slice) or (isinstance(index, int) and -len(input) <= index < len(input))
        fewer = "a chunk that does not divide evenly gives fewer parts than it names; name those"
        at.require(known, f"it asks for part {index!r} of {len(input)}, counted from 0; {fewer}")
        return input[index]
    shape = torch_shape(at.any_tensor(input))
    given = _completed(at, index if isinstance(index, tuple) else (index,), len(shape))
    steps = tuple(each.step or 1 for each in given if isinstance(each, slice))
    input, given = _strided(at, input, given, steps)
    shape = torch_shape(input)
    wanted: list[int] = []
    axis = 0
    for each in given:
        if each is None:
            wanted.append(1)
            continue
        start, count = _range(at, each, shape[axis])
        at.require(axis or count == shape[0], "the images of a batch are not computed apart; begin with ':'")
        input = part(at, input, axis, start, count, f"axis{axis}") if axis else input
        wanted += [count] if isinstance(each, slice) else []
        axis += 1
    return reshaped(at, input, tuple(wanted))


def _completed(at: At, index: tuple[Any, ...], rank: int) -> tuple[Any, ...]:
    """An index with a slice for each dimension."""
    simple = all(each is None or each is ... or isinstance(each, int | slice) for each in index)
    at.require(simple, "only numbers, slices, None and ... are computed in an index")
    named = sum(each is not None and each is not ... for each in index)
    at.require(named <= rank and index.count(...) <= 1, f"it has {named} indices for {rank} dimensions")
    whole = (slice(None),) * (rank - named)
    if ... in index:
        place = index.index(...)
        return (*index[:place], *whole, *index[place + 1 :])
    return (*index, *whole)


def _strided(
    at: At, input: Tensor, given: tuple[Any, ...], steps: tuple[int, ...]
) -> tuple[Tensor, tuple[Any, ...]]:
    """Every so many rows and columns, taken; of the index what is left to do."""
    if set(steps) <= {1}:
        return input, given
    whole = all(isinstance(each, slice) and each.start in (None, 0) and each.stop is None for each in given)
    fits = len(given) == len(steps) == 4 and steps[:2] == (1, 1) and steps[2] == steps[3] > 1 and whole
    at.require(fits, "only steps through rows and columns alike are computed: x[:, :, ::2, ::2]")
    image = at.image(at.plain(input))
    n, height, width, channels = image.shape
    work = Subsample(n, height, width, channels, steps[2], 0)
    found = at.emit(work, [image], (n, work.out_height, work.out_width, channels), part="steps")
    return found, (slice(None),) * 4


def _range(at: At, index: int | slice, size: int) -> tuple[int, int]:
    """Where an index begins, and how many it takes."""
    if isinstance(index, int):
        at.require(-size <= index < size, f"index {index} is not in {size}")
        return index % size, 1
    whole = all(end is None or isinstance(end, int) for end in (index.start, index.stop))
    at.require(whole, f"{index} is no slice by whole numbers")
    start, stop, _ = slice(index.start, index.stop).indices(size)
    at.require(stop > start, f"nothing is in {start}:{stop} of {size}")
    return start, stop - start


@rule(torch.cat, torch.concat, torch.concatenate, takes="any")
def _concat(at: At, tensors: Any, dim: int = 0) -> Tensor:
    is_list = isinstance(tensors, list | tuple) and tensors and all(isinstance(t, Tensor) for t in tensors)
    at.require(is_list, "only a list of tensors is concatenated")
    shapes = [torch_shape(tensor) for tensor in tensors]
    axis = axis_of(at, dim, len(shapes[0]))
    at.require(axis > 0, "the images of batches are not put into one; name another dimension")
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    at.require(len(others) == 1, f"shapes {', '.join(map(str, shapes))} differ in more than dimension {dim}")
    if all(isinstance(each, Value) for each in tensors) and axis == 1:
        n, *plane, _ = tensors[0].shape
        channels = tuple(each.shape[-1] for each in tensors)
        return at.emit(Concat(n, math.prod(plane), channels), list(tensors), (n, *plane, sum(channels)))
    return _joined(at, tensors, axis)


def _joined(at: At, tensors: Any, axis: int) -> Tensor:
    """Tensors whose axes lie in memory as torch has them, one after the other along one of these."""
    shapes = [torch_shape(tensor) for tensor in tensors]
    n, *rest = shapes[0]
    before, behind = math.prod(rest[: axis - 1]), math.prod(rest[axis:])
    shape = (*shapes[0][:axis], sum(each[axis] for each in shapes), *shapes[0][axis + 1 :])
    values = [at.in_order(tensor).value for tensor in tensors]
    sizes = tuple(each[axis] * behind for each in shapes)
    written = at.emit(Concat(n, before, sizes), values, (n, before * sum(sizes)))
    own = arranged(replace(written, layout="rows")).reshaped(shape)
    return canonical(own)
