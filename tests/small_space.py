"""A plug-in: spaces of few kernels, for searches of commands whose compiling and timing take seconds."""

from dataclasses import replace

from search_spaces.search_space import TINY, spaces

SMALL_SPACE = replace(
    TINY,
    name="small-space",
    description="8x8 grey images: two separable blocks, a precision per layer",
    stages=((32,), (64,)),
    stem_widths=(16,),
    kinds=("separable",),
    kernels=(3,),
    strides=(2,),
    repeats=(1,),
    precisions=("float", "ternary"),
)
spaces.add(SMALL_SPACE.name, SMALL_SPACE)
