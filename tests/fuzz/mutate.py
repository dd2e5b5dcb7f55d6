"""Mutations of plain bytes, and names that a stranger may write."""

from __future__ import annotations

from random import Random

NAMES = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[link](javascript:alert(1))",
    "**bold** `code` $x^2$ | cell |",
    "=HYPERLINK(A1)",
    "\n\r\t",
    "\x00\x01\x1b[31mred\x1b[0m\x07",
    "\u202etxt.exe\u202c\u2028\u2029",
    "../../canary/secret.bin",
    "/etc/hostname",
    "C:\\windows\\x",
    "%s%n{0}{name!r}",
    "a" * 10_000,
    "é" * 300,
    "\U0001f600",
    "",
    " ",
    ".",
    "'; drop table x; --",
)
NUMBERS = (0, 1, -1, 2, 7, 127, 128, 255, 256, 65535, 1 << 20, 1 << 31, (1 << 31) - 1, 1 << 40, -(1 << 31))
NUMBERS_64 = (*NUMBERS, (1 << 63) - 1, -(1 << 63))


def mutate_bytes(draw: Random, content: bytes, other: bytes = b"") -> bytes:
    """`content` with one to four accidents, some of them parts of `other`."""
    held = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4))):
        held = bytearray(draw.choice(_ACCIDENTS)(draw, held, other or content))
    return bytes(held)


def _flip(draw: Random, held: bytearray, other: bytes) -> bytearray:
    for _ in range(draw.choice((1, 1, 3, 16))):
        if held:
            held[draw.randrange(len(held))] ^= 1 << draw.randrange(8)
    return held


def _overwrite(draw: Random, held: bytearray, other: bytes) -> bytearray:
    if held:
        held[draw.randrange(len(held))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
    return held


def _head(draw: Random, held: bytearray, other: bytes) -> bytearray:
    """Accidents in the first bytes, where formats say what they are."""
    for _ in range(draw.choice((1, 2, 4))):
        if held:
            held[draw.randrange(min(len(held), 64))] = draw.randrange(256)
    return held


def _truncate(draw: Random, held: bytearray, other: bytes) -> bytearray:
    return held[: draw.randrange(len(held) + 1)]


def _cut_out(draw: Random, held: bytearray, other: bytes) -> bytearray:
    start = draw.randrange(len(held) + 1)
    return held[:start] + held[start + draw.choice((1, 2, 8, 100)) :]


def _splice(draw: Random, held: bytearray, other: bytes) -> bytearray:
    start, at = draw.randrange(len(other) + 1), draw.randrange(len(held) + 1)
    part = other[start : start + draw.choice((1, 4, 40, 400))]
    return held[:at] + part + held[at + draw.choice((0, len(part))) :]


def _repeat(draw: Random, held: bytearray, other: bytes) -> bytearray:
    start = draw.randrange(len(held) + 1)
    part = held[start : start + draw.choice((1, 8, 64))]
    return held[:start] + part * draw.choice((2, 50)) + held[start:]


def _number(draw: Random, held: bytearray, other: bytes) -> bytearray:
    size = draw.choice((2, 4, 8))
    at = draw.randrange(len(held) + 1)
    held[at : at + size] = (draw.choice(NUMBERS_64) % (1 << 8 * size)).to_bytes(size, "little")
    return held


_ACCIDENTS = (_flip, _flip, _overwrite, _head, _truncate, _cut_out, _splice, _repeat, _number)
