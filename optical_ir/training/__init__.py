"""Training of teachers, and distillation of student query encoders."""

from optical_ir.training.code_switching import CodeSwitcher, code_switch
from optical_ir.training.contrastive import ContrastiveLoss, contrastive_loss
from optical_ir.training.distillation import distil
from optical_ir.training.loss_factory import make_loss
from optical_ir.training.losses import BitextLoss, GreedyLoss, PooledLoss
from optical_ir.training.mixture import BitextPart
from optical_ir.training.monitor import read_log
from optical_ir.training.settings import DistillationSettings
from optical_ir.training.teacher import train_teacher
from optical_ir.training.teacher_settings import TeacherSettings
from optical_ir.training.transport_loss import TransportLoss
from optical_ir.training.triples import Triple, Triples, draw_triples

__all__ = [
    "BitextLoss",
    "BitextPart",
    "CodeSwitcher",
    "ContrastiveLoss",
    "DistillationSettings",
    "GreedyLoss",
    "PooledLoss",
    "TeacherSettings",
    "TransportLoss",
    "Triple",
    "Triples",
    "code_switch",
    "contrastive_loss",
    "distil",
    "draw_triples",
    "make_loss",
    "read_log",
    "train_teacher",
]
