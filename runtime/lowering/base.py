"""What a lowering is: how the layers of a class, such as a plug-in's, become kernel calls."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from runtime.graph import Value
from runtime.lowering.rulebook import At
from search_spaces.registry import Registry

if TYPE_CHECKING:
    from torch import nn


class Lowering(ABC):
    """Lowers the layers of one class, in evaluation mode; a trace does not enter them.

    What it serves is of its class, or of a subclass that changes nothing of what that class computes. Such a
    layer takes one tensor and gives one; an attribute ``inplace`` says that it changes that tensor.

    A lowering holds no state: one object serves all models and threads. ``lower`` is called once for each
    call of a layer, before anything is compiled and while nothing is trained, with weights that may have no
    numbers: a search lowers thousands of networks that are never made. So it reads shapes and options of the
    layer, and no weights. These are read by the constants that it hands to ``at.emit``, which are called once
    the network is compiled, perhaps never, perhaps again; the arrays that they give are the caller's. The
    layer stays as it is.

    A step that has no kernel of its own may be made of several: ``at.emit`` returns a value that others take.
    ``runtime.testing.LoweringConformance`` checks all of it::

        class SquaredReluLowering(Lowering):
            layer = SquaredRelu

            def lower(self, at, input):
                value = at.tensor(input)
                workload = SquaredReluWork(value.shape[0], pixels(value), value.shape[-1])
                scale = at.constants(lambda own: {"scale": numbers(own, own.scale)})
                return at.emit(workload, [value], value.shape, scale)

        lowerings.add("squared_relu", SquaredReluLowering())
    """

    layer: "ClassVar[type[nn.Module]]"
    """The class of the layers, which has no other lowering."""

    is_view: ClassVar[bool] = False
    """Whether torch may give the memory of the tensor that comes in, under another shape."""

    @abstractmethod
    def lower(self, at: At, input: Value) -> Value:
        """Add the kernel calls of the layer ``at.layer``, and give the value that the last one writes.

        Args:
            at: where: the layer and its name, and ``emit``, which adds a call.
            input: what comes in. Images are (N, H, W, C) here, whatever they are in torch, rows (N, F).

        Raises:
            UnsupportedLayerError: by ``at.require``, an option of the layer or a shape that is not computed.
        """


lowerings: Registry[Lowering] = Registry("lowering", "lowerings")


def kind_served(lowering: Any) -> "type[nn.Module] | None":
    """The class whose layers a lowering serves; None where it is none, or has none."""
    from torch import nn

    kind = getattr(lowering, "layer", None)
    is_kind = isinstance(kind, type) and issubclass(kind, nn.Module)
    return kind if is_kind and isinstance(lowering, Lowering) else None
