"""Cycles of the kernels' inner loops on CPUs that are not here, as llvm-mca predicts them."""
