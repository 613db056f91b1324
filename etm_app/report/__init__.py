"""The page on which people look at their topics: one HTML file that needs nothing else."""

from etm_app.report.comparison import compare
from etm_app.report.page import write_report
from etm_app.report.run import Run

__all__ = ["Run", "compare", "write_report"]
