"""Distillation of student query encoders."""

from optical_ir.training.distillation import distil
from optical_ir.training.losses import BitextLoss, PooledLoss, TransportLoss
from optical_ir.training.settings import DistillationSettings

__all__ = ["BitextLoss", "DistillationSettings", "PooledLoss", "TransportLoss", "distil"]
