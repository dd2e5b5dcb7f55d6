"""From pixels to the numbers a network was trained on."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quant_core.errors import DataError
from quant_core.graph import Port

RESIZE_RATIO = 256 / 224
PIXELS = 100_000_000  # of one image at most; a file of a few kilobytes can claim more
KINDS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")
FITS, LAYOUTS = ("crop", "stretch"), ("nchw", "nhwc")
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, zlib.error, MemoryError)


@dataclass(frozen=True)
class Preprocess:
    """x = (pixel * scale - mean) / std, per colour channel in the order the network takes, pixels 0..255.

    `bgr` turns the colours around. `fit` is how an image of another size is made to fit: `crop` resizes it to
    cover 256/224 of the input and cuts out the centre, `stretch` gives it the input's size. `layout` is
    `nchw` or `nhwc`, None where the shape of the input says it."""

    name: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    bgr: bool = False
    fit: str = "crop"
    layout: str | None = None

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`pixels` `[height, width, channels]`, red first, as float32 of the same shape."""
        x = (pixels[..., ::-1] if self.bgr else pixels).astype(np.float32) * np.float32(self.scale)
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return np.asarray((x - mean) / std, np.float32)

    def turned(self) -> Preprocess:
        """The same with the colours in the other order."""
        name = self.name.removesuffix("+rgb").removesuffix("+bgr") + ("+rgb" if self.bgr else "+bgr")
        return replace(self, name=name, bgr=not self.bgr)


PRESETS = {
    p.name: p
    for p in (
        Preprocess("torchvision", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        Preprocess("tensorflow", 1 / 127.5, (1.0,), (1.0,)),
        Preprocess("unit", 1 / 255, (0.0,), (1.0,)),
        Preprocess("raw", 1.0, (0.0,), (1.0,)),
        Preprocess("centred", 1.0, (127.0,), (128.0,)),
        # The means of the first Caffe networks, blue first (keras.applications.imagenet_utils, mode "caffe").
        Preprocess("caffe", 1.0, (103.939, 116.779, 123.68), (1.0,), bgr=True),
    )
}


def get_preprocess(text: str) -> Preprocess:
    """A preset by name, or the JSON file at the path `text` with the keys scale, mean and std, and if wanted
    bgr (true or false), fit (crop, stretch) and layout (nchw, nhwc). A preset takes options after a plus
    sign: `torchvision+bgr+stretch`."""
    base, *options = text.split("+")
    if base in PRESETS:
        return _with_options(PRESETS[base], text, options)
    path = Path(text)
    remedy = f"name one of {', '.join(PRESETS)}, or a JSON file with scale, mean and std"
    if not path.is_file():
        raise DataError(f"'{text}' is not a preprocessing preset and no such file exists", remedy)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        unknown = set(record) - {"scale", "mean", "std", "bgr", "fit", "layout"}
        if unknown:
            raise DataError(f"'{path.name}' has the unknown key '{min(unknown)}'", remedy)
        mean = tuple(float(v) for v in np.atleast_1d(record.get("mean", 0.0)))
        std = tuple(float(v) for v in np.atleast_1d(record.get("std", 1.0)))
        scale = float(record.get("scale", 1.0))
        options = ["bgr"] if record.get("bgr", False) else []
        options += [str(record[k]) for k in ("fit", "layout") if k in record]
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"'{path.name}' is not a preprocessing file", remedy) from error
    if not all(np.isfinite((scale, *mean, *std))) or 0.0 in std:
        raise DataError(f"'{path.name}' holds a value that is not finite, or a std of 0", remedy)
    plain = f"{scale}/{mean}/{std}"
    return _with_options(Preprocess(plain, scale, mean, std), "+".join([plain, *options]), options)


def _with_options(chosen: Preprocess, name: str, options: list[str]) -> Preprocess:
    for option in options:
        if option in FITS:
            chosen = replace(chosen, name=name, fit=option)
        elif option in LAYOUTS:
            chosen = replace(chosen, name=name, layout=option)
        elif option in ("bgr", "rgb"):
            chosen = replace(chosen, name=name, bgr=option == "bgr")
        else:
            known = ", ".join((*FITS, *LAYOUTS, "rgb", "bgr"))
            raise DataError(f"'{option}' is no option of preprocessing", f"choose from {known}")
    return chosen


@dataclass(frozen=True)
class ImageInput:
    """What an image input of a model wants."""

    port: Port
    height: int
    width: int
    channels: int
    channels_first: bool


def image_input(inputs: tuple[Port, ...], layout: str | None = None) -> ImageInput:
    """The single image input of a model; DataError where there is none or its size is free. `layout` decides
    where the shape could be read both ways."""
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise DataError(
            "the model has no single image input", "give the data as .npz, with arrays named after the inputs"
        )
    port = inputs[0]
    first = port.shape[1] in (1, 3) if layout is None else layout == "nchw"
    channels, height, width = port.shape[1:] if first else (port.shape[3], *port.shape[1:3])
    if not (
        isinstance(height, int) and isinstance(width, int) and isinstance(channels, int)
    ) or channels not in (1, 3):
        raise DataError(
            f"the input '{port.name}' has no fixed image size",
            "name it with --size, or give the data as .npz",
        )
    return ImageInput(port, height, width, channels, first)


@dataclass(frozen=True)
class Placement:
    """Where the pixels of an image go: x' = x * scale - offset, across and down, in pixels."""

    size: tuple[int, int]
    left: int
    top: int

    def boxes(self, boxes: NDArray[np.float64], image: tuple[int, int], wanted: ImageInput) -> np.ndarray:
        """`boxes` `[n, 4]` in pixels of an image of size (width, height) as shares of the input, cut at its
        edges.
        """
        scale = np.asarray(self.size, np.float64) / image
        moved = boxes * np.tile(scale, 2) - np.tile((self.left, self.top), 2)
        return np.asarray(np.clip(moved / np.tile((wanted.width, wanted.height), 2), 0.0, 1.0), np.float64)


def place(image: tuple[int, int], wanted: ImageInput, preprocess: Preprocess) -> Placement:
    """How an image of size (width, height) is resized and cut. One of the input's size is used as it is."""
    width, height = image
    if image == (wanted.width, wanted.height) or preprocess.fit == "stretch":
        return Placement((wanted.width, wanted.height), 0, 0)
    ratio = max(wanted.width / width, wanted.height / height) * RESIZE_RATIO
    size = max(round(width * ratio), wanted.width), max(round(height * ratio), wanted.height)
    return Placement(size, (size[0] - wanted.width) // 2, (size[1] - wanted.height) // 2)


def image_size(name: str, content: bytes) -> tuple[int, int]:
    """Width and height of the image in `content`, without decoding it. DataError as `decode_image`."""
    with _opened(name, content) as image:
        return image.size


def decode_image(
    name: str, content: bytes, wanted: ImageInput, preprocess: Preprocess
) -> NDArray[np.float32]:
    """The image in `content` as the network sees it, `[C, H, W]` or `[H, W, C]`. DataError where it is not
    readable or declares more than `PIXELS`."""
    with _opened(name, content) as opened:
        try:
            image = opened.convert("L" if wanted.channels == 1 else "RGB")
        except _BROKEN as error:
            raise _not_readable(name) from error
    where = place(image.size, wanted, preprocess)
    if where.size != image.size:
        image = image.resize(where.size, Image.Resampling.BILINEAR)
    if image.size != (wanted.width, wanted.height):
        image = image.crop((where.left, where.top, where.left + wanted.width, where.top + wanted.height))
    pixels = np.asarray(image, np.uint8).reshape(wanted.height, wanted.width, wanted.channels)
    x = preprocess.apply(pixels)
    return np.ascontiguousarray(x.transpose(2, 0, 1)) if wanted.channels_first else x


def _opened(name: str, content: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is lower
            image = Image.open(io.BytesIO(content), formats=KINDS)
    except Image.DecompressionBombError as error:
        raise _too_large(name) from error
    except _BROKEN as error:
        raise _not_readable(name) from error
    if image.width * image.height > PIXELS:
        raise _too_large(name)
    return image


def _not_readable(name: str) -> DataError:
    return DataError(f"'{name}' is not a readable image", "remove it from the folder")


def _too_large(name: str) -> DataError:
    return DataError(f"the image '{name}' declares more than {PIXELS} pixels", "remove it from the folder")
