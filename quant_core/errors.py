"""The errors a user can meet: each is one plain sentence that says what, where and what to do."""

from __future__ import annotations


class QuantscopeError(Exception):
    """Something the user gave does not work. `str(error)` is one plain sentence, fit for a terminal and a
    page.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        clean = _one_line(what)
        self.what = clean[:1].upper() + clean[1:]
        self.remedy = _one_line(remedy)
        super().__init__(f"{self.what}; {self.remedy}." if remedy else f"{self.what}.")


class ModelError(QuantscopeError):
    """A model file that cannot be read, prepared or run."""


class DataError(QuantscopeError):
    """Data that cannot be read or does not fit the model."""


class FormatError(QuantscopeError):
    """A format, granularity or range method that does not exist or does not apply."""


class PlanError(QuantscopeError):
    """A plan file that cannot be read, or a plan that does not fit the model."""


class SearchError(QuantscopeError):
    """A budget that no plan can meet."""


class ArgumentError(QuantscopeError):
    """An option of the command line that cannot be used as given."""


def _one_line(text: str, limit: int = 400) -> str:
    """`text` without line breaks or control characters, cut to `limit` characters: names in files are
    hostile.
    """
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
