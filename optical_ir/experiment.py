"""An experiment: a teacher, students, and the tasks that all systems answer."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from optical_ir.evaluation import DEFAULT_MEASURES
from optical_ir.models.embedded import EMBEDDED_MODEL
from optical_ir.retrieval.fusion import FusionSettings
from optical_ir.training import DistillationSettings, TeacherSettings

HALVES = ("tuning", "held-out")
"""Halves of the queries of a collection without a dev split."""


@dataclass(frozen=True, kw_only=True)
class TeacherPlan:
    """How the teacher is made.

    Attributes
    ----------
    encoder : str
        Any encoder name.
    center_on : str or None
        Collection whose first documents give the mean token vector; None leaves it uncentred.
    n_docs : int
        Documents used for that.
    dim : int or None
        Principal components kept; None keeps the encoder's width.
    train_on : str or None
        Collection of judged English queries to train on after that; None leaves it untrained.
    training : TeacherSettings
    """

    encoder: str = EMBEDDED_MODEL
    center_on: str | None = None
    n_docs: int = 1000
    dim: int | None = None
    train_on: str | None = None
    training: TeacherSettings = field(default_factory=TeacherSettings)


@dataclass(frozen=True, kw_only=True)
class CollectionPlan:
    """A collection, by its key in file names.

    Attributes
    ----------
    name : str or None
        `demo`, a folder or an ir_datasets id; the key if None.
    source, licence : str
        Noted beside the judgements.
    """

    name: str | None = None
    source: str = ""
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class LanguagePlan:
    """What there is to learn a query language from.

    Attributes
    ----------
    bitext : dict
        Files of sentence pairs, and how often each is drawn from, relative to the others.
    exclude_sources : tuple of str
        Sources, by the third column of the first of these files, whose pairs are left out.
    lexicon : str or None
        Bilingual dictionary for word-by-word translation and code-switching.
    psq_lexicon : str or None
        Translation probabilities for BM25 over probabilistic structured queries and for glosses,
        in place of those that the experiment's `psq_aligner` learns.
    share : float
        How often a student of several languages learns this one, relative to the others.
    """

    bitext: dict[str, float] = field(default_factory=dict)
    exclude_sources: tuple[str, ...] = ()
    lexicon: str | None = None
    psq_lexicon: str | None = None
    share: float = 1.0

    def shares(self) -> dict[str, float]:
        """Give how often each file is drawn from; they sum to the share of the language."""
        total = sum(self.bitext.values())
        return {file: self.share * share / total for file, share in self.bitext.items()}


@dataclass(frozen=True, kw_only=True)
class StudentPlan:
    """A kind of student: the languages it learns, and how.

    Attributes
    ----------
    languages : tuple of str
        Keys of the experiment's languages; all by default.
    each : bool
        One student a language, which answers the tasks of that language. Otherwise one student
        learns all of them, by their shares, and answers every task.
    seeds : tuple of int
        One training each. The first takes part in the comparison, all in the spread.
    max_pairs : int or None
        Pairs kept of each bitext file, those with the smallest hashes, so that fewer are among
        more; for the effect of bitext size.
    like : str or None
        Topics file of English queries. Given, of each bitext file the pairs are kept whose
        English is most like these queries.
    like_share : float
        Part of the pairs that are kept then.
    source_exponent : float
        Below 1 the sources of each bitext file are drawn from more evenly than they come: in
        proportion to their number of pairs to this power.
    misaligned : float
        Part of the pairs, 0 to 1, whose English sides are exchanged among them; for the effect
        of noise.
    gloss : bool
        The student reads every foreign sentence, in training and as a query, with its gloss: the
        likeliest translations by the language's translation probabilities; see
        `optical_ir.glosses`. The teacher is then asked with glosses too.
    switch_on : str or None
        Collection of judged English queries. Given, the student does not learn from bitext but
        from these queries, code-switched by the languages' lexicons; the rival of that name.
    switch_probability : float
        Of a word to be replaced.
    settings : DistillationSettings
    """

    languages: tuple[str, ...] = ()
    each: bool = False
    seeds: tuple[int, ...] = (42,)
    max_pairs: int | None = None
    like: str | None = None
    like_share: float = 0.5
    source_exponent: float = 1.0
    misaligned: float = 0.0
    gloss: bool = False
    switch_on: str | None = None
    switch_probability: float = 0.5
    settings: DistillationSettings = field(default_factory=DistillationSettings)


@dataclass(frozen=True, kw_only=True)
class Student:
    """One student of a plan; `name` is its folder and the tag of its runs."""

    name: str
    languages: tuple[str, ...]
    settings: DistillationSettings
    plan: StudentPlan


@dataclass(frozen=True, kw_only=True)
class Task:
    """Queries of one language over a collection.

    Attributes
    ----------
    collection : str
        Key of the collection.
    topics : str
        Name of the topics in the collection.
    query_lang : str
        Language code, as the keys of the languages.
    translations : dict
        Topics files with English translations, by system; they may cover a part of the queries.
    half : str or None
        ``tuning`` or ``held-out``: that half of the queries, by a hash of their ids, where a
        collection has no dev split. None is all of them.
    """

    collection: str
    topics: str
    query_lang: str
    translations: dict[str, str] = field(default_factory=dict)
    half: str | None = None

    @property
    def name(self) -> str:
        """Name of the queries, unlike others of the collection."""
        return self.topics if self.half is None else f"{self.topics}.{self.half}"

    @property
    def key(self) -> str:
        """Name of the task in file names."""
        return f"{self.collection}-{self.name}"

    def has(self, query_id: str) -> bool:
        """Whether a query of the topics is one of the task's."""
        if self.half is None:
            return True
        is_even = int(hashlib.sha256(query_id.encode()).hexdigest(), 16) % 2 == 0
        return is_even == (self.half == HALVES[0])


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A teacher, collections, languages, students and tasks.

    Attributes
    ----------
    one_vector : tuple of str
        Forms of one vector a text to search with too, as `plain`, `mean` or `muvera-20x1x64`; see
        `optical_ir.models.single_vector`. The first student is searched in them.
    fusion : FusionSettings
        How the first student's runs are fused with those of BM25; weights are of these two, in
        this order.
    psq_aligner : str or None
        Learns translation probabilities from the bitext of each language that has no
        `psq_lexicon`: ``eflomal``, or ``ot``, by transport plans of the teacher. None learns none.
    psq_dictionary : bool
        The aligner learns from the entries of a language's `lexicon` too, as sentence pairs.
    word_forms : bool
        Glosses guess the translations of words that these probabilities lack from words with the
        same beginning or end, see `optical_ir.word_forms`.
    note : str
        Printed below the summary.
    """

    name: str
    teacher: TeacherPlan
    collections: dict[str, CollectionPlan]
    languages: dict[str, LanguagePlan]
    students: dict[str, StudentPlan]
    tasks: tuple[Task, ...]
    one_vector: tuple[str, ...] = ()
    fusion: FusionSettings = field(default_factory=FusionSettings)
    psq_aligner: str | None = None
    psq_dictionary: bool = False
    word_forms: bool = True
    note: str = ""
    measures: tuple[str, ...] = DEFAULT_MEASURES
    hits: int = 1000

    def students_of(self, plan_name: str, task: Task) -> Iterator[tuple[str, Student]]:
        """Give the students of a plan that answer a task, one a seed, by their system.

        The system of the first seed is the plan's name; the others say their seed, as in
        ``optical-seed43``.
        """
        plan = self.students[plan_name]
        languages = (task.query_lang,) if plan.each else plan.languages
        name = f"{plan_name}-{task.query_lang}" if plan.each else plan_name
        for number, seed in enumerate(plan.seeds):
            suffix = f"-seed{seed}" if number else ""
            settings = replace(plan.settings, seed=seed)
            student = Student(name=name + suffix, languages=languages, settings=settings, plan=plan)
            yield plan_name + suffix, student

    def tasks_by_collection(self) -> Iterator[tuple[str, list[Task]]]:
        """Give the tasks of each collection that has any."""
        for key in self.collections:
            if tasks := [task for task in self.tasks if task.collection == key]:
                yield key, tasks

    def labelled(self, label: str) -> Self:
        """Give the same experiment with a label at the end of its own and its collections' names.

        Runs, judgements and report can then lie beside those of the experiment run elsewhere, as on
        a GPU. Teacher, indexes and students keep their names, so the output folder is another.
        """
        return replace(
            self,
            name=f"{self.name}-{label}",
            collections={
                f"{key}-{label}": replace(plan, name=plan.name or key)
                for key, plan in self.collections.items()
            },
            tasks=tuple(
                replace(task, collection=f"{task.collection}-{label}") for task in self.tasks
            ),
        )
