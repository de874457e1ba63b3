"""Columns of plain text that line up in a terminal, in any script."""

from collections.abc import Sequence

from rich.cells import cell_len

from optical_ir.texts import printable


def layout_columns(rows: Sequence[Sequence[str]], *, gap: str = "   ") -> list[str]:
    """Pad the cells of rows to columns, by the width that a terminal gives their characters.

    What a terminal would obey is written as escapes.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths: list[int] = []
    for row in rows:
        for column, cell in enumerate(row):
            widths += [0] * (column + 1 - len(widths))
            widths[column] = max(widths[column], cell_len(cell))
    return [
        gap.join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=False)
        ).rstrip()
        for row in rows
    ]
