"""Teachers and students: multi-vector encoders, the embedded default model, MaxSim, one vector."""

from optical_ir.models.centering import center_encoder
from optical_ir.models.embedded import EMBEDDED_MODEL, embedded_checkpoint
from optical_ir.models.encoder import (
    build_encoder,
    embedding_dim,
    encode_documents,
    encode_queries,
    load_encoder,
)
from optical_ir.models.folder import embedding_space, read_description, save_teacher
from optical_ir.models.maxsim import maxsim_scores
from optical_ir.models.precision import fast_inference
from optical_ir.models.single_vector import load_single_vector

__all__ = [
    "EMBEDDED_MODEL",
    "build_encoder",
    "center_encoder",
    "embedded_checkpoint",
    "embedding_dim",
    "embedding_space",
    "encode_documents",
    "encode_queries",
    "fast_inference",
    "load_encoder",
    "load_single_vector",
    "maxsim_scores",
    "read_description",
    "save_teacher",
]
