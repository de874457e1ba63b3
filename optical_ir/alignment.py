"""How a sentence is transported to its translation: the plan that training sees, token by token.

The student's scored tokens of a foreign sentence are moved to the teacher's of an English one,
with the cost, the uniform weights and the plans of `optical_ir.transport`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import MultiVectorEncoder

from optical_ir.columns import layout_columns
from optical_ir.errors import ConfigError, DataError
from optical_ir.models import embedding_dim, embedding_space, encode_queries, load_encoder
from optical_ir.models.encoder import TokenVectors
from optical_ir.models.query_encoder import load_query_encoder
from optical_ir.models.tokens import Token, scored_tokens, scored_words
from optical_ir.transport import PLANS, cosine_cost, solve_transport, uniform_weights

_LEAST_SHARE = 0.005
"""Smaller shares are not printed: they would read 0 %."""


@dataclass(frozen=True)
class Alignment:
    """A transport plan between two sentences.

    Attributes
    ----------
    source_text, target_text : str
        The foreign and the English sentence.
    source, target : tuple of Token
        Their scored tokens, or their words.
    plan : array, shape (n_source, n_target), float64
        Mass that moves; sums to 1 in plans that leave none unmatched.
    cost : array, shape (n_source, n_target), float64
        Of moving a unit of mass, ``1 - cosine``, between 0 and 2.
    source_weights : array, shape (n_source,), float64
        Mass of each source token; sums to 1.
    penalty : float
        What unmatched mass costs, see `optical_ir.transport.Transport`.
    """

    source_text: str
    target_text: str
    source: tuple[Token, ...]
    target: tuple[Token, ...]
    plan: npt.NDArray[np.float64]
    cost: npt.NDArray[np.float64]
    source_weights: npt.NDArray[np.float64]
    penalty: float

    @property
    def transport_cost(self) -> float:
        """``<P, C>``, without the penalty."""
        return float((self.plan * self.cost).sum())

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """Part of each source token's mass that goes to each target token; shape of `plan`."""
        return self.plan / self.source_weights[:, None]


def load_pair(
    encoder: str,
    teacher: str | None,
    *,
    glossed: bool = False,
    max_length: int | None = None,
    device: str | None = None,
) -> tuple[MultiVectorEncoder, MultiVectorEncoder]:
    """Load a student and its teacher, which is the same encoder if none is named.

    Parameters
    ----------
    glossed, max_length, device
        See `optical_ir.models.query_encoder.load_query_encoder`; the teacher reads no glosses.

    Raises
    ------
    ConfigError
        If the two write into different embedding spaces, or one does not load.
    """
    student = load_query_encoder(encoder, glossed=glossed, max_length=max_length, device=device)
    if teacher is None:
        return student, student
    other = load_encoder(teacher, device=device, query_length=max_length)
    spaces = embedding_space(encoder, student), embedding_space(teacher, other)
    if spaces[0] != spaces[1] or embedding_dim(student) != embedding_dim(other):
        raise ConfigError(
            f"expected an encoder and its own teacher, found {encoder} in embedding space "
            f"{spaces[0]} and {teacher} in {spaces[1]}. Name the teacher it was distilled from."
        )
    return student, other


def align(
    student: MultiVectorEncoder,
    teacher: MultiVectorEncoder,
    source: str,
    target: str,
    *,
    plan: str = "entropic",
    epsilon: float = 0.05,
) -> Alignment:
    """Transport plan from the tokens of a sentence to those of its translation.

    Both are read as queries, as in training, up to the encoders' own lengths.

    Parameters
    ----------
    student, teacher : MultiVectorEncoder
        Of `source` and of `target`; the same one will do.
    plan, epsilon : str, float
        See `optical_ir.transport.solve_transport`; other parameters have its defaults.

    Raises
    ------
    ConfigError
        If there is no such plan, or it refuses `epsilon`.
    DataError
        If a sentence has nothing to score.
    """
    if plan not in PLANS:
        raise ConfigError(f"plan: expected one of {', '.join(PLANS)}, found {plan!r}.")
    source_tokens, source_vectors = _encode(student, source, "foreign")
    target_tokens, target_vectors = _encode(teacher, target, "English")
    cost = cosine_cost(
        torch.from_numpy(source_vectors)[None], torch.from_numpy(target_vectors)[None]
    )
    weights = [uniform_weights(torch.ones(1, n, dtype=torch.bool)) for n in cost.shape[1:]]
    try:
        solved = solve_transport(cost, *weights, plan=plan, epsilon=epsilon)
    except ValueError as err:
        raise ConfigError(f"plan {plan}: {err} Choose another value, or another plan.") from err
    return Alignment(
        source_text=source,
        target_text=target,
        source=tuple(source_tokens),
        target=tuple(target_tokens),
        plan=solved.plan[0].double().numpy(),
        # Rounding takes equal vectors just below 0.
        cost=cost[0].clamp(min=0).double().numpy(),
        source_weights=weights[0][0].double().numpy(),
        penalty=float(solved.penalty[0]),
    )


def _encode(encoder: MultiVectorEncoder, text: str, role: str) -> tuple[list[Token], TokenVectors]:
    tokens = scored_tokens(encoder, text)
    if not tokens:
        raise DataError(
            f"expected {'an' if role == 'English' else 'a'} {role} sentence with words, found "
            f"{text!r}, which has no scored token. Give it some."
        )
    return tokens, encode_queries(encoder, [text])[0]


def group_words(alignment: Alignment) -> Alignment:
    """Sum the mass over the tokens of each word; see `optical_ir.models.tokens.Token`.

    The cost between two words is the mean over the mass that moves between them, or over their
    tokens where none does, so the transport cost stays what it is.
    """
    rows = _membership(alignment.source)
    columns = _membership(alignment.target)
    plan = rows @ alignment.plan @ columns.T
    moved = rows @ (alignment.plan * alignment.cost) @ columns.T
    pairs = rows.sum(1)[:, None] * columns.sum(1)
    mean = (rows @ alignment.cost @ columns.T) / pairs
    return Alignment(
        source_text=alignment.source_text,
        target_text=alignment.target_text,
        source=tuple(scored_words(alignment.source_text, alignment.source)),
        target=tuple(scored_words(alignment.target_text, alignment.target)),
        plan=plan,
        cost=np.divide(moved, plan, out=mean, where=plan > 0),
        source_weights=rows @ alignment.source_weights,
        penalty=alignment.penalty,
    )


def _membership(tokens: Sequence[Token]) -> npt.NDArray[np.float64]:
    """Matrix of shape (n_words, n_tokens): 1 where a token is of a word."""
    words = np.array([token.word for token in tokens])
    member: npt.NDArray[np.float64] = np.equal.outer(np.arange(words[-1] + 1), words).astype(float)
    return member


def format_alignment(alignment: Alignment, *, best: int = 3) -> str:
    """Table of an alignment as plain text: a line for each source token, then the total cost.

    Parameters
    ----------
    best : int
        Target tokens a line at most: those that take most of its mass, each with the share of
        this mass and the cost.
    """
    shares = alignment.shares
    lines = [["token", "mass", "to (share of the mass, cost)"]]
    for row, token in enumerate(alignment.source):
        cells = [token.text, f"{alignment.source_weights[row]:.3f}"]
        for column in np.argsort(-shares[row], kind="stable")[:best]:
            share, cost = shares[row, column], alignment.cost[row, column]
            if share >= _LEAST_SHARE:
                cells.append(f"{alignment.target[column].text} ({share:.0%}, {cost:.3f})")
        lines.append(cells)
    total = f"transport cost {alignment.transport_cost:.4f}, mass {alignment.plan.sum():.3f}"
    if alignment.penalty:
        total += f", unmatched {alignment.penalty:.4f}"
    return "\n".join([*layout_columns(lines), "", total]) + "\n"
