"""Graphs: an ONNX file, its inputs and outputs, and its layers with shapes, parameters, MACs and bytes."""

from quant_core.graph.blocks import fold, repeated_blocks
from quant_core.graph.cut import Segment, cut_segments, stretch, suffix
from quant_core.graph.describe import Port, count_parameters, inputs_of, outputs_of
from quant_core.graph.file import ModelFile, read_model
from quant_core.graph.graph import Graph
from quant_core.graph.indices import index_rows
from quant_core.graph.layers import Layer, Reason, weight_chain
from quant_core.graph.nodes import INPUT, OUTPUT, Node, Part, edges_between, graph_nodes, merge_small
from quant_core.graph.opset import opset_of, raise_opset

__all__ = [
    "INPUT",
    "OUTPUT",
    "Graph",
    "Layer",
    "ModelFile",
    "Node",
    "Part",
    "Port",
    "Reason",
    "Segment",
    "count_parameters",
    "cut_segments",
    "edges_between",
    "fold",
    "graph_nodes",
    "index_rows",
    "inputs_of",
    "merge_small",
    "opset_of",
    "outputs_of",
    "raise_opset",
    "read_model",
    "repeated_blocks",
    "stretch",
    "suffix",
    "weight_chain",
]
