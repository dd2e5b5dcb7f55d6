"""From pixels to the numbers a network was trained on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quant_core.errors import DataError
from quant_core.graph import Port

RESIZE_RATIO = 256 / 224


@dataclass(frozen=True)
class Preprocess:
    """x = (pixel * scale - mean) / std, per colour channel, with pixels 0..255."""

    name: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`pixels` `[height, width, channels]` as float32 of the same shape."""
        x = pixels.astype(np.float32) * np.float32(self.scale)
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return np.asarray((x - mean) / std, np.float32)


PRESETS = {
    p.name: p
    for p in (
        Preprocess("torchvision", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        Preprocess("tensorflow", 1 / 127.5, (1.0,), (1.0,)),
        Preprocess("unit", 1 / 255, (0.0,), (1.0,)),
        Preprocess("raw", 1.0, (0.0,), (1.0,)),
    )
}


def get_preprocess(text: str) -> Preprocess:
    """A preset by name, or the JSON file at the path `text` with the keys scale, mean and std."""
    if text in PRESETS:
        return PRESETS[text]
    path = Path(text)
    remedy = f"name one of {', '.join(PRESETS)}, or a JSON file with scale, mean and std"
    if not path.is_file():
        raise DataError(f"'{text}' is not a preprocessing preset and no such file exists", remedy)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        unknown = set(record) - {"scale", "mean", "std"}
        if unknown:
            raise DataError(f"'{path.name}' has the unknown key '{min(unknown)}'", remedy)
        mean = tuple(float(v) for v in np.atleast_1d(record.get("mean", 0.0)))
        std = tuple(float(v) for v in np.atleast_1d(record.get("std", 1.0)))
        scale = float(record.get("scale", 1.0))
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"'{path.name}' is not a preprocessing file", remedy) from error
    if not all(np.isfinite((scale, *mean, *std))) or 0.0 in std:
        raise DataError(f"'{path.name}' holds a value that is not finite, or a std of 0", remedy)
    return Preprocess(f"{scale}/{mean}/{std}", scale, mean, std)


@dataclass(frozen=True)
class ImageInput:
    """What an image input of a model wants."""

    port: Port
    height: int
    width: int
    channels: int
    channels_first: bool


def image_input(inputs: tuple[Port, ...]) -> ImageInput:
    """The single image input of a model; DataError where there is none or its size is free."""
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise DataError(
            "the model has no single image input", "give the data as .npz, with arrays named after the inputs"
        )
    port = inputs[0]
    first = port.shape[1] in (1, 3)
    channels, height, width = port.shape[1:] if first else (port.shape[3], *port.shape[1:3])
    if not (
        isinstance(height, int) and isinstance(width, int) and isinstance(channels, int)
    ) or channels not in (1, 3):
        raise DataError(f"the input '{port.name}' has no fixed image size", "give the data as .npz")
    return ImageInput(port, height, width, channels, first)


def load_image(path: Path, wanted: ImageInput, preprocess: Preprocess) -> NDArray[np.float32]:
    """The image at `path` as the network sees it, `[C, H, W]` or `[H, W, C]`.

    An image of the input's size is used as it is; otherwise it is resized (bilinear) until it covers 256/224
    of the input, and the centre is cropped."""
    try:
        with Image.open(path) as opened:
            image = opened.convert("L" if wanted.channels == 1 else "RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"'{path.name}' is not a readable image", "remove it from the folder") from error
    if image.size != (wanted.width, wanted.height):
        ratio = max(wanted.width / image.width, wanted.height / image.height) * RESIZE_RATIO
        size = (
            max(round(image.width * ratio), wanted.width),
            max(round(image.height * ratio), wanted.height),
        )
        if size != image.size:
            image = image.resize(size, Image.Resampling.BILINEAR)
        left, top = (image.width - wanted.width) // 2, (image.height - wanted.height) // 2
        image = image.crop((left, top, left + wanted.width, top + wanted.height))
    pixels = np.asarray(image, np.uint8).reshape(wanted.height, wanted.width, wanted.channels)
    x = preprocess.apply(pixels)
    return np.ascontiguousarray(x.transpose(2, 0, 1)) if wanted.channels_first else x
