"""Functions of a model that call each other without end, or that would fill memory once they are written
out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container

import onnx

from quant_core.errors import ModelError
from quant_core.graph.walks import shown, walk

_Key = tuple[str, str, str]


def as_graph(function: onnx.FunctionProto) -> onnx.GraphProto:
    """The nodes of a function as a graph, its parameters as inputs and outputs without types."""
    made = onnx.GraphProto(node=function.node, name=function.name)
    for name in function.input:
        made.input.add(name=name)
    for name in function.output:
        made.output.add(name=name)
    return made


def check_functions(proto: onnx.ModelProto, name: str, most: int) -> None:
    """ModelError where functions form a ring, or the graph has more than `most` nodes with all of them
    written out where they are called."""
    if not proto.functions:
        return
    known = {(f.domain, f.name, f.overload): f for f in proto.functions}
    calls = {key: _calls(as_graph(f), known) for key, f in known.items()}
    sizes: dict[_Key, int] = {}
    for start in known:
        path, open_now = [start], {start}
        while path:
            current = path[-1]
            wanted = next((c for c in calls[current] if c is not None and c not in sizes), None)
            if wanted is None:
                sizes[current] = sum(n * (1 if c is None else sizes[c]) for c, n in calls[current].items())
                open_now.discard(path.pop())
            elif wanted in open_now:
                raise ModelError(
                    f"the function '{shown(wanted[1])}' in '{name}' calls itself", "export the model again"
                )
            else:
                path.append(wanted)
                open_now.add(wanted)
    total = sum(n * (1 if c is None else sizes[c]) for c, n in _calls(proto.graph, known).items())
    if total > most:
        raise ModelError(
            f"'{name}' has more than {most:,} nodes once its functions are written out",
            "split the model, or simplify it first",
        )


def _calls(graph: onnx.GraphProto, known: Container[_Key]) -> Counter[_Key | None]:
    """How often each function is called, in bodies too, and None for all other nodes together."""
    found: Counter[_Key | None] = Counter()
    for current in walk(graph):
        for node in current.node:
            key = (node.domain, node.op_type, node.overload)
            found[key if key in known else None] += 1
    return found
