"""Compiles a graph of kernels into a library: code, memory, threads."""
