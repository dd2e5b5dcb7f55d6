"""How far a share that was counted on samples may lie from the one of all samples there could be."""

from __future__ import annotations

from math import sqrt

Z = 1.959964  # standard deviations in half a 95 % interval of a normal distribution


def wilson(hits: int, trials: int, z: float = Z) -> tuple[float, float]:
    """The 95 % interval of a share, 0..1, that `hits` of `trials` independent decisions show.

    Wilson's score interval (Wilson 1927, "Probable Inference"; recommended over p +- z sqrt(p (1 - p) / n) by
    Brown, Cai and DasGupta 2001, "Interval Estimation for a Binomial Proportion"):

        (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    It holds the estimate, stays within 0..1, and has a width where nothing failed. Without trials 0..1."""
    if trials <= 0:
        return 0.0, 1.0
    share = hits / trials
    middle = share + z * z / (2 * trials)
    half = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    whole = 1 + z * z / trials
    return min(share, max(0.0, (middle - half) / whole)), max(share, min(1.0, (middle + half) / whole))


def paired_change(gained: int, lost: int, trials: int, z: float = Z) -> tuple[float, float]:
    """The 95 % interval of the change of a share between two models that decide on the same samples: `gained`
    decisions are right in the second only, `lost` in the first only.

    Agresti and Min 2005, "Simple improved confidence intervals for comparing matched proportions": Wald's
    interval after half a decision is added to each of the four cells. Narrower than what two single
    intervals suggest, since most decisions are the same. Without trials -1..1."""
    if trials <= 0:
        return -1.0, 1.0
    b, c, n = gained + 0.5, lost + 0.5, trials + 2.0
    middle = (b - c) / n
    half = z * sqrt(max(0.0, b + c - (b - c) ** 2 / n)) / n
    change = (gained - lost) / trials
    return min(change, max(-1.0, middle - half)), max(change, min(1.0, middle + half))
