"""Ask/tell search: for one objective, for several, and the strategies that propose candidates."""

from naslib_diffusion.search.pareto import ParetoSearch
from naslib_diffusion.search.search import Direction, Prediction, Search, Trial
from naslib_diffusion.search.strategies import STRATEGIES, Request, Strategy

__all__ = [
    "STRATEGIES",
    "Direction",
    "ParetoSearch",
    "Prediction",
    "Request",
    "Search",
    "Strategy",
    "Trial",
]
