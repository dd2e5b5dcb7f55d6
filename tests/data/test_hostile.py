"""Hostile data: each trick is one plain sentence, and nothing outside is read or run."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import quant_core.data.files as limits
from quant_core.data import Reading, open_data
from quant_core.errors import DataError
from quant_core.graph import Port

IMAGE = (Port("x", "float32", ("N", 4, 6, 3)),)
ROW = (Port("x", "float32", ("N", 3)),)
TOKENS = (Port("input_ids", "int64", ("N", "T")),)
SOUND = (Port("x", "float32", ("N", 16)),)


def png(size: tuple[int, int] = (6, 4)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, (9, 9, 9)).save(stream, "PNG")
    return stream.getvalue()


def packed(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def refused(path: Path, inputs: tuple[Port, ...] = IMAGE, reading: Reading | None = None) -> str:
    with pytest.raises(DataError) as error:
        data = open_data(path, inputs, "raw", reading)
        data.take(np.arange(len(data)))
    said = str(error.value)
    assert said.isprintable()
    assert len(said) < 700
    return said


@pytest.mark.parametrize("name", ["../a.png", "a/../../b.png", "/etc/a.png", "C:/a.png", "a\\..\\b.png"])
def test_an_archive_whose_names_lead_out_is_refused(tmp_path: Path, name: str) -> None:
    assert "leads out" in refused(packed(tmp_path / "x.zip", {"ok.png": png(), name: png()}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.zip"]


@pytest.mark.parametrize("name", ["", "\0rest"])
def test_a_file_without_a_name_is_refused(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / "x.zip", {"abc.png": png()})
    content = path.read_bytes()
    path.write_bytes(content.replace(b"abc.png", b"\0bc.png") if name else content)
    if not name:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(zipfile.ZipInfo(""), png())
    assert "no name" in refused(path)


def test_a_broken_member_of_any_compression_is_refused(tmp_path: Path) -> None:
    for way in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = tmp_path / "x.npz"
        with zipfile.ZipFile(path, "w", way) as archive:
            archive.writestr("x.npy", bytes(range(256)) * 40)
            member = archive.getinfo("x.npy")
        content = bytearray(path.read_bytes())
        start = member.header_offset + 30 + len("x.npy") + 12
        content[start : start + 40] = b"\xff" * 40
        path.write_bytes(content)
        assert "not a readable .npz" in refused(path, ROW)


def test_a_tokenizer_that_lacks_its_unknown_word_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    broken = Tokenizer(models.WordLevel({"the": 0}, unk_token="[UNK]"))
    (tmp_path / "tokenizer.json").write_text(broken.to_str())
    (tmp_path / "x.txt").write_text("dog\n")
    assert "cannot read the text" in refused(tmp_path / "x.txt", TOKENS)


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    link = zipfile.ZipInfo("a.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "symbolic link" in refused(path)


def test_an_archive_that_unpacks_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(tmp_path / "x.zip", {"a.png": bytes(1_000_000)})
    monkeypatch.setattr(limits, "RATIO_FROM", 100_000)
    assert "would unpack to 1000000" in refused(path)
    monkeypatch.setattr(limits, "RATIO", 10_000)
    monkeypatch.setattr(limits, "UNPACKED_BYTES", 999_999)
    assert "would unpack to 1000000" in refused(path)


def test_an_npz_bomb_is_refused_by_the_same_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((100_000, 3), np.float32))
    assert len(open_data(tmp_path / "x.npz", ROW)) == 100_000
    monkeypatch.setattr(limits, "RATIO_FROM", 100_000)
    assert "would unpack" in refused(tmp_path / "x.npz", ROW)


def test_an_archive_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBERS", 2)
    assert "holds 3 files" in refused(packed(tmp_path / "x.zip", {f"{i}.png": png() for i in range(3)}))


def test_a_member_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", {"a.png": png()})
    content = path.read_bytes()
    wrong = content.replace(struct.pack("<I", len(png())), struct.pack("<I", len(png()) - 9))
    assert wrong != content
    path.write_bytes(wrong)
    refused(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive"])
def test_what_is_no_archive_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    assert "not a readable zip archive" in refused(tmp_path / "x.zip")


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["npz", "npy", "folder"])
def test_pickled_arrays_run_nothing(tmp_path: Path, kind: str) -> None:
    trace = tmp_path / "trace"
    array = np.array([Evil(trace), Evil(trace)], object)
    folder = tmp_path / "data"
    folder.mkdir()
    if kind == "npz":
        np.savez(folder / "x.npz", x=array, allow_pickle=True)
    else:
        np.save(folder / "x.npy", array, allow_pickle=True)
    said = refused({"npz": folder / "x.npz", "npy": folder / "x.npy", "folder": folder}[kind], ROW)
    assert "objects" in said
    assert not trace.exists()


def header_of(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (118 - len(text) - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize("shape", ["(1000000000000, 3)", "(4, 3)", "(-1, 3)", "(99999999999999999999, 3)"])
@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_a_header_that_declares_more_than_there_is_is_refused(tmp_path: Path, kind: str, shape: str) -> None:
    content = header_of(shape) + bytes(20)
    path = tmp_path / f"x.{kind}"
    if kind == "npz":
        packed(path, {"x.npy": content})
    else:
        path.write_bytes(content)
    assert "declares" in refused(path, ROW)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{", header_of("(", "'")])
def test_a_broken_header_is_one_plain_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    assert "not a readable .npy" in refused(tmp_path / "x.npy", ROW)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    np.save(tmp_path / "secret.npy", np.zeros((2, 3), np.float32))
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.png").symlink_to(tmp_path / "secret.png")
    assert "leads out of the folder" in refused(folder)
    (folder / "a.png").unlink()
    (folder / "x.npy").symlink_to(tmp_path / "secret.npy")
    assert "leads out of the folder" in refused(folder, ROW)


def test_a_linked_folder_of_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.png").write_bytes(png())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cats").symlink_to(tmp_path / "outside")
    assert "leads out of the folder" in refused(tmp_path / "data")


def test_a_link_that_stays_inside_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.png").symlink_to("a.png")
    assert len(open_data(tmp_path, IMAGE, "raw")) == 2


@pytest.mark.parametrize("named", ["../secret.png", "/etc/passwd", "link.png"])
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_table_that_names_files_outside_is_refused(tmp_path: Path, named: str, kind: str) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    table = f"file,label\n{named},1\n".encode()
    (folder / "labels.csv").write_bytes(table)
    path = packed(tmp_path / "x.zip", {"a.png": png(), "labels.csv": table}) if kind == "zip" else folder
    assert named in refused(path)


@pytest.mark.parametrize("cell", ["cat", "", "1e999", "nan", "0x10", "=cmd|' /C calc'!A0"])
def test_a_cell_that_is_no_number_is_named(tmp_path: Path, cell: str) -> None:
    (tmp_path / "x.csv").write_text(f"a,b,c\n1,2,3\n4,{cell},6\n")
    said = refused(tmp_path / "x.csv", ROW)
    assert "line 3" in said and "'b'" in said


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a,b,c\n1,2,3,4,5\n6,7,8,9,1,2,3\n", b"a,b,c\n"])
def test_a_broken_table_is_one_plain_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    refused(tmp_path / "x.csv", ROW)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_an_image_of_too_many_pixels_is_refused_undecoded(tmp_path: Path, side: int) -> None:
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert "'bomb.png' declares more than" in refused(tmp_path)


@pytest.mark.parametrize("cut", [10, 30, 45])
def test_a_broken_image_is_one_plain_sentence(tmp_path: Path, cut: int) -> None:
    (tmp_path / "a.png").write_bytes(png()[:cut])
    assert "not a readable image" in refused(tmp_path)


def test_a_name_with_control_characters_is_refused(tmp_path: Path) -> None:
    said = refused(packed(tmp_path / "x.zip", {"a\x1b[31m\n.png": png()}))
    assert "control characters" in said and "\x1b" not in said
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a\nb.png").write_bytes(png())
    assert "control characters" in refused(tmp_path / "data")


@pytest.mark.parametrize("content", [b"{}", b"", b"[1]", b'{"model": {"type": "BPE"}}', b"\xff"])
def test_a_broken_tokenizer_is_one_plain_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.txt").write_text("hello\n")
    (tmp_path / "tokenizer.json").write_bytes(content)
    assert "not a readable tokenizer" in refused(tmp_path / "x.txt", TOKENS)


def test_text_that_is_not_utf_8_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in refused(tmp_path / "x.txt", TOKENS)


def wav(frames: int, declared: int, rate: int = 16) -> bytes:
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 36 + declared, b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16
    )
    return head + struct.pack("<4sI", b"data", declared) + bytes(2 * frames)


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", wav(4, 8, rate=2_000_000_000), wav(4, 8, rate=0)],
    ids=["empty", "cut", "rate", "no rate"],
)
def test_a_broken_sound_is_one_plain_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    assert "not a readable WAV file" in refused(tmp_path, SOUND)


def test_a_sound_that_declares_more_than_it_holds_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(4, 0x7FFFFFF0, rate=8000))
    assert open_data(tmp_path, SOUND).take(np.array([0]))["x"].shape == (1, 16)


BILLION = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><dataset><image file="a.png"/></dataset>'


@pytest.mark.parametrize(
    "content",
    [
        BILLION,
        b"<dataset>",
        b"",
        b'<dataset><image file="../a.png"><box left="1" top="1" width="1" height="1"/></image></dataset>',
        b'<dataset><image file="a.png"><box left="x" top="1" width="1" height="1"/></image></dataset>',
        b'<dataset><image file="b.png"><box left="1" top="1" width="1" height="1"/></image></dataset>',
        b"<dataset/>",
    ],
    ids=["entities", "cut", "empty", "outside", "no number", "no such image", "no boxes"],
)
def test_broken_boxes_are_one_plain_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "boxes.xml").write_bytes(content)
    refused(tmp_path)
