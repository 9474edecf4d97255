"""Features of many images, made once and kept: `extract` makes them, `Features` reads them."""

from headstart.features.extraction import STAGE, extract
from headstart.features.kept import PLAIN, Features, Views, record_key

__all__ = ["PLAIN", "STAGE", "Features", "Views", "extract", "record_key"]
