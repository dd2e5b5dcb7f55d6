"""Colours: one for each bit width, one warm scale for damage, in light and dark."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

THEMES = ("light", "dark")


@dataclass(frozen=True)
class Palette:
    """The colours of one theme. `bits` maps a bit width to its colour, `damage` runs from harmless to
    ruinous.
    """

    background: str
    panel: str
    text: str
    secondary: str
    line: str
    accent: str
    good: str
    bad: str
    bits: dict[int, str]
    damage: tuple[str, ...]


_BITS = (32, 16, 8, 4, 2, 1)

_LIGHT = Palette(
    "#FFFFFF", "#F6F7F9", "#17212B", "#5B6876", "#E1E6EB", "#1F6FB2", "#1A7F56", "#B93A2E",
    dict(zip(_BITS, ("#1D3557", "#2F6690", "#3A9188", "#D9A441", "#D2693C", "#8E2F4F"), strict=True)),
    ("#F7FBFC", "#D6E8EC", "#A4CDD4", "#F0CD8C", "#E28C58", "#A8323E"),
)  # fmt: skip
_DARK = Palette(
    "#0F1419", "#171E26", "#E6EAF0", "#93A0B0", "#27313D", "#5AA9E6", "#4CC38A", "#F2766B",
    dict(zip(_BITS, ("#B7C9E8", "#86B3DE", "#5CC2B5", "#E8BC5E", "#EE8A5A", "#D56A8E"), strict=True)),
    ("#192129", "#213A46", "#2E5C68", "#826A30", "#B66034", "#D64854"),
)  # fmt: skip

# SQNR in dB at which each colour of the damage scale stands: above 50 dB nothing shows, below 5 dB all is
# lost.
DAMAGE_DB = (50.0, 40.0, 30.0, 20.0, 12.0, 5.0)
# Lost shares (of agreement or of the metric) at which they stand.
DAMAGE_LOSS = (0.0, 0.005, 0.02, 0.07, 0.2, 0.5)


def palette(theme: str | None) -> Palette:
    """The palette of a theme; light where it is not known."""
    return _PALETTES["dark" if theme == "dark" else "light"]


@lru_cache(4096)
def damage_color(sqnr_db: float, theme: str | None) -> str:
    """The colour of an SQNR in dB: interpolated between the stops of the damage scale."""
    return _on_scale(sqnr_db, DAMAGE_DB, theme)


@lru_cache(4096)
def loss_color(loss: float, theme: str | None) -> str:
    """The colour of a lost share of decisions, 0..1, on the damage scale."""
    return _on_scale(-loss, tuple(-stop for stop in DAMAGE_LOSS), theme)


def _on_scale(value: float, stops: tuple[float, ...], theme: str | None) -> str:
    """The colour of `value` between falling `stops`."""
    colors = palette(theme).damage
    if value >= stops[0]:
        return colors[0]
    for (upper, a), (lower, b) in zip(
        zip(stops[:-1], colors[:-1], strict=True), zip(stops[1:], colors[1:], strict=True), strict=True
    ):
        if value >= lower:
            return _mix(a, b, (upper - value) / (upper - lower))
    return colors[-1]


@lru_cache(4096)
def text_on(color: str) -> str:
    """Black or white, whichever stands out more on `color`: at least 4.58:1 on any (WCAG 2.1)."""
    return max(("#000000", "#FFFFFF"), key=lambda ink: contrast(ink, color))


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.1)."""
    bright, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _between(given: Palette) -> Palette:
    """The palette with colours for the bit widths that lie between those it names."""
    bits = dict(given.bits)
    for width, upper, lower in ((7, 8, 4), (6, 8, 4), (5, 8, 4), (3, 4, 2)):
        bits[width] = _mix(given.bits[upper], given.bits[lower], (upper - width) / (upper - lower))
    return replace(given, bits=bits)


def _mix(a: str, b: str, share: float) -> str:
    mixed = (round(x + (y - x) * share) for x, y in zip(_channels(a), _channels(b), strict=True))
    return "#" + "".join(f"{c:02X}" for c in mixed)


def _luminance(color: str) -> float:
    linear = [
        (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4)
        for c in (v / 255 for v in _channels(color))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


_PALETTES = {"light": _between(_LIGHT), "dark": _between(_DARK)}
