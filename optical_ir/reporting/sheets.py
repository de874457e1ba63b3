"""Laying out headings, paragraphs, tables and drawings on pages of a PDF, by matplotlib."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import Any, NamedTuple

from optical_ir.evaluation.tables import Table, full_caption
from optical_ir.fonts import prepare_labels
from optical_ir.reporting.printable import printable

PAGE = (8.27, 11.69)
MARGIN = 0.75
"""Inches: A4, and its margins."""

WIDTH = PAGE[0] - 2 * MARGIN
_INK, _SOFT, _RULE = "#1c2024", "#5a6169", "#c9c5ba"
_CHARACTER = 0.56
"""Mean width of a character, in parts of the font's size."""


class Text(NamedTuple):
    """A paragraph, or a heading; `size` in points, `space` before it in inches."""

    text: str
    size: float = 9.0
    colour: str = _INK
    is_bold: bool = False
    space: float = 0.08
    keep: float = 0.0
    """Inches that must be left on the page for what follows."""


class Drawing(NamedTuple):
    """A drawing of a height in inches; `draw` is given axes and how to write its `texts`."""

    height: float
    draw: Callable[[Any, Callable[[str], str]], None]
    texts: tuple[str, ...] = ()


class Row(NamedTuple):
    """One or two drawings, each half as wide as the page."""

    drawings: tuple[Drawing, ...]


Block = Text | Drawing | Row | Table


def heading(text: str, level: int, *, keep: float = 1.2) -> Text:
    """Make a heading, 1 the largest."""
    size = {1: 20.0, 2: 14.0, 3: 10.5}[level]
    return Text(text, size, is_bold=True, space={1: 0.0, 2: 0.0, 3: 0.24}[level], keep=keep)


def note(text: str) -> Text:
    """Make a paragraph in small and lighter letters."""
    return Text(text, 7.5, _SOFT)


PAGE_BREAK = Text("", size=0.0)


def lay_out(blocks: Sequence[Block]) -> bytes:
    """Draw blocks on as many pages as they need; give the PDF, whose text can be searched.

    The same blocks give the same bytes. See `optical_ir.fonts` for scripts.
    """
    import matplotlib
    from matplotlib.backends.backend_pdf import PdfPages

    texts = sorted({text for block in blocks for text in _texts(block)})
    labels = prepare_labels([printable(text) for text in texts])
    written = dict(zip(texts, labels.texts, strict=True))
    stream = BytesIO()
    # Fonts are embedded as TrueType, with the table that copying and searching need.
    settings = {"pdf.fonttype": 42, "font.family": labels.families, "axes.unicode_minus": False}
    with matplotlib.rc_context(settings):
        with PdfPages(stream, metadata={"CreationDate": None}) as pdf:
            sheets = _Sheets(pdf, written.__getitem__)
            for block in blocks:
                sheets.add(block)
            sheets.finish()
    return stream.getvalue()


def _texts(block: Block) -> Iterable[str]:
    if isinstance(block, Text):
        return [block.text]
    if isinstance(block, Table):
        return [
            full_caption(block),
            *block.header,
            *(cell.text for row in block.rows for cell in row),
        ]
    if isinstance(block, Row):
        return [text for drawing in block.drawings for text in drawing.texts]
    return block.texts


class _Sheets:
    """Pages of an open PDF, filled from the top."""

    def __init__(self, pdf: Any, write: Callable[[str], str]) -> None:
        self.pdf, self.write = pdf, write
        self.figure: Any = None
        self.number = 0
        self.y = 0.0

    def add(self, block: Block) -> None:
        """Draw a block where the last one ended, or on a new page if it does not fit."""
        if block == PAGE_BREAK:
            self.finish()
        elif isinstance(block, Text):
            self._add_text(block)
        elif isinstance(block, Table):
            self._add_table(block)
        elif isinstance(block, Row):
            self._add_drawings(block.drawings, WIDTH / 2)
        else:
            self._add_drawings((block,), WIDTH)

    def finish(self) -> None:
        """Write the page that is open."""
        if self.figure is not None:
            self.figure.text(0.5, 0.4 / PAGE[1], str(self.number), ha="center", size=7, color=_SOFT)
            self.pdf.savefig(self.figure)
            self.figure = None

    def _need(self, height: float) -> None:
        from matplotlib.figure import Figure

        if self.figure is not None and self.y - height < MARGIN:
            self.finish()
        if self.figure is None:
            self.figure = Figure(figsize=PAGE)
            self.number += 1
            self.y = PAGE[1] - MARGIN

    def _put(self, x: float, text: str, size: float, **style: Any) -> None:
        # A dollar sign is one, not the start of a formula.
        place = (MARGIN + x) / PAGE[0], self.y / PAGE[1]
        self.figure.text(*place, text, size=size, va="top", parse_math=False, **style)

    def _add_text(self, block: Text) -> None:
        line_height = block.size * 1.45 / 72
        lines = wrap(self.write(block.text), WIDTH, block.size)
        self._need(block.space + line_height + block.keep)
        self.y -= block.space
        weight = "bold" if block.is_bold else "normal"
        for line in lines:
            self._need(line_height)
            self._put(0, line, block.size, color=block.colour, weight=weight)
            self.y -= line_height

    def _add_table(self, table: Table) -> None:
        size, widths = _fit_columns(table)
        rows = [
            [(self.write(cell.text), cell.mark, cell.is_best) for cell in row] for row in table.rows
        ]
        head = [(self.write(text), "", False) for text in table.header]
        self._need(6 * size * 1.9 / 72)
        self._add_row(head, widths, size, n_labels=table.n_labels, colour=_SOFT)
        for row in rows:
            if self.y - size * 1.9 / 72 < MARGIN:
                self._need(PAGE[1])
                self._add_row(head, widths, size, n_labels=table.n_labels, colour=_SOFT)
            self._add_row(row, widths, size, n_labels=table.n_labels)
        self._add_text(note(full_caption(table)))
        self.y -= 0.12

    def _add_row(
        self,
        cells: Sequence[tuple[str, str, bool]],
        widths: Sequence[float],
        size: float,
        *,
        n_labels: int,
        colour: str = _INK,
    ) -> None:
        from matplotlib.lines import Line2D

        self._need(size * 1.9 / 72)
        x = 0.0
        for column, ((text, mark, is_bold), width) in enumerate(zip(cells, widths, strict=True)):
            weight = "bold" if is_bold else "normal"
            if column < n_labels:
                self._put(x, text, size, color=colour, weight=weight)
            else:
                # Marks hang to the right, so that decimals stand under each other.
                self._put(x + width - 0.1, text, size, color=colour, weight=weight, ha="right")
                self._put(x + width - 0.09, mark, size, color=colour)
            x += width
        self.y -= size * 1.9 / 72
        y = (self.y + size * 0.35 / 72) / PAGE[1]
        ends = MARGIN / PAGE[0], (MARGIN + x) / PAGE[0]
        self.figure.add_artist(Line2D(ends, (y, y), linewidth=0.4, color=_RULE))

    def _add_drawings(self, drawings: Sequence[Drawing], width: float) -> None:
        height = max(drawing.height for drawing in drawings)
        self._need(height)
        for number, drawing in enumerate(drawings):
            box = (
                (MARGIN + number * width) / PAGE[0],
                (self.y - drawing.height) / PAGE[1],
                width / PAGE[0],
                drawing.height / PAGE[1],
            )
            drawing.draw(_Axes(self.figure, box), self.write)
        self.y -= height


class _Axes(NamedTuple):
    """A part of a page, of which axes take what their labels leave."""

    figure: Any
    box: tuple[float, float, float, float]

    def make(
        self, *, left: float, right: float = 0.15, bottom: float = 0.45, top: float = 0.3
    ) -> Any:
        """Axes with margins in inches."""
        x, y, width, height = self.box
        return self.figure.add_axes(
            (
                x + left / PAGE[0],
                y + bottom / PAGE[1],
                width - (left + right) / PAGE[0],
                height - (bottom + top) / PAGE[1],
            )
        )


def wrap(text: str, width: float, size: float) -> list[str]:
    """Break a text into lines of a width in inches at a size in points."""
    n_characters = width * 72 / (size * _CHARACTER)
    if any(unicodedata.east_asian_width(char) in "WF" for char in text):
        n_characters /= 2
    return textwrap.wrap(text, max(8, int(n_characters))) or [""]


def _fit_columns(table: Table) -> tuple[float, list[float]]:
    """Size in points, and widths of the columns in inches, that a table fits with."""
    columns = zip(
        *(table.header, *([c.text + c.mark for c in row] for row in table.rows)), strict=True
    )
    lengths = [max(map(len, column)) + 3 for column in columns]
    size = min(8.0, WIDTH * 72 / (_CHARACTER * 1.06 * sum(lengths)))
    return size, [length * size * _CHARACTER * 1.06 / 72 for length in lengths]
