"""Batches of bitext: the foreign side tokenised for the student, the English for the teacher."""

from dataclasses import dataclass
from typing import Any

from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.data_collator import (
    MultiVectorEncoderDataCollator,
)


@dataclass
class BitextCollator(MultiVectorEncoderDataCollator):
    """Collator for rows ``{"source": ..., "target": ...}``; both sides are read as queries.

    Teacher and student may have different tokenizers, which the stock collator cannot serve.
    """

    student: MultiVectorEncoder | None = None
    teacher: MultiVectorEncoder | None = None

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """Prefix each side's model inputs with its column name, as the trainer expects."""
        batch: dict[str, Any] = {}
        for column, encoder in (("source", self.student), ("target", self.teacher)):
            if encoder is None:
                raise ValueError("BitextCollator needs a student and a teacher.")
            inputs = encoder.preprocess(
                [row[column] for row in features],
                prompt=encoder.prompts.get("query"),
                task="query",
                max_length=self.max_length,
            )
            batch |= {f"{column}_{name}": value for name, value in inputs.items()}
        return batch
