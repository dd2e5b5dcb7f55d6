"""What the training scripts of the bundled samples share: seeds, export, card."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "assets" / "samples"
SEED = 2024
OPSET = 17
_STORED = {"Conv": 1, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1, "Gather": 0}  # input that holds the weights


def seed_everything() -> None:
    """Make a run repeatable: one seed, one thread, deterministic kernels."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def export(
    model: nn.Module,
    examples: dict[str, torch.Tensor],
    output: str,
    path: Path,
    fold_constants: bool = False,
) -> None:
    """Write the ONNX file, BatchNormalization unfused, each node named after the module it comes from.

    `examples` are inputs by name, whose first dimension becomes free, and `output` is the name of the only
    output. `fold_constants` stores the weights of linear layers the way MatMul reads them."""
    torch.onnx.export(
        model,
        tuple(examples.values()),
        str(path),
        dynamo=False,  # the exporter by torch.export folds BatchNormalization into Conv
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=fold_constants,
        opset_version=OPSET,
        input_names=list(examples),
        output_names=[output],
        dynamic_axes={name: {0: "N"} for name in (*examples, output)},
    )
    exported = onnx.load(path)
    rename_nodes(exported.graph, output)
    onnx.checker.check_model(exported, full_check=True)
    onnx.save(exported, path)


def rename_nodes(graph: onnx.GraphProto, output: str) -> None:
    """Turn the exporter's `/block1/depthwise/Conv` into `block1.depthwise`, and tensors likewise.

    Of several nodes of a module the one with weights has its name; the others keep their operator's too."""
    graph.name = "main"
    stored = {tensor.name for tensor in graph.initializer}
    paths = [".".join(node.name.strip("/").split("/")[:-1]) for node in graph.node]
    tensors: dict[str, str] = {}
    for node, path in zip(graph.node, paths, strict=True):
        weight = _STORED.get(node.op_type)
        has_weights = weight is not None and node.input[weight] in stored
        alone = bool(path) and (paths.count(path) == 1 or has_weights)
        node.name = path if alone else ".".join(node.name.strip("/").split("/"))
        node.doc_string = ""
        if has_weights and "::" in node.input[weight]:  # a stored tensor that the exporter made up
            tensors[node.input[weight]] = f"{node.name}.weight"
        for position, tensor in enumerate(node.input):
            node.input[position] = tensors.get(tensor, tensor)
        if node.output[0] != output:
            tensors[node.output[0]] = f"{node.name}.output"
            node.output[0] = tensors[node.output[0]]
    for tensor in graph.initializer:
        tensor.name = tensors.get(tensor.name, tensor.name)
    names = [node.name for node in graph.node]
    if "" in names or len(set(names)) < len(names):
        message = f"node names must be unique and not empty, got {names}"
        raise ValueError(message)


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz whose arrays are named after the model's inputs, plus `labels`."""
    np.savez_compressed(path, **arrays)


def write_card(folder: Path, card: dict[str, Any], model: nn.Module) -> None:
    """Write the card: what is given, plus what the file holds and what the engine measures of it."""
    inspected = _command("inspect", f"sample:{folder.name}", card, folder)
    whole = {
        **card,
        "metric_fp32": None,
        "bytes": (folder / "model.onnx").stat().st_size,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "layers": sum(layer["reason"] is None for layer in inspected["layers"]),
    }
    _write(folder, whole)
    measured = _command("evaluate", f"sample:{folder.name}", whole, folder)
    if measured["metric_name"] != card["metric_name"]:
        message = f"the engine measures {measured['metric_name']}"
        raise ValueError(message)
    whole["metric_fp32"] = measured["metric_fp32"]
    _write(folder, whole)
    print(
        f"{folder.name}: {whole['metric_name']} {whole['metric_fp32']:.4f}, {whole['parameters']} parameters"
    )


def _write(folder: Path, card: dict[str, Any]) -> None:
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _command(name: str, model: str, card: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What a command of `quant_core` says of the sample."""
    _write(folder, card)
    more = ("--data", model, "--preset", "fp16") if name == "evaluate" else ()
    command = [sys.executable, "-m", "quant_core", name, model, *more, "--json"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))
