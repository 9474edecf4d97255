"""One self-contained HTML file for each bundle: what it can do, how far to trust it, and why.

`report` writes it again from a bundle; `with_report` lets a run write it when it is saved.
"""

from headstart.reporting.gathering import ReportedPart
from headstart.reporting.writing import Report, report, with_report

__all__ = ["Report", "ReportedPart", "report", "with_report"]
