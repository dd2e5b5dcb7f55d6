"""A model of 2.5 GB with external data: opened by its path, its layers shown, int4 weights written.

    python benchmarks/large.py [--layers 40] [--size 4096]

The model is made of random square matrices. Each step runs in a process of its own, as the command line, and
prints how long it took and the most memory it had (resident, file pages included)."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20


def generate(folder: Path, layers: int, size: int) -> Path:
    """The model: `layers` products with matrices of `size` x `size`, their weights in one file beside it."""
    rng = np.random.default_rng(0)
    block = (rng.standard_t(5, (size, size)) / size).astype(np.float32)
    nodes, tensors, offset = [], [], 0
    with (folder / "weights.bin").open("wb") as file:
        for number in range(layers):
            tensor = onnx.TensorProto(name=f"w{number}", data_type=TensorProto.FLOAT, dims=[size, size])
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", "weights.bin"), ("offset", offset), ("length", block.nbytes)):
                tensor.external_data.add(key=key, value=str(value))
            tensors.append(tensor)
            offset += file.write(np.roll(block, number).tobytes())
            enters, leaves = f"h{number}" if number else "x", f"h{number + 1}" if number < layers - 1 else "y"
            nodes.append(helper.make_node("MatMul", [enters, f"w{number}"], [leaves], name=f"layer{number}"))
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", size]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "large", ports[:1], ports[1:], tensors)
    path = folder / "large.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


def peak_of(process: subprocess.Popen[bytes]) -> int:
    """Bytes that `process` and its children had at most, looked at ten times a second."""
    import psutil

    most = 0
    while process.poll() is None:
        try:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            most = max(most, *(member.memory_info().rss for member in family))
        except (psutil.NoSuchProcess, ValueError):
            pass
        time.sleep(0.05)
    return most


def step(title: str, home: Path, *arguments: str) -> dict:
    """Run a command, say what it took, give its JSON."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        command = [sys.executable, "-m", "quant_core", *arguments, "--json"]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=out, env=os.environ | {"QUANTSCOPE_HOME": str(home)}
        )
        most = peak_of(process)
        out.seek(0)
        text = out.read()
    took = time.perf_counter() - began
    print(f"{title:28} {took:7.1f} s   peak {most / MIB:7.0f} MiB   exit {process.returncode}", flush=True)
    return json.loads(text) if process.returncode == 0 else {}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=40)
    parser.add_argument("--size", type=int, default=4096)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = generate(folder, asked.layers, asked.size)
        whole = sum(file.stat().st_size for file in (path, folder / "weights.bin"))
        print(f"{asked.layers} layers, {whole / 1e9:.2f} GB")
        found = step("inspect", folder / "home", "inspect", str(path))
        print(f"{'':28} {len(found.get('layers', []))} layers, {found.get('parameters', 0):,} parameters")
        out = folder / "int4.onnx"
        step(
            "export int4-weights",
            folder / "home",
            "export",
            str(path),
            "--preset",
            "int4-weights",
            "--out",
            str(out),
        )
        if out.is_file():
            print(f"{'':28} {out.stat().st_size:,} bytes, {100 * out.stat().st_size / whole:.1f} %")


if __name__ == "__main__":
    main()
