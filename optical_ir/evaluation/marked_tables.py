"""Tables of figures in Markdown files, marked by a comment with the measures of their cells.

    <!-- runs: nDCG@10 / R@100 -->
    | system | `afriqa-hau.test` | `afriqa-swa.test` |
    |---|---|---|
    | queries of `teacher-nllb600m` | 72 | 67 |
    | `optical-LANG` | 0.4680 / 0.8472 | 0.6899 / 0.9104 |
    | `bm25` | 0.3056- / 0.6111 | 0.3177- / 0.5373 |

A column is a key of judgements, a row is a system, in whose name LANG stands for a language code.
The row `queries` counts the queries that means are over: all judged ones, or `of` a system those
that its run answers. Values have four decimals and may end in marks, which claim nothing here.
"""

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from optical_ir.errors import ConfigError, DataError
from optical_ir.evaluation.measures import check_measures
from optical_ir.files import iter_lines

_MARK_START = re.compile(r"<!--\s*runs\b")
_MARK = re.compile(r"<!-- runs: (\S.*\S) -->\s*")
_DELIMITER = re.compile(r":?-+:?")
_QUERIES = re.compile(r"queries(?: of `?([^\s`]+)`?)?")
_SYSTEM = re.compile(r"`?([^\s`]+)`?")
_VALUE = re.compile(r"(\d+\.\d{4})[+-]*")


class Count(NamedTuple):
    """A printed number of queries; `where` is file and line."""

    where: str
    key: str
    n_queries: int


class Figures(NamedTuple):
    """The values of a cell, one for each measure of its table; `where` is file and line."""

    where: str
    key: str
    system: str
    values: tuple[float, ...]


class MarkedTable(NamedTuple):
    """What a table claims; `coverage` is the system whose queries it is about, None for all."""

    measures: tuple[str, ...]
    coverage: str | None
    counts: tuple[Count, ...]
    figures: tuple[Figures, ...]


def read_marked_tables(path: Path | str) -> list[MarkedTable]:
    """Read the marked tables of a Markdown file; what stands in ``` code ``` is left out.

    Raises
    ------
    DataError
        If the file is missing or a marked table is not as the module's header shows.
    """
    lines = list(iter_lines(path, may_be_empty=True))
    tables = []
    is_code = False
    for position, (number, line) in enumerate(lines):
        if line.startswith("```"):
            is_code = not is_code
        if _MARK_START.match(line) and not is_code:
            below = takewhile(lambda item: item[1].startswith("|"), lines[position + 1 :])
            rows = [(f"{path}, line {number}", _cells(text)) for number, text in below]
            tables.append(_parse_table(f"{path}, line {number}", line, rows))
    return tables


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip() for cell in inner.split("|")]


def _parse_table(where: str, mark: str, rows: Sequence[tuple[str, list[str]]]) -> MarkedTable:
    measures = _parse_mark(where, mark)
    if len(rows) < 2 or not all(map(_DELIMITER.fullmatch, rows[1][1])):
        raise DataError(
            f"{where}: expected a Markdown table from the next line on, found none. Put the "
            "comment directly before the table."
        )
    keys = _parse_header(*rows[0])
    coverages: list[str | None] = []
    counts: list[Count] = []
    figures: list[Figures] = []
    for place, (label, *cells) in rows[2:]:
        if len(cells) != len(keys):
            raise DataError(f"{place}: expected {len(keys)} cells and a label, found {len(cells)}.")
        filled = [(key, cell) for key, cell in zip(keys, cells, strict=True) if cell]
        if queries := _QUERIES.fullmatch(label):
            coverages.append(queries[1])
            counts += [Count(place, key, _parse_count(place, cell)) for key, cell in filled]
        else:
            system = _parse_system(place, label)
            for key, cell in filled:
                figures.append(Figures(place, key, system, _parse_values(place, cell, measures)))
    if len(coverages) > 1:
        raise DataError(f"{where}: expected one row of queries at most, found {len(coverages)}.")
    return MarkedTable(measures, coverages[0] if coverages else None, tuple(counts), tuple(figures))


def _parse_mark(where: str, mark: str) -> tuple[str, ...]:
    found = _MARK.fullmatch(mark)
    if not found:
        raise DataError(
            f"{where}: expected a comment such as '<!-- runs: nDCG@10 / R@100 -->', found {mark!r}."
        )
    measures = tuple(found[1].split(" / "))
    try:
        check_measures(measures)
    except ConfigError as err:
        raise DataError(f"{where}: {err}") from err
    return measures


def _parse_header(where: str, header: Sequence[str]) -> list[str]:
    keys = [key.strip("`") for key in header[1:]]
    if header[0] != "system" or not all(keys) or not keys:
        raise DataError(
            f"{where}: expected a header '| system | `KEY` | ... |', found {' | '.join(header)!r}."
        )
    return keys


def _parse_count(where: str, cell: str) -> int:
    if not cell.isdecimal():
        raise DataError(f"{where}: expected a number of queries, found {cell!r}.")
    return int(cell)


def _parse_system(where: str, label: str) -> str:
    found = _SYSTEM.fullmatch(label)
    if not found:
        raise DataError(f"{where}: expected the name of a system or 'queries', found {label!r}.")
    return found[1]


def _parse_values(where: str, cell: str, measures: Sequence[str]) -> tuple[float, ...]:
    found = [_VALUE.fullmatch(text) for text in cell.split(" / ")]
    values = tuple(float(value[1]) for value in found if value)
    if not len(values) == len(found) == len(measures):
        raise DataError(
            f"{where}: expected a cell with {' / '.join(measures)} in four decimals, each with + "
            f"or - after it or nothing, found {cell!r}."
        )
    return values
