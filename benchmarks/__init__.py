"""Benchmarks: our kernels and networks beside their rivals, as ratios from one run on one thread."""
