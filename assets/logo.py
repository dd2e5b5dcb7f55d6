"""Draws assets/logo.svg and assets/logo.png, the page icon: a distribution on a coarse grid.

python assets/logo.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

SIZE = 64
GROUND = "#1D3557"
# Height in pixels and colour of each bar, in the colours of 2, 4, 8, 16 and 32 bits.
BARS = ((10, "#EE8A5A"), (24, "#E8BC5E"), (42, "#5CC2B5"), (30, "#86B3DE"), (14, "#B7C9E8"))
BAR, GAP, FLOOR, CORNER, ROUND = 8, 2, 53, 12, 1.5
LEFT = (SIZE - len(BARS) * BAR - (len(BARS) - 1) * GAP) / 2
OVERSAMPLING = 16


def boxes() -> list[tuple[float, float, int, int, str]]:
    """Left, top, width, height and colour of each bar, in pixels."""
    return [(LEFT + i * (BAR + GAP), FLOOR - h, BAR, h, colour) for i, (h, colour) in enumerate(BARS)]


def svg() -> str:
    """The logo as SVG."""
    bars = "".join(
        f'  <rect x="{x:g}" y="{y:g}" width="{w}" height="{h}" rx="{ROUND}" fill="{colour}"/>\n'
        for x, y, w, h, colour in boxes()
    )
    view = f'viewBox="0 0 {SIZE} {SIZE}" role="img" aria-label="Quantscope"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {view}>\n'
        f'  <rect width="{SIZE}" height="{SIZE}" rx="{CORNER}" fill="{GROUND}"/>\n{bars}</svg>\n'
    )


def png() -> Image.Image:
    """The logo as an RGBA picture of SIZE x SIZE pixels, drawn large and averaged down."""
    k = OVERSAMPLING
    large = Image.new("RGBA", (SIZE * k, SIZE * k))
    draw = ImageDraw.Draw(large)
    draw.rounded_rectangle((0, 0, SIZE * k - 1, SIZE * k - 1), CORNER * k, GROUND)
    for x, y, w, h, colour in boxes():
        draw.rounded_rectangle((x * k, y * k, (x + w) * k - 1, (y + h) * k - 1), ROUND * k, colour)
    return large.resize((SIZE, SIZE), Image.Resampling.BOX)


if __name__ == "__main__":
    folder = Path(__file__).parent
    (folder / "logo.svg").write_text(svg(), encoding="utf-8", newline="\n")
    png().save(folder / "logo.png", optimize=True)
