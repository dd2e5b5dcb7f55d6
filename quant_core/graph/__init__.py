"""Graphs: an ONNX file, its inputs and outputs, and its layers with shapes, parameters, MACs and bytes."""

from quant_core.graph.blocks import fold, repeated_blocks
from quant_core.graph.cut import SEGMENTS, Segment, around, cut_segments, stretch, suffix
from quant_core.graph.describe import Port, count_parameters, inputs_of, outputs_of
from quant_core.graph.file import ModelFile, read_model, runnable
from quant_core.graph.flow import Flow, Read, peak_alive, tensor_flow
from quant_core.graph.graph import Graph
from quant_core.graph.indices import index_rows
from quant_core.graph.layers import Layer, Reason, weight_chain
from quant_core.graph.names import kept_names, names_of, short_names
from quant_core.graph.nodes import INPUT, OUTPUT, Node, Part, edges_between, graph_nodes, merge_small
from quant_core.graph.operators import bodies_of, every_node, product_of, slots_of
from quant_core.graph.opset import opset_of, raise_opset
from quant_core.graph.quantized import Entering, QuantizedLayer, Stored, read_quantized
from quant_core.graph.shapes import sizes_of

__all__ = [
    "INPUT",
    "OUTPUT",
    "SEGMENTS",
    "Entering",
    "Flow",
    "Graph",
    "Layer",
    "ModelFile",
    "Node",
    "Part",
    "Port",
    "QuantizedLayer",
    "Read",
    "Reason",
    "Segment",
    "Stored",
    "around",
    "bodies_of",
    "count_parameters",
    "cut_segments",
    "edges_between",
    "every_node",
    "fold",
    "graph_nodes",
    "index_rows",
    "inputs_of",
    "kept_names",
    "merge_small",
    "names_of",
    "opset_of",
    "outputs_of",
    "peak_alive",
    "product_of",
    "raise_opset",
    "read_model",
    "read_quantized",
    "repeated_blocks",
    "runnable",
    "short_names",
    "sizes_of",
    "slots_of",
    "stretch",
    "suffix",
    "tensor_flow",
    "weight_chain",
]
