"""Distillation of student query encoders."""

from optical_ir.training.distillation import distil
from optical_ir.training.losses import BitextLoss, PooledLoss, TransportLoss
from optical_ir.training.mixture import BitextPart
from optical_ir.training.monitor import read_log
from optical_ir.training.settings import DistillationSettings

__all__ = [
    "BitextLoss",
    "BitextPart",
    "DistillationSettings",
    "PooledLoss",
    "TransportLoss",
    "distil",
    "read_log",
]
