"""What each query gained or lost, and what a reader sees who points at it."""

from __future__ import annotations

from typing import NamedTuple

from optical_ir.evaluation.tables import format_difference, format_value
from optical_ir.reporting.panels import Change, Panel
from optical_ir.reporting.texts import Texts


class Answer(NamedTuple):
    """A system's value for a query, rank of its first relevant document, and its top document."""

    system: str
    value: str
    rank: str
    doc_id: str
    doc: str
    is_relevant: bool


class QueryChange(NamedTuple):
    """A query on which two systems differ.

    Attributes
    ----------
    share : float
        Size of the difference, in per cent of the panel's largest.
    is_gain : bool
    difference, query, translation : str
        Ready to be shown; texts are "" where there are none.
    answers : tuple of Answer
        The system's and the baseline's.
    """

    query_id: str
    share: float
    is_gain: bool
    difference: str
    query: str
    translation: str
    answers: tuple[Answer, Answer]


class SystemChanges(NamedTuple):
    """Changes of a system in a panel.

    Attributes
    ----------
    largest : float
        Largest difference, up or down, of any system in the panel: what shares are of.
    wins, ties, losses : int
        Numbers of queries.
    """

    system: str
    largest: float
    wins: int
    ties: int
    losses: int
    mean_difference: str
    changes: list[QueryChange]

    def most_changed(self, n: int) -> list[QueryChange]:
        """Up to `n` most gained queries, then as many most lost, the most lost last."""
        gains = [change for change in self.changes if change.is_gain][:n]
        losses = [change for change in self.changes if not change.is_gain][-n:]
        return gains + losses


def list_changes(panel: Panel, texts: Texts) -> list[SystemChanges]:
    """Describe the changes of all systems but the baseline, in the order of the comparison."""
    by_system = {system: panel.changes(system) for system in panel.comparison.values}
    sizes = [abs(change.difference) for changes in by_system.values() for change in changes]
    largest = max(sizes, default=0.0)
    found = []
    for system, own in by_system.items():
        contrast = panel.contrast(system)
        if contrast is not None:
            changes = [_describe(panel, texts, system, change, largest) for change in own]
            counts = contrast.wins, contrast.ties, contrast.losses
            mean = format_difference(contrast.difference)
            found.append(SystemChanges(system, largest, *counts, mean, changes))
    return found


def _describe(
    panel: Panel, texts: Texts, system: str, change: Change, largest: float
) -> QueryChange:
    query_id = change.query_id
    return QueryChange(
        query_id,
        round(100 * abs(change.difference) / largest, 2),
        change.difference > 0,
        format_difference(change.difference),
        texts.queries.get(query_id, ""),
        texts.translations.get(query_id, ""),
        (
            _answer(panel, texts, system, query_id, change.value),
            _answer(panel, texts, panel.baseline, query_id, change.baseline_value),
        ),
    )


def _answer(panel: Panel, texts: Texts, system: str, query_id: str, value: float) -> Answer:
    rows, relevant = panel.runs[system][query_id], panel.relevant[query_id]
    rank = next((rank for rank, row in enumerate(rows, 1) if row.doc_id in relevant), None)
    said = f"first relevant at rank {rank}" if rank else "none relevant"
    top = rows[0].doc_id if rows else ""
    return Answer(system, format_value(value), said, top, texts.docs.get(top, ""), top in relevant)
