"""Queries, their translations and the first words of documents, for what a report points out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optical_ir.collections import load_collection, load_queries
from optical_ir.errors import ConfigError, DataError
from optical_ir.reporting.panels import Panel
from optical_ir.reporting.settings import ReportInputs

_SHOWN = 110
"""Characters shown of a document."""


@dataclass(frozen=True)
class Texts:
    """Texts of one key by id, and what there are none of, in words.

    `docs` holds the first words of documents.
    """

    queries: Mapping[str, str] = field(default_factory=dict)
    translations: Mapping[str, str] = field(default_factory=dict)
    docs: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[str, ...]:
        """Options that would bring the texts that are not there."""
        named = {
            "queries (--topics or --collection)": self.queries,
            "translations (--translations)": self.translations,
            "documents (--collection)": self.docs,
        }
        return tuple(name for name, texts in named.items() if not texts)


def read_texts(inputs: ReportInputs, panels: Sequence[Panel]) -> dict[str, Texts]:
    """Read what texts there are for the queries of the panels, by key.

    Raises
    ------
    ConfigError
        If a collection or file belongs to no run or to several keys, or cannot be opened.
    DataError
        If topics lack a judged query, or a collection a document that a run ranks first.
    """
    by_key: dict[str, list[Panel]] = {}
    for panel in panels:
        by_key.setdefault(panel.key, []).append(panel)
    collections = _assign_collections(inputs.collections, panels)
    topics = _assign_topics("--topics", inputs.topics, by_key)
    translations = _assign_topics("--translations", inputs.translations, by_key, shared=True)
    docs = _read_docs(collections, panels)
    texts = {}
    for key, own in by_key.items():
        name = collections.get(key)
        queries = topics.get(key, {})
        if name and not queries:
            queries = _queries_of(name, own[0])
        if queries:
            _check_topics(key, queries, own)
        texts[key] = Texts(queries, translations.get(key, {}), docs.get(name, {}) if name else {})
    return texts


def _assign_collections(given: Sequence[str], panels: Sequence[Panel]) -> dict[str, str]:
    """Name of the collection to open, by key."""
    own = {panel.key: panel.collection for panel in panels}
    assigned: dict[str, str] = {}
    for text in given:
        name, is_named, source = text.rpartition("=")
        name = name if is_named else Path(source).resolve().name
        keys = [k for k, c in own.items() if c == name or k == name or k.startswith(f"{name}-")]
        if not keys and not is_named and len(given) == 1:
            keys = list(own)
        if not keys:
            raise ConfigError(
                f"--collection {text}: expected the collection of a run "
                f"({', '.join(dict.fromkeys(own.values()))}), found {name!r}. Name the one it is, "
                f"as {next(iter(own.values()))}={source}."
            )
        assigned.update(dict.fromkeys(keys, source))
    return assigned


def _queries_of(name: str, panel: Panel) -> dict[str, str]:
    """Give a collection's queries under the topics of a panel's key."""
    tried = [panel.topics] if panel.topics else [panel.key, *_ends(panel.key)]
    errors = []
    for topics in tried:
        try:
            collection = load_collection(name, topics=topics)
            return {query.query_id: query.text for query in collection.iter_queries()}
        except ConfigError as err:
            errors.append(str(err))
    raise ConfigError(f"{errors[-1]} Or name the topics of {panel.key!r} with --topics.")


def _ends(key: str) -> list[str]:
    """Give what follows each dash of a key: the topics, in a collection whose name has dashes."""
    parts = key.split("-")
    return ["-".join(parts[start:]) for start in range(1, len(parts))]


def _assign_topics(
    option: str,
    given: Sequence[str],
    panels: Mapping[str, Sequence[Panel]],
    *,
    shared: bool = False,
) -> dict[str, dict[str, str]]:
    """Texts by key and query id; with `shared` a file without a key may serve several."""
    assigned: dict[str, dict[str, str]] = {}
    for text in given:
        key, is_named, source = text.rpartition("=")
        if is_named and key not in panels:
            raise ConfigError(
                f"{option} {text}: expected the key of a run ({', '.join(panels)}), found {key!r}."
            )
        queries = {query.query_id: query.text for query in load_queries(source)}
        asked = {k: own[0].comparison.values[own[0].baseline].index for k, own in panels.items()}
        keys = [k for k, ids in asked.items() if queries.keys() & set(ids)]
        keys = [key] if is_named else keys
        if not keys:
            raise DataError(
                f"{source}: expected queries of the judgements, such as "
                f"{next(iter(asked.values()))[0]!r}, found {next(iter(queries))!r}. Check the file."
            )
        if len(keys) > 1 and not shared:
            raise ConfigError(
                f"{option} {text}: its ids are those of {', '.join(keys)}. Say which it is, as "
                f"{keys[0]}={source}."
            )
        for name in keys:
            assigned[name] = {**assigned.get(name, {}), **queries}
    return assigned


def _check_topics(key: str, queries: Mapping[str, str], panels: Sequence[Panel]) -> None:
    asked = [q for panel in panels for q in panel.comparison.values[panel.baseline].index]
    lacking = [query_id for query_id in dict.fromkeys(asked) if query_id not in queries]
    if lacking:
        raise DataError(
            f"Topics of {key!r}: expected all judged queries, found no text of {len(lacking)} of "
            f"them, such as {lacking[0]!r}. Check that topics and judgements are of one split."
        )


def _read_docs(
    collections: Mapping[str, str], panels: Sequence[Panel]
) -> dict[str, dict[str, str]]:
    """First words of the documents that a report shows, by collection."""
    wanted: dict[str, set[str]] = {}
    for panel in panels:
        if panel.key in collections:
            wanted.setdefault(collections[panel.key], set()).update(_shown_docs(panel))
    return {name: _first_words(name, ids) for name, ids in wanted.items()}


def _shown_docs(panel: Panel) -> Iterable[str]:
    for run in panel.runs.values():
        for rows in run.values():
            yield from (row.doc_id for row in rows[:1])


def _first_words(name: str, ids: set[str]) -> dict[str, str]:
    docs = load_collection(name).iter_docs()
    words = {doc.doc_id: _shorten(doc.text) for doc in docs if doc.doc_id in ids}
    lacking = ids - words.keys()
    if lacking:
        raise DataError(
            f"{name}: expected all documents that the runs rank first, found no {min(lacking)!r} "
            f"and {len(lacking) - 1} more. Check that the runs are of this collection."
        )
    return words


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    if len(line) <= _SHOWN:
        return line
    start = line[:_SHOWN]
    # Scripts without spaces are cut between letters.
    return (start.rsplit(" ", 1)[0] if " " in start else start) + " \u2026"
