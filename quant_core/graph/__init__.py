"""Graphs: an ONNX file, its inputs and outputs, and its layers with shapes, parameters, MACs and bytes."""

from quant_core.graph.cut import Segment, cut_segments, stretch, suffix
from quant_core.graph.describe import Port, count_parameters, inputs_of, outputs_of
from quant_core.graph.file import ModelFile, read_model
from quant_core.graph.graph import Graph
from quant_core.graph.layers import Layer, Reason, weight_chain
from quant_core.graph.opset import opset_of, raise_opset

__all__ = [
    "Graph",
    "Layer",
    "ModelFile",
    "Port",
    "Reason",
    "Segment",
    "count_parameters",
    "cut_segments",
    "inputs_of",
    "opset_of",
    "outputs_of",
    "raise_opset",
    "read_model",
    "stretch",
    "suffix",
    "weight_chain",
]
