"""Short names for the tensors of a graph, so that names take little of a file."""

from __future__ import annotations

import string
from collections.abc import Collection, Iterator
from itertools import islice

import onnx_ir as ir

_DIGITS = string.ascii_lowercase + string.digits


def short_names(after: int = 0) -> Iterator[str]:
    """a, b, ... z, aa, ba, ... without the first `after` of them."""
    return islice(_all_names(), after, None)


def _all_names() -> Iterator[str]:
    yield from string.ascii_lowercase
    length = 1
    while True:
        for number in range(len(_DIGITS) ** length):
            tail = ""
            for _ in range(length):
                number, digit = divmod(number, len(_DIGITS))
                tail = _DIGITS[digit] + tail
            for head in string.ascii_lowercase:
                yield head + tail
        length += 1


def names_of(model: ir.Model) -> dict[str, str]:
    """A short name for each tensor that `model` stores or computes; its inputs and outputs keep theirs."""
    taken = kept_names(model)
    free = (name for name in short_names() if name not in taken)
    inner = [value.name for value in model.graph.initializers.values()]
    inner += [value.name for node in model.graph.all_nodes() for value in node.outputs]
    return {name: next(free) for name in dict.fromkeys(inner) if name and name not in taken}


def kept_names(model: ir.Model) -> Collection[str]:
    """The names that no other tensor may get: those of inputs and outputs, and what a body calls its own,
    which must not hide a tensor of the graph around it.
    """
    graph = model.graph
    taken = {v.name or "" for v in (*graph.inputs, *graph.outputs)}
    for body in model.graphs():
        if body is not graph:
            taken |= {v.name or "" for v in (*body.inputs, *body.initializers.values())}
    return taken
