"""Experiment files: what is read, and what is refused before any work."""

from pathlib import Path

import pytest

from optical_ir.collections.load import demo_folder
from optical_ir.errors import ConfigError
from optical_ir.experiment import read_experiment
from optical_ir.training import DistillationSettings

EXPERIMENTS = sorted((Path(__file__).resolve().parent.parent / "experiments").glob("*.toml"))

WHOLE = """
name = "tiny"
collection = "mmarco/de/dev"
measures = ["nDCG@10", "AP"]
hits = 50
source = "MS MARCO"
licence = "non-commercial"

[teacher]
encoder = "some/model"
center_on = "demo"
dim = 64

[students.sw]
query_lang = "sw"
bitext = "bitext.sw-en.tsv"
epochs = 2
learning_rate = 1e-4

[[tasks]]
topics = "so"
query_lang = "som"
student = "sw"
translations = { human = "topics.en.tsv" }
"""


@pytest.fixture
def read(tmp_path):
    """Read an experiment given as text."""

    def read_text(text):
        (tmp_path / "e.toml").write_text(text)
        return read_experiment(tmp_path / "e.toml")

    return read_text


def test_every_key_arrives_where_it_belongs(read):
    experiment = read(WHOLE)
    assert (experiment.name, experiment.hits) == ("tiny", 50)
    assert (experiment.source, experiment.licence) == ("MS MARCO", "non-commercial")
    assert experiment.collection_key == "mmarco-de-dev"
    assert experiment.measures == ("nDCG@10", "AP")
    assert (experiment.teacher.center_on, experiment.teacher.dim) == ("demo", 64)
    student = experiment.students["sw"]
    assert (student.query_lang, student.bitext) == ("sw", "bitext.sw-en.tsv")
    assert student.settings == DistillationSettings(epochs=2, learning_rate=1e-4)
    (task,) = experiment.tasks
    assert (task.topics, task.student) == ("so", "sw")
    assert task.translations == {"human": "topics.en.tsv"}


@pytest.mark.parametrize("path", [*EXPERIMENTS, demo_folder() / "demo.toml"], ids=lambda p: p.name)
def test_packaged_experiments_are_read(path):
    assert read_experiment(path).name == path.stem


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hits = 50", "hit = 50", "the file: unknown key 'hit'; expected collection, hits"),
        ("hits = 50", "hits = 0", "hits: expected 1 or more, found 0"),
        ("hits = 50", "hits = '50'", "hits: expected int, found '50'"),
        ("hits = 50", "hits = true", "hits: expected int, found True"),
        ('["nDCG@10", "AP"]', '"AP"', "measures: expected tuple, found 'AP'"),
        ('name = "tiny"', "", "the file: expected a key 'name', found none"),
        ('name = "tiny"', 'name = "a/b"', "expected names without blanks and slashes.*'a/b'"),
        ('topics = "so"', 'topics = "s o"', "expected names without blanks.*'s o'"),
        ("dim = 64", "dims = 64", "teacher: unknown key 'dims'"),
        ("dim = 64", "n_docs = 0", "n_docs: expected 1 or more, found 0"),
        ("[teacher]", "[[teacher]]", "teacher: expected a table, found"),
        ('query_lang = "sw"', "", "students.sw: expected a key 'query_lang', found none"),
        ('query_lang = "sw"', 'query_lang = "xqz"', "a language code of ISO 639.*'xqz'"),
        ("epochs = 2", "epoch = 2", "students.sw: unknown key 'epoch'"),
        ("epochs = 2", "epochs = 'two'", "students.sw: epochs: expected float, found 'two'"),
        ("epochs = 2", "epochs = 0", "students.sw: epochs: expected more than 0, found 0"),
        ("[[tasks]]", "[tasks]", "tasks: expected tables \\[\\[tasks\\]\\]"),
        ("[[tasks]]", "[[task]]", "unknown key 'task'"),
        ('student = "sw"', 'student = "so"', "task 'so': expected a student out of sw, found 'so'"),
        ('"som"', '"xqz"', "expected a language code of ISO 639.*'xqz'"),
        ('{ human = "topics.en.tsv" }', '"topics.en.tsv"', "translations: expected dict"),
        ('{ human = "topics.en.tsv" }', "{ 'a b' = 'x' }", "names without blanks.*'a b'"),
        ("hits = 50", "hits = ", "is not TOML"),
    ],
)
def test_a_mistake_is_named_with_the_file(read, old, new, message):
    assert old in WHOLE
    with pytest.raises(ConfigError, match=message) as caught:
        read(WHOLE.replace(old, new, 1))
    assert "e.toml: " in str(caught.value)


def test_an_experiment_without_tasks_is_refused(read):
    with pytest.raises(ConfigError, match=r"expected at least one \[\[tasks\]\], found none"):
        read(WHOLE.partition("[[tasks]]")[0])


def test_two_tasks_with_the_same_topics_are_refused(read):
    task = WHOLE.partition("[[tasks]]")[2]
    with pytest.raises(ConfigError, match="expected one task for topics 'so', found more"):
        read(f"{WHOLE}\n[[tasks]]\n{task}")
