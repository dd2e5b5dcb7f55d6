"""Search: which choice is best under a budget."""

from quant_core.search.budget import choose_under_budget, pareto_front

__all__ = ["choose_under_budget", "pareto_front"]
