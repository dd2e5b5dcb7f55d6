"""Quantscope's core: quantization of ONNX models that can be seen, measured and certified.

The flow of data is the order of the rooms: formats, graph, data, stats, plan, lower, engine, prepare, search,
store, figures. `study.Study` is the facade that the pages and the command line use.
"""
