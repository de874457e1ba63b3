"""Measures, significance tests, comparisons of runs, reports, and verifying what they say."""

from optical_ir.evaluation.comparison import Comparison, Contrast, compare
from optical_ir.evaluation.measures import DEFAULT_MEASURES, check_measures, evaluate
from optical_ir.evaluation.report import FORMATS, SIGNED_FORMATS, render
from optical_ir.evaluation.reported import describe_qrels, describe_run
from optical_ir.evaluation.significance import (
    ALPHA,
    holm_correction,
    randomisation_test,
    student_t_test,
)
from optical_ir.evaluation.signing import sign_runs
from optical_ir.evaluation.verification import Verified, verify

__all__ = [
    "ALPHA",
    "DEFAULT_MEASURES",
    "FORMATS",
    "SIGNED_FORMATS",
    "Comparison",
    "Contrast",
    "Verified",
    "check_measures",
    "compare",
    "describe_qrels",
    "describe_run",
    "evaluate",
    "holm_correction",
    "randomisation_test",
    "render",
    "sign_runs",
    "student_t_test",
    "verify",
]
