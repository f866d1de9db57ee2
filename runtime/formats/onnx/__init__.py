"""Torch models as ONNX, in standard operators; weights of few bits are packed, and decoded in the graph."""
