"""What the training scripts on digits share: data, training loop, card.

The data are scikit-learn's handwritten digits: 1,797 images of 8 x 8 pixels, values 0..16 divided by 16.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from common import SAMPLES, SEED, export
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

EVALUATION_IMAGES = 600
CALIBRATION_IMAGES = 200
INPUT, OUTPUT = "input", "logits"
DATA = (
    "The handwritten digits of scikit-learn, 1,797 grey images of 8 x 8 pixels: the test part of the UCI "
    "data set 'Optical recognition of handwritten digits' by E. Alpaydin and C. Kaynak (1998). Pixel "
    "values 0..16 are divided by 16. Seeded, stratified split: {train} images to train on, {calibration} to "
    "calibrate on, {evaluation} to evaluate on, none of them shared."
)
LICENCE = "Data: CC BY 4.0 (UCI Machine Learning Repository). Model: Apache-2.0."


@dataclass(frozen=True)
class Part:
    """Images float32 [samples, 1, 8, 8] in 0..1 and labels int64 [samples]."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]

    def save(self, path: Path) -> None:
        """Write an .npz whose arrays are named after the model input, plus `labels`."""
        np.savez_compressed(path, **{INPUT: self.images, "labels": self.labels})


@dataclass(frozen=True)
class Digits:
    """Three parts that share no image."""

    train: Part
    calibration: Part
    evaluation: Part


def load_data() -> Digits:
    """Split the digits in train, calibration and evaluation: seeded, stratified by label."""
    source = load_digits()
    images = (source.images[:, None] / 16.0).astype(np.float32)
    labels = source.target.astype(np.int64)
    rest, evaluation = train_test_split(
        np.arange(len(labels)), test_size=EVALUATION_IMAGES, random_state=SEED, stratify=labels
    )
    train, calibration = train_test_split(
        rest, test_size=CALIBRATION_IMAGES, random_state=SEED, stratify=labels[rest]
    )
    return Digits(*(Part(images[rows], labels[rows]) for rows in (train, calibration, evaluation)))


def shift(images: torch.Tensor) -> torch.Tensor:
    """Move each image of [samples, 1, 8, 8] by up to one pixel in both directions, filling with zero."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    samples, _, height, width = images.shape
    rows = torch.randint(3, (samples, 1, 1)) + torch.arange(height)[:, None]
    columns = torch.randint(3, (samples, 1, 1)) + torch.arange(width)
    return padded[torch.arange(samples)[:, None, None], 0, rows, columns][:, None]


def train(model: nn.Module, part: Part, epochs: int, batch_size: int = 64, peak_rate: float = 5e-3) -> None:
    """Train with AdamW and one cycle of the learning rate; leaves the model in inference mode."""
    images, labels = torch.from_numpy(part.images), torch.from_numpy(part.labels)
    steps = len(labels) // batch_size
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_rate, epochs=epochs, steps_per_epoch=steps)
    model.train()
    for epoch in range(epochs):
        order = torch.randperm(len(labels))
        total = 0.0
        for step in range(steps):
            rows = order[step * batch_size : (step + 1) * batch_size]
            logits = model(shift(images[rows]))
            loss = nn.functional.cross_entropy(logits, labels[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        if (epoch + 1) % 10 == 0:
            print(f"epoch {epoch + 1}/{epochs}: loss {total / steps:.4f}")
    model.eval()


def accuracy(path: Path, part: Part) -> float:
    """Top-1 of an ONNX file by ONNX Runtime."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run([OUTPUT], {INPUT: part.images})
    return float(np.mean(np.argmax(logits, axis=1) == part.labels))


def write_sample(
    name: str, title: str, description: str, model: nn.Module, data: Digits, constructed: str | None = None
) -> None:
    """Write `assets/samples/<name>/`: model, calibration and evaluation data, card."""
    folder = SAMPLES / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    export(model, {INPUT: torch.zeros(1, 1, 8, 8)}, OUTPUT, path)
    data.calibration.save(folder / "calibration.npz")
    data.evaluation.save(folder / "evaluation.npz")
    counts = {key: len(getattr(data, key).labels) for key in ("train", "calibration", "evaluation")}
    nodes = onnx.load(path).graph.node
    card = {
        "name": name,
        "title": title,
        "task": "classification",
        "description": description,
        "data": DATA.format(**counts),
        "licence": LICENCE,
        "metric_name": "top-1",
        "metric_fp32": accuracy(path, data.evaluation),
        "bytes": path.stat().st_size,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "layers": sum(node.op_type in {"Conv", "Gemm"} for node in nodes),
        "input": {"name": INPUT, "shape": ["N", 1, 8, 8], "dtype": "float32", "range": [0.0, 1.0]},
        "samples": {key: counts[key] for key in ("calibration", "evaluation")},
        "constructed": constructed,
        "class_names": [str(digit) for digit in range(10)],
    }
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(f"{name}: top-1 {card['metric_fp32']:.4f}, {card['parameters']} parameters, {card['bytes']} bytes")
