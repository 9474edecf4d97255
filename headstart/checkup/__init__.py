"""The check-up: broken, copied, leaking and probably mislabelled images, and shortcuts."""

from headstart.checkup.checking import check
from headstart.checkup.examination import examine
from headstart.checkup.finding import Finding
from headstart.checkup.result import CheckUp

__all__ = ["CheckUp", "Finding", "check", "examine"]
