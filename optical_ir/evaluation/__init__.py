"""Measures, significance tests, comparisons of runs and their reports."""

from optical_ir.evaluation.comparison import Comparison, Contrast, compare
from optical_ir.evaluation.measures import DEFAULT_MEASURES, check_measures, evaluate
from optical_ir.evaluation.report import FORMATS, render
from optical_ir.evaluation.significance import (
    holm_correction,
    randomisation_test,
    student_t_test,
)

__all__ = [
    "DEFAULT_MEASURES",
    "FORMATS",
    "Comparison",
    "Contrast",
    "check_measures",
    "compare",
    "evaluate",
    "holm_correction",
    "randomisation_test",
    "render",
    "student_t_test",
]
