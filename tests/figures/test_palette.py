"""Colours: text stands out on every cell, and more damage is never drawn as less."""

from __future__ import annotations

import numpy as np
import pytest

from quant_core.figures import DAMAGE_DB, contrast, damage_color, palette, text_on

THEMES = ("light", "dark")


@pytest.mark.parametrize("theme", THEMES)
def test_text_has_contrast_on_every_damage_color(theme: str) -> None:
    lowest = min(
        contrast(c, text_on(c)) for c in (damage_color(db, theme) for db in np.linspace(-20, 80, 400))
    )
    assert lowest >= 4.5


@pytest.mark.parametrize("theme", THEMES)
def test_the_ends_of_the_scale_are_its_first_and_last_color(theme: str) -> None:
    colors = palette(theme).damage
    assert damage_color(200.0, theme) == colors[0]
    assert damage_color(-200.0, theme) == colors[-1]
    for db, color in zip(DAMAGE_DB, colors, strict=True):
        assert damage_color(db, theme) == color


@pytest.mark.parametrize("theme", THEMES)
def test_body_text_has_contrast_on_page_and_panel(theme: str) -> None:
    p = palette(theme)
    for surface in (p.background, p.panel):
        assert contrast(p.text, surface) >= 7
        assert contrast(p.secondary, surface) >= 4.5


def test_an_unknown_theme_is_light() -> None:
    assert palette(None) == palette("light") != palette("dark")
