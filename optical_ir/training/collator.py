"""Batches of bitext: the foreign side tokenised for the student, the English for the teacher."""

from dataclasses import dataclass
from typing import Any

from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.data_collator import (
    MultiVectorEncoderDataCollator,
)


@dataclass
class BitextCollator(MultiVectorEncoderDataCollator):
    """Collator for rows ``{"source": ..., "target": ...}``; the source is read as a query.

    Teacher and student may have different tokenizers, which the stock collator cannot serve.

    Attributes
    ----------
    student, teacher : MultiVectorEncoder
        Of source and target.
    target_task, target_length : str, int or None
        See `optical_ir.training.BitextLoss`.
    """

    student: MultiVectorEncoder | None = None
    teacher: MultiVectorEncoder | None = None
    target_task: str = "query"
    target_length: int | None = None

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """Prefix each side's model inputs with its column name, as the trainer expects."""
        batch: dict[str, Any] = {}
        target = (self.teacher, self.target_task, self.target_length or self.max_length)
        sides = {"source": (self.student, "query", self.max_length), "target": target}
        for column, (encoder, task, max_length) in sides.items():
            if encoder is None:
                raise ValueError("BitextCollator needs a student and a teacher.")
            inputs = encoder.preprocess(
                [row[column] for row in features],
                prompt=encoder.prompts.get(task),
                task=task,
                max_length=max_length,
            )
            batch |= {f"{column}_{name}": value for name, value in inputs.items()}
        return batch
