"""Weights of other libraries' networks, torchvision's and timm's, under the names of ours."""

from nas.training.foreign.reading import Foreign, read, translated

__all__ = ["Foreign", "read", "translated"]
