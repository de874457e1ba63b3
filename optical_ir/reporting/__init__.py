"""A report of runs as one HTML page and a PDF: figures, tests, queries, costs and origins."""

from optical_ir.reporting.settings import ReportInputs
from optical_ir.reporting.write import write_report

__all__ = ["ReportInputs", "write_report"]
