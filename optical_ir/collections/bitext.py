"""Bitext, the sentence pairs that distillation learns from: TSV, TMX or a pair of Moses files."""

import hashlib
import logging
from collections.abc import Collection, Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from optical_ir.collections.tmx import iter_tmx
from optical_ir.errors import ConfigError, DataError
from optical_ir.files import iter_lines
from optical_ir.records import BitextPair

logger = logging.getLogger(__name__)


def read_bitext(
    path: Path | str,
    *,
    query_lang: str | None = None,
    exclude_sources: Collection[str] = (),
) -> list[BitextPair]:
    """Pairs of a foreign sentence and its English translation, in file order.

    See `read_bitext_sources` for the formats and the errors.
    """
    return list(read_bitext_sources(path, query_lang=query_lang, exclude_sources=exclude_sources))


def read_bitext_sources(
    path: Path | str,
    *,
    query_lang: str | None = None,
    exclude_sources: Collection[str] = (),
) -> dict[BitextPair, str]:
    """Pairs of a foreign sentence and its English translation, with the source of each.

    The source is that of the third column, or nothing where there is none. Text is taken as it
    is, without surrounding white space; of pairs that are exactly equal the first is kept and
    the others are counted in the log.

    Parameters
    ----------
    path : path
        `.tsv` or `.tsv.gz`: foreign TAB English; a third column may name the source, further
        ones are ignored. `.tmx` or `.tmx.gz`: needs `query_lang`. Anything else: the foreign
        one of two Moses files, as `x.sw` with `x.en` beside it (or both `.gz`), or their prefix
        `x` together with `query_lang`.
    query_lang : str, optional
        Language of the foreign side.
    exclude_sources : collection of str
        Names in the third column whose pairs are left out, as a Bible whose style is far from
        that of queries.

    Raises
    ------
    DataError
        For a missing or empty file, fewer than two columns, an empty side, Moses files of
        different lengths, or broken TMX; with file, line and remedy.
    ConfigError
        If a TMX file or a Moses prefix comes without `query_lang`, or a source to leave out is
        not in the file.
    """
    path = Path(path)
    left_out = dict.fromkeys(exclude_sources, 0)
    if path.name.endswith((".tsv", ".tsv.gz")):
        pairs = _iter_tsv(path, left_out)
    elif path.name.endswith((".tmx", ".tmx.gz")):
        if query_lang is None:
            raise ConfigError(
                f"{path}: a TMX file may hold many languages; expected a query language, found "
                "none. Pass it, for example: --query-lang sw"
            )
        pairs = ((pair, "") for pair in iter_tmx(path, query_lang=query_lang))
    else:
        pairs = _iter_moses(*_moses_files(path, query_lang))
    found = list(pairs)
    for source, n_pairs in left_out.items():
        if not n_pairs:
            raise ConfigError(
                f"{path}: expected source {source!r} in the third column, to leave its pairs out, "
                "found none such. Check the name."
            )
        logger.info("%s: left out %d pairs of %s.", path, n_pairs, source)
    unique: dict[BitextPair, str] = {}
    for pair, source in found:
        unique.setdefault(pair, source)
    if len(unique) < len(found):
        logger.info("%s: left out %d duplicate pairs.", path, len(found) - len(unique))
    return unique


def sample_pairs(pairs: Iterable[BitextPair], n: int) -> list[BitextPair]:
    """Give the `n` pairs with the smallest hashes: whatever their order, fewer are among more."""
    return sorted(pairs, key=_hash)[:n]


def _hash(pair: BitextPair) -> bytes:
    return hashlib.sha256("\t".join(pair).encode()).digest()


def _iter_tsv(path: Path, left_out: dict[str, int]) -> Iterator[tuple[BitextPair, str]]:
    """Yield pairs and sources, but for sources in `left_out`, whose pairs are counted there."""
    for number, line in iter_lines(path):
        fields = line.split("\t")
        origin = fields[2].strip() if len(fields) > 2 else ""
        if origin in left_out:
            left_out[origin] += 1
            continue
        if len(fields) < 2:
            raise DataError(
                f"{path}, line {number}: expected 2 tab-separated columns 'foreign English', "
                f"found {len(fields)}: {line[:60]!r}. Separate the sentences with one tab."
            )
        source, target = fields[0].strip(), fields[1].strip()
        if not source or not target:
            raise DataError(
                f"{path}, line {number}: expected text on both sides, found {source!r} and "
                f"{target!r}. Remove such lines, for example: "
                f"awk -F'\\t' '$1 ~ /[^ ]/ && $2 ~ /[^ ]/' {path}"
            )
        yield BitextPair(source, target), origin


def _moses_files(path: Path, query_lang: str | None) -> tuple[Path, Path]:
    if path.is_file():
        is_packed = path.suffix == ".gz"
        source = path
        target = (
            path.with_suffix("").with_suffix(".en.gz") if is_packed else path.with_suffix(".en")
        )
        if source == target:
            raise ConfigError(
                f"{path}: expected the foreign file of a Moses pair, found the English one. "
                "Pass the other file, or the prefix of both and a query language."
            )
    elif query_lang is not None:
        source = path.with_name(f"{path.name}.{query_lang}")
        target = path.with_name(f"{path.name}.en")
    else:
        raise DataError(
            f"{path}: expected bitext (.tsv, .tmx, or a Moses file such as x.sw with x.en beside "
            "it), found no such file. Check the path; a Moses prefix needs a query language."
        )
    for file in (source, target):
        if not file.is_file():
            raise DataError(
                f"{path}: expected a pair of Moses files {source.name} and {target.name}, found "
                f"no {file.name}. Name the files so; tab-separated bitext must be named .tsv."
            )
    return source, target


def _iter_moses(source_path: Path, target_path: Path) -> Iterator[tuple[BitextPair, str]]:
    lines = zip_longest(iter_lines(source_path), iter_lines(target_path))
    for source_line, target_line in lines:
        if source_line is None or target_line is None:
            n_source, n_target = (sum(1 for _ in iter_lines(p)) for p in (source_path, target_path))
            raise DataError(
                f"{source_path} and {target_path}: expected as many lines in both, found "
                f"{n_source} and {n_target}. Align them line by line again."
            )
        number, source, target = source_line[0], source_line[1].strip(), target_line[1].strip()
        if not source or not target:
            raise DataError(
                f"{source_path} and {target_path}, line {number}: expected text on both sides, "
                f"found {source!r} and {target!r}. Join and clean them, for example: paste "
                f"{source_path} {target_path} | awk -F'\\t' '$1 ~ /[^ ]/ && $2 ~ /[^ ]/' > x.tsv"
            )
        yield BitextPair(source, target), ""
