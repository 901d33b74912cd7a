"""Ask/tell search: for one objective, for several, and the strategies that propose candidates."""

from naslib_diffusion.search.pareto import ParetoSearch
from naslib_diffusion.search.search import Direction, Search
from naslib_diffusion.search.strategies import STRATEGIES, Request, Strategy
from naslib_diffusion.search.trials import ParetoTrial, Prediction, Trial

__all__ = [
    "STRATEGIES",
    "Direction",
    "ParetoSearch",
    "ParetoTrial",
    "Prediction",
    "Request",
    "Search",
    "Strategy",
    "Trial",
]
