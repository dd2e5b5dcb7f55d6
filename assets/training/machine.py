"""Made-up sensors of a rotating machine: six channels over a window of 64 time steps, normal or with a fault.

Vibration is a sum of sines at the speed of rotation and its multiples, as in texts on condition
monitoring (R. B. Randall, Vibration-based Condition Monitoring, 2011, chapter 2); current and
temperature follow the load."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CHANNELS = ("vibration x", "vibration y", "vibration z", "current", "temperature", "speed")
STEPS = 64
RESOLUTION = 512  # steps of the converter that reads the sensors, in a unit
FAULTS = ("imbalance", "misalignment", "bearing", "overheating", "stuck sensor", "current ripple")
_NOISE = (0.05, 0.05, 0.05, 0.03, 0.02, 0.01)  # standard deviation in each channel, of full scale


def make_windows(count: int, faults: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Windows float32 [count, 6, 64], about -1..1, in random order, and labels: 1 for the `faults`
    faulty ones."""
    draw = np.random.default_rng(seed)
    labels = np.zeros(count, np.int64)
    labels[:faults] = 1
    windows = np.stack([_window(draw, FAULTS[i % len(FAULTS)] if i < faults else None) for i in range(count)])
    order = draw.permutation(count)
    windows = np.round(windows * RESOLUTION) / RESOLUTION
    return windows[order].astype(np.float32), labels[order]


def _window(draw: np.random.Generator, fault: str | None) -> NDArray[np.float64]:
    time = np.arange(STEPS) / STEPS
    turns = draw.uniform(3.0, 6.0)  # of the shaft in a window
    load = draw.uniform(0.2, 0.9)
    phase = 2 * np.pi * (turns * time + draw.uniform())
    strength = draw.uniform(0.25, 1.0)  # of the fault
    first = 0.35 + (0.35 * strength if fault == "imbalance" else 0.0)
    second = 0.12 + (0.3 * strength if fault == "misalignment" else 0.0)
    shaft = np.stack(
        [
            first * np.sin(phase) + second * np.sin(2 * phase),
            first * np.cos(phase) + second * np.sin(2 * phase + 0.5),
            0.5 * second * np.sin(phase) + second * np.cos(2 * phase),
        ]
    )
    shaft *= 0.6 + 0.4 * load
    current = load + 0.08 * np.sin(2 * phase)
    temperature = 0.3 + 0.5 * load + np.zeros(STEPS)
    speed = np.full(STEPS, (turns - 4.5) / 1.5 - 0.1 * load)
    if fault == "bearing":
        shaft += strength * 0.8 * _impulses(draw, turns * 3.6, time)
    elif fault == "overheating":
        temperature = temperature + strength * 0.35 * (0.4 + 0.6 * time)
    elif fault == "current ripple":
        current = current + strength * 0.25 * np.sin(2 * np.pi * draw.uniform(9, 14) * time)
    window = np.stack([*shaft, current, temperature, speed])
    window += draw.normal(size=window.shape) * np.asarray(_NOISE)[:, None]
    if fault == "stuck sensor":
        channel, start = draw.integers(3), draw.integers(int(STEPS * (1 - strength)) + 1)
        window[channel, start:] = window[channel, start]
    return window


def _impulses(draw: np.random.Generator, rate: float, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Blows at `rate` a window that ring out, [3, steps]: what a crack in a bearing's ring does."""
    since = (time * rate + draw.uniform()) % 1.0
    ringing = np.exp(-6.0 * since) * np.sin(2 * np.pi * 2.5 * since)
    return ringing * draw.uniform(0.3, 1.0, size=(3, 1))
