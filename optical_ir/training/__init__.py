"""Distillation of student query encoders."""

from optical_ir.training.distillation import distil
from optical_ir.training.loss_factory import make_loss
from optical_ir.training.losses import BitextLoss, GreedyLoss, PooledLoss
from optical_ir.training.mixture import BitextPart
from optical_ir.training.monitor import read_log
from optical_ir.training.settings import DistillationSettings
from optical_ir.training.transport_loss import TransportLoss

__all__ = [
    "BitextLoss",
    "BitextPart",
    "DistillationSettings",
    "GreedyLoss",
    "PooledLoss",
    "TransportLoss",
    "distil",
    "make_loss",
    "read_log",
]
