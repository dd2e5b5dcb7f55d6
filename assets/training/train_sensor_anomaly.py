"""Train the sample `sensor-anomaly`: an autoencoder of machine sensors, which rebuilds what is faulty badly.

Run from the root of the repository: `python assets/training/train_sensor_anomaly.py` (a minute or two).
"""

from __future__ import annotations

import numpy as np
import torch
from common import SAMPLES, SEED, export, save_arrays, seed_everything, write_card
from machine import CHANNELS, FAULTS, STEPS, make_windows
from numpy.typing import NDArray
from torch import nn

NAME = "sensor-anomaly"
INPUT, OUTPUT = "window", "rebuilt"
WIDTHS = (24, 48, 64)
CODE = 10
COUNTS = {"train": 6000, "calibration": 200, "evaluation": 600}
EVALUATION_FAULTS = 240
EPOCHS, BATCH, PEAK_RATE = 40, 64, 4e-3


class Autoencoder(nn.Module):
    """Three strided convolutions, a code of a few numbers, and the way back by transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        widths = (len(CHANNELS), *WIDTHS)
        self.order: list[str] = []
        for i in (1, 2, 3):
            self._add(f"down{i}", nn.Conv1d(widths[i - 1], widths[i], 5, 2, 2, bias=False))
            self._add(f"down{i}_bn", nn.BatchNorm1d(widths[i]))
            self._add(f"down{i}_relu", nn.ReLU())
        size = widths[3] * (STEPS // 8)
        self._add("flatten", nn.Flatten())
        self._add("code", nn.Linear(size, CODE))
        self._add("decode", nn.Linear(CODE, size))
        self._add("unflatten", nn.Unflatten(1, (widths[3], STEPS // 8)))
        for i in (3, 2, 1):
            self._add(f"up{i}_relu", nn.ReLU())
            self._add(f"up{i}", nn.ConvTranspose1d(widths[i], widths[i - 1], 4, 2, 1, bias=i == 1))
            if i > 1:
                self._add(f"up{i}_bn", nn.BatchNorm1d(widths[i - 1]))

    def _add(self, name: str, module: nn.Module) -> None:
        self.add_module(name, module)
        self.order.append(name)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Windows [samples, 6, 64] to the same: the modules in the order they were added."""
        for name in self.order:
            x = getattr(self, name)(x)
        return x


def train(model: nn.Module, windows: NDArray[np.float32]) -> None:
    """Train on the squared error of normal windows; leaves the model in inference mode."""
    source = torch.from_numpy(windows)
    steps = len(source) // BATCH
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, epochs=EPOCHS, steps_per_epoch=steps)
    model.train()
    for epoch in range(EPOCHS):
        order = torch.randperm(len(source))
        total = 0.0
        for at in range(steps):
            batch = source[order[at * BATCH : (at + 1) * BATCH]]
            loss = nn.functional.mse_loss(model(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        if (epoch + 1) % 5 == 0:
            print(f"epoch {epoch + 1}/{EPOCHS}: loss {total / steps:.5f}", flush=True)
    model.eval()


def main() -> None:
    """Train, export and write the sample's folder."""
    seed_everything()
    model = Autoencoder()
    train(model, make_windows(COUNTS["train"], 0, SEED)[0])

    folder = SAMPLES / NAME
    folder.mkdir(parents=True, exist_ok=True)
    export(model, {INPUT: torch.zeros(1, len(CHANNELS), STEPS)}, OUTPUT, folder / "model.onnx")
    for part, faults, seed in (
        ("calibration", 0, SEED + 1),
        ("evaluation", EVALUATION_FAULTS, SEED + 2),
    ):
        windows, labels = make_windows(COUNTS[part], faults, seed)
        save_arrays(folder / f"{part}.npz", {INPUT: windows, "labels": labels})
    card = {
        "name": NAME,
        "title": "Machine sensors, anomaly detection",
        "task": "anomaly",
        "description": "An autoencoder of three convolutions over time, a code of "
        f"{CODE} numbers and three transposed convolutions. It has learned normal windows only: what it "
        f"rebuilds "
        "badly is an anomaly. The score is the squared error of a window, so quantization noise hides "
        "faint faults.",
        "data": "Generated: no machine was measured. A seeded script (assets/training/machine.py) makes "
        "windows of "
        f"{STEPS} time steps of {len(CHANNELS)} channels ({', '.join(CHANNELS)}). {COUNTS['train']:,} "
        f"normal ones "
        f"to train on, {COUNTS['calibration']} normal ones to calibrate on, {COUNTS['evaluation']} to "
        f"evaluate on, "
        f"of which {EVALUATION_FAULTS} have a fault ({', '.join(FAULTS)}) from faint to strong and the "
        f"label 1.",
        "licence": "Data and model: Apache-2.0, generated and trained by scripts of this repository.",
        "metric_name": "ROC AUC",
        "input": {
            "name": INPUT,
            "shape": ["N", len(CHANNELS), STEPS],
            "dtype": "float32",
            "range": [-1.5, 1.5],
        },
        "samples": {part: COUNTS[part] for part in ("calibration", "evaluation")},
        "constructed": None,
        "class_names": ["normal", "anomaly"],
    }
    write_card(folder, card, model)


if __name__ == "__main__":
    main()
