"""Data files to be refused or understood: good ones of every kind with accidents in their bytes or names."""

from __future__ import annotations

import functools
import io
import json
import struct
import wave
import zipfile
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from quant_core.data import Reading
from quant_core.graph import Port
from tests.fuzz.mutate import NAMES, NUMBERS_64, mutate_bytes

ROW = (Port("x", "float32", ("N", 3)),)
PAIR = (Port("x", "float32", ("N", 3)), Port("k", "int64", ("N",)))
IMAGE = (Port("x", "float32", ("N", 3, 6, 6)),)
TOKENS = (Port("input_ids", "int64", ("N", "T")), Port("attention_mask", "int64", ("N", "T")))
SOUND = (Port("x", "float32", ("N", 16)),)
_KINDS = ("npz", "npz", "npy", "npy folder", "csv", "zip", "images", "wav", "text", "text", "wav zip")


@dataclass(frozen=True)
class Case:
    """A path to open as data for `inputs`."""

    path: Path
    inputs: tuple[Port, ...]
    preprocess: str | None = None
    reading: Reading | None = None


def write_data(draw: Random, folder: Path) -> Case:
    """A data file or folder in `folder`, and how it is to be opened."""
    kind = draw.choice(_KINDS)
    if kind == "npz":
        return _npz(draw, folder)
    if kind == "npy":
        path = folder / "x.npy"
        path.write_bytes(_npy(draw))
        return Case(path, ROW)
    if kind == "npy folder":
        home = folder / "arrays"
        home.mkdir()
        for name in ("x", "k", "labels"):
            (home / f"{name}.npy").write_bytes(_npy(draw, name))
        return Case(home, PAIR)
    if kind == "csv":
        return _csv(draw, folder)
    if kind == "text":
        return _text(draw, folder)
    return _files(draw, folder, kind)


def _array(draw: Random, name: str = "x") -> np.ndarray:
    rows = draw.choice((4, 4, 4, 4, 4, 4, 0, 1, 5))
    if name == "labels":
        return np.asarray(
            [draw.randrange(3) for _ in range(rows)], draw.choice(("i8", "f4", "u1", "?", "U3", "c8"))
        )
    shape = draw.choice((*[(rows, 3)] * 12, (rows,), (3,), (), (rows, 3, 1), (rows, 4), (1, rows, 3)))
    if name == "k":
        shape = (rows,)
    kind = draw.choice(
        (
            *["i8" if name in ("k", "input_ids", "attention_mask") else "f4"] * 20,
            "f8",
            "i8",
            "u1",
            "?",
            "f2",
            "c16",
            "U2",
            "S2",
            "M8[s]",
            ">f4",
            "i4,f4",
            "V3",
        )
    )
    if kind in ("i4,f4", "V3"):
        return np.zeros(shape, kind)
    made = np.arange(max(int(np.prod(shape)), 0)).reshape(shape)
    special = draw.random() < 0.2
    floats = made * draw.choice((1.0, np.nan, np.inf, 1e300, -1e300)) if special else made
    with np.errstate(all="ignore"):
        try:
            return floats.astype(kind)
        except (ValueError, TypeError):
            return made.astype("f4")


def _npy(draw: Random, name: str = "x") -> bytes:
    stream = io.BytesIO()
    np.save(stream, _array(draw, name))
    content = stream.getvalue()
    how = draw.random()
    if how < 0.7:
        return content
    if how < 0.85:  # what the header says is a Python literal
        header = draw.choice(
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 3), }",
                "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3), }",
                "{'descr': '|O', 'fortran_order': False, 'shape': (4, 3), }",
                "{'descr': '<f4', 'fortran_order': True, 'shape': (2147483648, 2147483648, 4), }",
                "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807), }",
                "{'descr': __import__('os').system('touch hacked'), 'fortran_order': False, 'shape': (1,), }",
                "{'descr': [('a', '<f4', (1000000, 1000000))], 'fortran_order': False, 'shape': (4,), }",
                "{'descr': '<U2147483647', 'fortran_order': False, 'shape': (4,), }",
                "(" * 3000,
                "{'shape': " + "[" * 900 + "]" * 900 + "}",
                draw.choice(NAMES),
                "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 3), }",
                "{'descr': '<f4', 'fortran_order': 7, 'shape': (4, 3), 'more': 1}",
                "{'descr': '"
                + draw.choice(("<f3", "|V0", "<M8[x]", "", "<f4,<f4", "%s"))
                + "', 'fortran_order': False,"
                " 'shape': (4, 3), }",
            )
        ).encode("latin-1", "replace")
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 48
    return mutate_bytes(draw, content)


def _npz(draw: Random, folder: Path) -> Case:
    path, inputs = folder / "data.npz", draw.choice((ROW, PAIR, TOKENS))
    names = [draw.choice((*[p.name] * 9, draw.choice(NAMES))) for p in inputs]
    names += draw.choice(([], ["labels"], ["labels"], ["boxes", "classes"], [draw.choice(NAMES)]))
    _pack(draw, path, [(f"{name}.npy"[-60_000:], _npy(draw, name)) for name in names])
    if draw.random() < 0.4:
        path.write_bytes(mutate_bytes(draw, path.read_bytes()))
    return Case(path, inputs)


def _pack(draw: Random, path: Path, members: list[tuple[str, bytes]]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name.replace("\x00", "0"))
            if draw.random() < 0.05:
                info.external_attr = draw.choice((0o120777, 0o040755, 0o010644, 0o060644)) << 16
            how = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
            archive.writestr(info, content, how)
            if draw.random() < 0.05:
                archive.filelist[-1].file_size = draw.choice((0, 1 << 31, (1 << 62)))


def _csv(draw: Random, folder: Path) -> Case:
    header = draw.choice(
        ("x_0,x_1,x_2,label", "a,b,c,target", "x_0,x_1,x_2", "x_0,x_0,x_2,label", "label", "")
    )
    width = len(header.split(","))
    cells = (
        "1",
        "2.5",
        "-3",
        "0",
        "1e400",
        "nan",
        "inf",
        "",
        "x",
        '"',
        "9" * 400,
        "0x1f",
        "1_0",
        "٣",
        *NAMES[:8],
    )
    lines = [header]
    for _ in range(draw.choice((0, 1, 5, 5))):
        odd = draw.random() < 0.1
        lines.append(",".join(draw.choice(cells) if odd else str(draw.randrange(4)) for _ in range(width)))
    content = draw.choice(("\n", "\n", "\r\n", "\r")).join(lines).encode()
    if draw.random() < 0.3:
        content = mutate_bytes(draw, content)
    if draw.random() < 0.1:
        content = draw.choice((b"\xef\xbb\xbf", b"\xff\xfe")) + content
    path = folder / "data.csv"
    path.write_bytes(content)
    return Case(path, draw.choice((ROW, PAIR)))


@functools.cache
def _tokenizer() -> bytes:
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "the": 2, "cat": 3}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made.to_str().encode()


def _text(draw: Random, folder: Path) -> Case:
    lines = ["the cat\t1", "a dog\t2", "the\tcat\t0", "", "x" * 3000 + "\t1", *NAMES[:6], "the\t" + "9" * 30]
    content = "\n".join(draw.choice(lines[:3] if draw.random() < 0.8 else lines) for _ in range(6)).encode()
    path = folder / "lines.txt"
    path.write_bytes(mutate_bytes(draw, content) if draw.random() < 0.4 else content)
    described = _tokenizer()
    if draw.random() < 0.4:
        described = mutate_bytes(draw, described) if draw.random() < 0.5 else mutate_json(draw, described)
    (folder / "tokenizer.json").write_bytes(described)
    outputs = draw.choice(((), (Port("y", "float32", ("N", "T", 5)),)))
    return Case(path, TOKENS[: draw.choice((1, 2))], None, Reading(outputs=outputs))


def mutate_json(draw: Random, content: bytes) -> bytes:
    """A JSON document with some of its values and keys replaced, added or gone."""
    document = json.loads(content)
    for _ in range(draw.choice((1, 1, 2, 5))):
        document = _changed(draw, document)
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _changed(draw: Random, document: object) -> object:
    places: list[tuple[dict[str, object] | list[object], str | int]] = []
    stack = [document]
    while stack:
        held = stack.pop()
        if isinstance(held, dict):
            places += [(held, key) for key in held]
            stack += held.values()
        elif isinstance(held, list):
            places += [(held, i) for i in range(len(held))]
            stack += held
    if not places:
        return _value(draw)
    place, key = draw.choice(places)
    how = draw.randrange(5)
    if how == 0:
        del place[key]  # type: ignore[arg-type]
    elif how == 1 and isinstance(place, dict):
        place[draw.choice(NAMES)] = place.pop(str(key))
    elif how == 2 and isinstance(place, dict):
        place[draw.choice((*NAMES, "format", "granularity", "range", "weights", "note", "type"))] = _value(
            draw
        )
    else:
        place[key] = _value(draw)  # type: ignore[index,call-overload]
    return document


def _value(draw: Random) -> object:
    deep: object = []
    for _ in range(draw.choice((1, 200))):
        deep = [deep]
    formats = (
        "int8",
        "int4",
        "fp16",
        "nf4",
        "binary",
        "codebook3",
        "mxfp4",
        "int99",
        "uint0",
        "int-8",
        "codebook",
    )
    ways = (
        "group:0",
        "group:-1",
        "group:32",
        "group:x",
        "group:" + "9" * 400,
        "channels:0",
        "tensor",
        "percentile:200",
        "percentile:nan",
        "percentile:",
        "minmax",
        "kmeans",
        "dynamic",
        "average",
        "entropy",
        "group:٣",
    )
    return draw.choice(
        (
            None,
            True,
            0,
            -1,
            1.5,
            float("nan"),
            float("inf"),
            10**300,
            draw.choice(NUMBERS_64),
            draw.choice(NAMES),
            [],
            {},
            deep,
            draw.choice(formats),
            draw.choice(ways),
            [draw.choice(NAMES)],
            {"a": 1},
            "\ud800",
        )
    )


# ---- folders and archives of images and sounds


def _image(draw: Random) -> bytes:
    stream = io.BytesIO()
    size = draw.choice(((6, 6), (6, 6), (1, 1), (9, 4), (1, 500)))
    mode, kind = draw.choice(
        (
            ("RGB", "PNG"),
            ("L", "PNG"),
            ("RGB", "JPEG"),
            ("P", "PNG"),
            ("RGBA", "PNG"),
            ("1", "BMP"),
            ("I;16", "PNG"),
            ("CMYK", "JPEG"),
            ("L", "GIF"),
            ("RGB", "TIFF"),
            ("RGB", "WEBP"),
        )
    )
    Image.new(mode, size).save(stream, kind)
    content = stream.getvalue()
    return mutate_bytes(draw, content) if draw.random() < 0.2 else content


def _sound(draw: Random) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setnchannels(draw.choice((1, 2)))
        out.setsampwidth(draw.choice((1, 2, 3, 4)))
        out.setframerate(draw.choice((8000, 16000, 1, 192000)))
        out.writeframes(b"\1\2\3\4" * draw.choice((0, 1, 50)))
    content = stream.getvalue()
    return mutate_bytes(draw, content) if draw.random() < 0.25 else content


def _files(draw: Random, folder: Path, kind: str) -> Case:
    sound = kind.startswith("wav")
    make, ending = (_sound, "wav") if sound else (_image, "png")
    names = [f"{group}/{i}.{ending}" for group in draw.choice((("a", "b"), ("",))) for i in range(2)]
    names = [name.removeprefix("/") for name in names]
    if draw.random() < 0.3:
        names[0] = f"{draw.choice(NAMES)[:100]}.{ending}"
    members = [(name, make(draw)) for name in names]
    if draw.random() < 0.4:
        rows = [
            f"{draw.choice((*names, '../../canary/x.png', '/etc/hostname', *NAMES))},{draw.randrange(3)}"
            for _ in names
        ]
        table = "\n".join([draw.choice(("file,label", "file,label", "a,b", "")), *rows]).encode(
            "utf-8", "surrogatepass"
        )
        members.append(("labels.csv", mutate_bytes(draw, table) if draw.random() < 0.3 else table))
    if not sound and draw.random() < 0.2:
        members.append((f"{names[0]}.xml", mutate_bytes(draw, _BOXES)))
    inputs = SOUND if sound else IMAGE
    how = (
        None if sound else draw.choice((*["unit", "raw", "torchvision+bgr", "caffe+stretch"] * 3, "no", None))
    )
    reading = Reading(rate=draw.choice((None, 8000, 1)))
    if kind.endswith("zip"):
        path = folder / "files.zip"
        _pack(draw, path, members)
        if draw.random() < 0.4:
            path.write_bytes(mutate_bytes(draw, path.read_bytes()))
        return Case(path, inputs, how, reading)
    home = folder / "files"
    home.mkdir()
    for name, content in members:
        clean = "/".join(p for p in name.replace("\x00", "0").split("/") if p not in ("", ".", ".."))[-200:]
        target = home / clean
        if clean and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    if draw.random() < 0.15:
        (home / f"link.{ending}").symlink_to(
            draw.choice(("../../../canary/x.png", "link." + ending, "/dev/zero"))
        )
    return Case(home, inputs, how, reading)


_BOXES = b"""<annotation><filename>0.png</filename><size><width>6</width><height>6</height></size>
<object><name>a</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></object>
</annotation>"""
