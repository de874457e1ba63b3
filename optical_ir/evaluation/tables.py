"""Tables of text cells and their layout as plain text, Markdown and LaTeX."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

_DECIMALS = 4
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{char: "\\" + char for char in "&%$#_"},
}
_SIGNED_NUMBER = re.compile(r"[+\-<]\d*\.?\d+")


class Cell(NamedTuple):
    """Text of a cell, a mark set after it, and whether it is the best of its column."""

    text: str
    mark: str = ""
    is_best: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of as many cells as `header`; the first `n_labels` columns are words, not numbers."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    n_labels: int = 1


def format_value(value: float) -> str:
    """Round the value of a measure to the decimals of all tables."""
    return f"{value:.{_DECIMALS}f}"


def format_difference(value: float) -> str:
    """Round a difference of values likewise, with its sign."""
    return f"{value:+.{_DECIMALS}f}"


def format_p_value(value: float) -> str:
    """Round a p-value likewise; one too small for these decimals is said to be below the last."""
    smallest = 10**-_DECIMALS
    return f"<{format_value(smallest)}" if value < smallest else format_value(value)


def layout_text(table: Table) -> str:
    """Lay out aligned columns for a terminal, the caption below; no cell is bold."""
    rows = [[Cell(text) for text in table.header], *table.rows]
    columns = []
    for column, cells in enumerate(zip(*rows, strict=True)):
        mark_width = max(len(cell.mark) for cell in cells)
        texts = [cell.text + cell.mark.ljust(mark_width) for cell in cells]
        width = max(map(len, texts))
        align = str.ljust if column < table.n_labels else str.rjust
        columns.append([align(text, width) for text in texts])
    lines = ["  ".join(texts).rstrip() for texts in zip(*columns, strict=True)]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join([*lines, "", table.caption])


def layout_markdown(table: Table) -> str:
    """Lay out a GitHub-style table, the best cells in bold, the caption below."""
    alignment = [":--" if i < table.n_labels else "--:" for i in range(len(table.header))]
    lines = [
        [_escape_markdown(text) for text in table.header],
        alignment,
        *([_mark_up(cell, _escape_markdown, "**{}**", "{}") for cell in row] for row in table.rows),
    ]
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{body}\n\n{_escape_markdown(full_caption(table))}"


def layout_latex(table: Table) -> str:
    r"""Lay out a `table` that needs ``\usepackage{booktabs}``, the best cells in bold."""
    columns = "".join("l" if i < table.n_labels else "r" for i in range(len(table.header)))
    rows = (
        [_mark_up(cell, _escape_latex, r"\textbf{{{}}}", "$^{{{}}}$") for cell in row]
        for row in table.rows
    )
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escape_latex(full_caption(table))}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(_escape_latex, table.header)) + r" \\",
            r"\midrule",
            *(" & ".join(row) + r" \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def full_caption(table: Table) -> str:
    """Caption of a layout that sets the best cells in bold, if there are any."""
    has_best = any(cell.is_best for row in table.rows for cell in row)
    return table.caption + " Best of each column in bold." * has_best


def _mark_up(cell: Cell, escape: Callable[[str], str], best: str, mark: str) -> str:
    text = best.format(escape(cell.text)) if cell.is_best else escape(cell.text)
    return text + mark.format(cell.mark) if cell.mark else text


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\|*_`])", r"\\\1", text)


def _escape_latex(text: str) -> str:
    if _SIGNED_NUMBER.fullmatch(text):
        return f"${text}$"
    return "".join(_LATEX.get(char, char) for char in text)
