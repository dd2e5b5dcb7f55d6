"""Numbers and names as the window writes them: with units, three significant digits, never as markup."""

from __future__ import annotations

import html

HOLLOW = "○"


def size(count: int | float) -> str:
    """Bytes in KiB or MiB with three significant digits."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{_three(count / factor)} {unit}"
    return f"{count:.0f} B"


def count(number: int | float) -> str:
    """A count with M or k and three significant digits."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{_three(number / factor)} {unit}"
    return f"{number:.0f}"


def percent(share: float | None) -> str:
    """A share in per cent."""
    return "–" if share is None else f"{_three(100 * share)} %"


def decibel(value: float | None) -> str:
    """A ratio in dB; 200 stands for equal."""
    if value is None:
        return "–"
    return "equal" if value >= 200 else f"{value:.1f} dB"


def span(seconds: float) -> str:
    """A duration as minutes and seconds, 0:05, or hours, 1:02:05."""
    whole = int(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def shape(dimensions: tuple[int, ...] | None) -> str:
    """A shape as 16x1x3x3."""
    return "x".join(map(str, dimensions or ()))


def name(text: str) -> str:
    """A name from a file, as inert text for Markdown."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()#+-.!|<>$:~&^=" else c for c in " ".join(text.split()))


def escape(text: str) -> str:
    """A name from a file, as inert text for HTML."""
    return html.escape(" ".join(text.split()))


def _three(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
