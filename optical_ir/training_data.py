"""What the students of an experiment learn from: parts of bitext, or code-switched queries."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import ceil
from pathlib import Path
from typing import Any

from optical_ir.collections import (
    Collection,
    Lexicon,
    read_bitext_sources,
    read_gloss_lexicon,
    read_lexicon,
    sample_pairs,
    select_like,
)
from optical_ir.errors import ConfigError, DataError
from optical_ir.experiment import Experiment, Student, StudentPlan
from optical_ir.files import sha256_file
from optical_ir.glosses import gloss_bitext
from optical_ir.records import BitextPair
from optical_ir.training import BitextPart, CodeSwitcher
from optical_ir.trec import read_topics

_LEAST_BATCHES = 10
"""Batches that the pairs of a source make, or it is joined with others: few would come often."""


def read_language_bitext(
    experiment: Experiment, data: Path, language: str, file: str
) -> dict[BitextPair, str]:
    """Read pairs and sources of one file of a language's bitext, but what it leaves out."""
    plan = experiment.languages[language]
    path, is_first = data / file, file == next(iter(plan.bitext))
    excluded = plan.exclude_sources if is_first else ()
    pairs = read_bitext_sources(path, query_lang=language, exclude_sources=excluded)
    if not path.is_file():
        raise ConfigError(
            f"{path}: expected a file, found the prefix of two. Name the foreign one."
        )
    return pairs


def bitext_parts(
    experiment: Experiment, data: Path, student: Student, lexicons: Mapping[str, Path]
) -> list[BitextPart]:
    """Give the bitext of a student's languages, each drawn from by its share.

    Parameters
    ----------
    lexicons : mapping of str to Path
        Files of translation probabilities by language, for a student with `gloss`.
    """
    parts = []
    for language in student.languages:
        lexicon = None
        if student.plan.gloss:
            lexicon = read_gloss_lexicon(lexicons[language], word_forms=experiment.word_forms)
        for file, share in experiment.languages[language].shares().items():
            sources = read_language_bitext(experiment, data, language, file)
            pairs = _choose(list(sources), data, student.plan)
            origins = [sources[pair] for pair in pairs]
            if student.plan.misaligned:
                pairs = misalign(pairs, student.plan.misaligned, seed=student.settings.seed)
            if lexicon is not None:
                pairs = gloss_bitext(pairs, lexicon)
            part = BitextPart(file, pairs, share)
            if student.plan.source_exponent < 1:
                least = _LEAST_BATCHES * student.settings.batch_size
                parts += balance_sources(part, origins, student.plan.source_exponent, least)
            else:
                parts.append(part)
    return parts


def _choose(pairs: list[BitextPair], data: Path, plan: StudentPlan) -> list[BitextPair]:
    if plan.like is not None:
        queries = [query.text for query in read_topics(data / plan.like)]
        pairs = select_like(pairs, queries, plan.like_share)
    if plan.max_pairs is not None:
        pairs = sample_pairs(pairs, plan.max_pairs)
    return pairs


def balance_sources(
    part: BitextPart, origins: Sequence[str], exponent: float, least: int
) -> list[BitextPart]:
    """Split a part by the sources of its pairs, and draw from them more evenly than they come.

    The share of a source is in proportion to its number of pairs to the power of `exponent`, as
    languages are sampled for multilingual models (Conneau et al., ACL 2020). The smallest
    sources are joined until they have `least` pairs together.

    Parameters
    ----------
    origins : sequence of str
        Source of each pair.
    exponent : float
        1 leaves the sources as they come, 0 draws from all of them equally often.
    """
    by_source: dict[str, list[BitextPair]] = {}
    for pair, origin in zip(part.pairs, origins, strict=True):
        by_source.setdefault(origin, []).append(pair)
    joined: list[BitextPair] = []
    split: dict[str, list[BitextPair]] = {}
    for origin, pairs in sorted(by_source.items(), key=lambda item: (len(item[1]), item[0])):
        if len(pairs) < least or 0 < len(joined) < least:
            joined += pairs
        else:
            split[f"{part.name}, {origin}"] = pairs
    if joined:
        split[f"{part.name}, others"] = joined
    sizes = {name: len(pairs) ** exponent for name, pairs in split.items()}
    total = sum(sizes.values())
    return [
        BitextPart(name, pairs, part.share * sizes[name] / total) for name, pairs in split.items()
    ]


def settings_of_training(
    experiment: Experiment, data: Path, student: Student, lexicons: Mapping[str, Path]
) -> dict[str, Any]:
    """Give all that decides what a student becomes, but for its teacher; files by their hashes.

    Parameters
    ----------
    lexicons : mapping of str to Path
        See `bitext_parts`.
    """
    languages = {name: experiment.languages[name] for name in student.languages}
    settings: dict[str, Any] = {
        "languages": student.languages,
        "settings": asdict(student.settings),
    }
    plan, usual = student.plan, StudentPlan()
    if plan.switch_on is not None:
        files = [item.lexicon for item in languages.values() if item.lexicon is not None]
        return settings | {
            "switch_on": plan.switch_on,
            "switch_probability": plan.switch_probability,
            "lexicons": {file: sha256_file(data / file) for file in files},
        }
    chosen = {
        key: getattr(plan, key)
        for key in ("max_pairs", "source_exponent", "misaligned")
        if getattr(plan, key) != getattr(usual, key)
    }
    if plan.gloss:
        chosen["gloss"] = {name: sha256_file(lexicons[name]) for name in student.languages}
        # Left out where it is off, as in students of before there was such a setting.
        chosen |= {"word_forms": True} if experiment.word_forms else {}
    if plan.like is not None:
        sha256 = sha256_file(data / plan.like)
        chosen["like"] = {"topics": plan.like, "sha256": sha256, "share": plan.like_share}
    return settings | {
        **chosen,
        "exclude_sources": {
            name: item.exclude_sources for name, item in languages.items() if item.exclude_sources
        },
        "bitext": {
            file: {"share": share, "sha256": sha256_file(data / file)}
            for item in languages.values()
            for file, share in item.shares().items()
        },
    }


def misalign(pairs: Sequence[BitextPair], share: float, *, seed: int) -> list[BitextPair]:
    """Exchange the English sides of a share of the pairs among them, as noisy bitext has them.

    Each of the chosen pairs gets the English of another one.
    """
    generator = random.Random(seed)
    chosen = generator.sample(range(len(pairs)), round(share * len(pairs)))
    noisy = list(pairs)
    for place, other in zip(chosen, chosen[1:] + chosen[:1], strict=True):
        noisy[place] = BitextPair(pairs[place].source, pairs[other].target)
    return noisy


def read_language_lexicon(experiment: Experiment, data: Path, language: str) -> Lexicon | None:
    """Read the lexicon of a language into English; None if it has none."""
    plan = experiment.languages.get(language)
    if plan is None or plan.lexicon is None:
        return None
    return read_lexicon(data / plan.lexicon, query_lang=language)


def switched_parts(
    experiment: Experiment, data: Path, student: Student, collection: Collection
) -> list[BitextPart]:
    """Give code-switched queries with the passages that are judged relevant to them.

    With several languages one is drawn for each word. There are as many rows as the student's
    steps need, each pass over the queries switched anew.

    Raises
    ------
    ConfigError
        If the settings do not say `max_steps`.
    DataError
        If the collection has no judged queries.
    """
    settings, plan = student.settings, student.plan
    if settings.max_steps is None:
        raise ConfigError(f"{student.name}: code-switching needs max_steps. Give them.")
    texts = {query.query_id: query.text for query in collection.iter_queries()}
    relevant = [
        qrel for qrel in collection.iter_qrels() if qrel.relevance > 0 and qrel.query_id in texts
    ]
    if not relevant:
        raise DataError(f"{collection.name}: expected judged queries, found none.")
    needed = {qrel.doc_id for qrel in relevant}
    passages = {doc.doc_id: doc.text for doc in collection.iter_docs() if doc.doc_id in needed}
    lexicons = [read_language_lexicon(experiment, data, name) for name in student.languages]
    switcher = CodeSwitcher(
        lexicons=[lexicon.inverse() for lexicon in lexicons if lexicon is not None],
        probability=plan.switch_probability,
        seed=settings.seed,
    )
    rows = [{"query": texts[qrel.query_id], "positive": passages[qrel.doc_id]} for qrel in relevant]
    epochs = ceil(settings.max_steps * settings.batch_size / len(rows))
    switched = switcher.iter_epochs(rows, epochs)
    pairs = [BitextPair(row["query"], row["positive"]) for row in switched]
    return [BitextPart("code-switched", pairs)]
