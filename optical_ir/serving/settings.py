"""What a service is given: where its models and texts are, and how much it may be asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from optical_ir.errors import ConfigError
from optical_ir.languages import normalize_language

STUDENT, ZERO_SHOT, BM25 = "student", "zero-shot", "bm25-translation"
SYSTEMS = (STUDENT, ZERO_SHOT, BM25)
"""Ways to answer a query: its language's student; the teacher, which was trained on no pair of
that language; BM25 on a translation."""


@dataclass(frozen=True)
class Sources:
    """Models and texts of a service, each by name or path.

    Parameters
    ----------
    index : Path
        Multi-vector index of the passages.
    encoders : mapping of str to str
        Query encoder of each language, which is an ISO 639-1 code, else ISO 639-3.
    collection : str, optional
        The passages' texts; what the index names if not given.
    passages : Path, optional
        File to keep the texts in for the next start; a temporary one if not given.
    teacher : str, optional
        Encoder of the index, what the index names if not given.
    bm25 : Path, optional
        BM25 index of the same passages.
    lexicons : mapping of str to Path
        Translation probabilities of a language, by which its encoder reads queries with their
        glosses.
    translators : mapping of str to str
        Model that translates a language's queries into English.
    topics, translated_topics : mapping of str to Path
        Known queries of a language, and their English translations by the same ids.
    max_length : int, optional
        Tokens kept of a query; the checkpoint's own if not given.
    device : str, optional
    """

    index: Path
    encoders: Mapping[str, str]
    collection: str | None = None
    passages: Path | None = None
    teacher: str | None = None
    bm25: Path | None = None
    lexicons: Mapping[str, Path] = field(default_factory=dict)
    translators: Mapping[str, str] = field(default_factory=dict)
    topics: Mapping[str, Path] = field(default_factory=dict)
    translated_topics: Mapping[str, Path] = field(default_factory=dict)
    max_length: int | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if not self.encoders:
            raise ConfigError("expected an --encoder LANG=ENCODER or more, found none.")
        for option, given in (
            ("--lexicon", self.lexicons),
            ("--translator", self.translators),
            ("--topics", self.topics),
            ("--translated-topics", self.translated_topics),
        ):
            if unknown := sorted(given.keys() - self.encoders.keys()):
                raise ConfigError(
                    f"{option}: expected languages that have an --encoder "
                    f"({', '.join(self.encoders)}), found {unknown[0]!r}."
                )
        if lonely := sorted(self.translated_topics.keys() - self.topics.keys()):
            raise ConfigError(
                f"--translated-topics of {lonely[0]!r}: expected --topics of it with the same ids, "
                "found none."
            )


@dataclass(frozen=True)
class Limits:
    """How much a service may be asked.

    Parameters
    ----------
    max_chars : int
        Characters of a query. Its tokens are limited by what its encoder reads.
    max_k : int
        Passages of an answer.
    max_body : int
        Bytes of a request's body.
    rate, burst : float, int
        Requests a second that one address may send in the long run, 0 for any number, and how
        many at once.
    workers : int or None
        Requests computed at a time; as many as there are processors if None.
    queue : int
        Requests that may wait for a worker; further ones are sent away.
    timeout : float
        Seconds that a request may take, with its waiting.
    grace : float
        Seconds that requests have to end once the service is told to stop.
    """

    max_chars: int = 500
    max_k: int = 100
    max_body: int = 16_384
    rate: float = 5.0
    burst: int = 20
    workers: int | None = None
    queue: int = 32
    timeout: float = 20.0
    grace: float = 30.0


def parse_pairs(option: str, values: list[str]) -> dict[str, str]:
    """Read options of the form LANG=VALUE; languages come out as ISO 639-1, else ISO 639-3.

    Raises
    ------
    ConfigError
        For another form, an unknown language, or one that is named twice.
    """
    pairs: dict[str, str] = {}
    for value in values:
        lang, equals, name = value.partition("=")
        if not equals or not lang or not name:
            raise ConfigError(
                f"{option}: expected LANG=VALUE, as sw=student-sw, found {value!r}. "
                "Name the language of the queries."
            )
        if (code := normalize_language(lang)) in pairs:
            raise ConfigError(f"{option}: expected one for language {code!r}, found two.")
        pairs[code] = name
    return pairs
