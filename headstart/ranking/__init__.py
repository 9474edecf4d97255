"""Which backbone and image size suit the user's own images, found by trying: `rank`."""

from headstart.ranking.choice import rank
from headstart.ranking.result import Ranked, Ranking

__all__ = ["Ranked", "Ranking", "rank"]
