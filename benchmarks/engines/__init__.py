"""Whole networks in other engines: onnxruntime, OpenVINO, ncnn and LiteRT, in float and in int8."""
