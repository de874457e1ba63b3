"""Experiment files: what is read, and what is refused before any work."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from optical_ir.collections.load import demo_folder
from optical_ir.errors import ConfigError
from optical_ir.experiment_file import read_experiment
from optical_ir.training import DistillationSettings, TeacherSettings

ROOT = Path(__file__).resolve().parent.parent
COMMAND = re.compile(
    r"^optical-ir reproduce (experiments/\S+\.toml) --data DATA --output (\S+)", re.MULTILINE
)
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.toml"))

WHOLE = """
name = "tiny"
measures = ["nDCG@10", "AP"]
hits = 50

[teacher]
encoder = "some/model"
center_on = "demo"
dim = 64

[collections.news]
name = "mmarco/de/dev"
source = "MS MARCO"
licence = "non-commercial"

[languages.sw]
bitext = "bitext.sw-en.tsv"

[languages.so]
bitext = { "news.tsv" = 3, "questions.tsv" = 1 }
lexicon = "so.dict.tsv"
share = 2

[students.optical]
seeds = [42, 43]
epochs = 2
learning_rate = 1e-4

[students.single]
each = true

[[tasks]]
collection = "news"
topics = "som"
query_lang = "so"
translations = { human = "topics.en.tsv" }
"""


@pytest.fixture
def read(tmp_path):
    """Read an experiment given as text."""

    def read_text(text):
        (tmp_path / "e.toml").write_text(text)
        return read_experiment(tmp_path / "e.toml")

    return read_text


def test_the_example_of_the_documentation_is_read(read):
    page = (ROOT / "docs" / "experiments.md").read_text("utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    experiment = read(example)
    assert experiment.name == "mine"
    rivals = {"pooled", "single", "code-switching"}
    assert set(experiment.students) == {"optical", "optical-glossed", *rivals}
    assert [name for name, plan in experiment.students.items() if plan.gloss] == ["optical-glossed"]
    assert experiment.students["optical-glossed"].settings.max_length == 128


def test_one_vector_is_of_a_student_without_gloss(read):
    text = WHOLE.replace("[students.optical]", "[students.optical]\ngloss = true", 1)
    text = text.replace("hits = 50", 'hits = 50\npsq_aligner = "ot"\none_vector = ["mean"]', 1)
    with pytest.raises(ConfigError, match="expected a first student without gloss, found optical"):
        read(text)


def test_every_key_arrives_where_it_belongs(read):
    experiment = read(WHOLE)
    assert (experiment.name, experiment.hits) == ("tiny", 50)
    news = experiment.collections["news"]
    assert (news.name, news.source, news.licence) == (
        *("mmarco/de/dev", "MS MARCO", "non-commercial"),
    )
    assert experiment.measures == ("nDCG@10", "AP")
    assert (experiment.teacher.center_on, experiment.teacher.dim) == ("demo", 64)
    assert experiment.languages["sw"].bitext == {"bitext.sw-en.tsv": 1.0}
    somali = experiment.languages["so"]
    assert somali.lexicon == "so.dict.tsv"
    assert somali.shares() == {"news.tsv": 1.5, "questions.tsv": 0.5}
    student = experiment.students["optical"]
    assert (student.languages, student.each, student.seeds) == (("sw", "so"), False, (42, 43))
    assert student.settings == DistillationSettings(epochs=2, learning_rate=1e-4)
    (task,) = experiment.tasks
    assert (task.key, task.query_lang) == ("news-som", "so")
    assert task.translations == {"human": "topics.en.tsv"}


def test_a_plan_has_a_student_for_each_seed_or_language(read):
    experiment = read(WHOLE)
    (task,) = experiment.tasks
    joint = dict(experiment.students_of("optical", task))
    assert list(joint) == ["optical", "optical-seed43"]
    assert [student.name for student in joint.values()] == list(joint)
    assert [student.settings.seed for student in joint.values()] == [42, 43]
    assert {student.languages for student in joint.values()} == {("sw", "so")}
    ((system, student),) = experiment.students_of("single", task)
    assert (system, student.name, student.languages) == ("single", "single-so", ("so",))


def test_a_label_ends_names_and_leaves_all_else(read, tmp_path):
    plain = read(WHOLE)
    labelled = read_experiment(tmp_path / "e.toml", label="gpu")
    assert labelled.name == "tiny-gpu"
    assert [task.key for task in labelled.tasks] == ["news-gpu-som"]
    assert set(labelled.collections) == {"news-gpu"}
    assert labelled.collections["news-gpu"].name == plain.collections["news"].name
    assert labelled.students == plain.students
    matrix = read_experiment(ROOT / "experiments" / "matrix.toml", label="gpu")
    unnamed = matrix.collections["flores-ict-gpu"]
    assert unnamed.name == "flores-ict", "the key, where it has no name"
    with pytest.raises(ConfigError, match="names without blanks and slashes"):
        read_experiment(tmp_path / "e.toml", label="a/b")


@pytest.mark.parametrize("path", [*EXPERIMENTS, demo_folder() / "demo.toml"], ids=lambda p: p.name)
def test_packaged_experiments_are_read(path):
    assert read_experiment(path).name == path.stem


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hits = 50", "hit = 50", "the file: unknown key 'hit'; expected collections, fusion, h"),
        ("hits = 50", "hits = 0", "hits: expected 1 or more, found 0"),
        ("hits = 50", "hits = '50'", "hits: expected int, found '50'"),
        ("hits = 50", "hits = true", "hits: expected int, found True"),
        ('["nDCG@10", "AP"]', '"AP"', "measures: expected tuple, found 'AP'"),
        ('name = "tiny"', "", "the file: expected a key 'name', found none"),
        ('name = "tiny"', 'name = "a/b"', "expected names without blanks and slashes.*'a/b'"),
        ('topics = "som"', 'topics = "s o"', "expected names without blanks.*'news-s o'"),
        ("dim = 64", "dims = 64", "teacher: unknown key 'dims'"),
        ("dim = 64", "n_docs = 0", "n_docs: expected 1 or more, found 0"),
        ("[teacher]", "[[teacher]]", "teacher: expected a table, found"),
        ("[collections.news]", "[collections.old]", "expected a collection out of old, found 'ne"),
        ('licence = "', 'license = "', "collections.news: unknown key 'license'"),
        ("[languages.sw]", "[languages.xqz]", "a language code of ISO 639.*'xqz'"),
        ('bitext = "bitext.sw-en.tsv"', "", "languages.sw: expected a bitext for students.optical"),
        ('"news.tsv" = 3', '"news.tsv" = 0', "languages.so: expected a share above 0 for news.tsv"),
        ('"news.tsv" = 3', '"news.tsv" = "3"', "languages.so: bitext: expected dict"),
        ("seeds = [42, 43]", "seeds = []", "students.optical: expected at least one language and"),
        ("seeds = [42, 43]", "seed = 42", "students.optical: expected seeds, a list, found seed"),
        ("seeds = [42, 43]", "languages = ['sv']", "expected a language out of sw, so, found 'sv'"),
        ("each = true", "each = true\nlanguages = ['sw']", "out of sw, found 'so'"),
        ("epochs = 2", "epoch = 2", "students.optical: unknown key 'epoch'"),
        ("epochs = 2", "epochs = 'two'", "students.optical: epochs: expected float, found 'two'"),
        ("epochs = 2", "epochs = 0", "students.optical: epochs: expected more than 0, found 0"),
        ("[[tasks]]", "[tasks]", "tasks: expected tables \\[\\[tasks\\]\\]"),
        ("[[tasks]]", "[[task]]", "unknown key 'task'"),
        ('query_lang = "so"', 'query_lang = "xqz"', "'xqz'"),
        (
            'topics = "som"',
            'topics = "som"\nhalf = "left"',
            "out of tuning, held-out, found",
        ),
        ('{ human = "topics.en.tsv" }', '"topics.en.tsv"', "translations: expected dict"),
        ('{ human = "topics.en.tsv" }', "{ 'a b' = 'x' }", "names without blanks.*'a b'"),
        ("hits = 50", "psq_aligner = 'giza'", "a psq_aligner out of ot, eflomal, found 'giza'"),
        ("hits = 50", "psq_dictionary = true", "psq_dictionary: expected a psq_aligner"),
        ("hits = 50", "hits = ", "is not TOML"),
        ("[teacher]", "[fusion]\nmethod = 'best'\n[teacher]", "method: expected one of rrf, wsum"),
        (
            "[teacher]",
            "[fusion]\nmethod = 'wsum'\nweights = [1.0]\n[teacher]",
            r"fusion: expected two weights, of the student and of BM25, found \[1.0\]",
        ),
        ("epochs = 2", "like_share = 0", "like_share: expected above 0 and at most 1, found 0"),
        ("share = 2", "share = 0", r"languages.so: share: expected above 0, found 0"),
        ("epochs = 2", "source_exponent = 2", "source_exponent: expected 0 to 1, found 2"),
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
    with pytest.raises(ConfigError, match="expected one task for topics 'som', found more"):
        read(f"{WHOLE}\n[[tasks]]\n{task}")


def test_an_experiment_without_students_is_refused(read):
    whole = WHOLE.partition("[students.optical]")
    with pytest.raises(ConfigError, match=r"at least one \[students.NAME\], found none"):
        read(whole[0] + "[[tasks]]" + whole[2].partition("[[tasks]]")[2])


def test_teacher_training_is_read_and_needs_queries(tmp_path):
    path = tmp_path / "experiment.toml"
    table = "dim = 64\n{}\n[teacher.training]\nlearning_rate = 1e-4\nn_negatives = 2\n"
    path.write_text(WHOLE.replace("dim = 64\n", table.format('train_on = "demo"')))
    plan = read_experiment(path).teacher
    assert plan.train_on == "demo"
    assert plan.training == TeacherSettings(learning_rate=1e-4, n_negatives=2)
    path.write_text(WHOLE.replace("dim = 64\n", table.format("")))
    with pytest.raises(ConfigError, match=r"expected train_on beside \[teacher\.training\]"):
        read_experiment(path)


def test_halves_are_disjoint_and_all_queries_together(read):
    task = 'topics = "som"'
    halves = [
        read(WHOLE.replace(task, f'{task}\nhalf = "{half}"', 1)).tasks[0]
        for half in ("tuning", "held-out")
    ]
    assert [half.key for half in halves] == ["news-som.tuning", "news-som.held-out"]
    ids = [f"q{number}" for number in range(1000)]
    tuning, held_out = ({i for i in ids if half.has(i)} for half in halves)
    assert tuning | held_out == set(ids)
    assert not tuning & held_out
    assert abs(len(tuning) - 500) < 60


def stages_with_settings(experiment):
    """Give what others may make by the same name, and what decides its content."""
    yield "teacher", experiment.teacher
    learned, usual = (experiment.psq_aligner, experiment.psq_dictionary), DistillationSettings()
    for name, language in experiment.languages.items():
        if experiment.psq_aligner is not None and language.psq_lexicon is None:
            yield f"lexicons/{name}", (*learned, language.bitext, language.exclude_sources)
    for task in experiment.tasks:
        for plan in experiment.students:
            for _, student in experiment.students_of(plan, task):
                alone = replace(student.plan, languages=(), each=False, seeds=(), settings=usual)
                glosses = (*learned, experiment.word_forms) if alone.gloss else ()
                languages = [experiment.languages[name] for name in student.languages]
                bitext = [(language.bitext, language.exclude_sources) for language in languages]
                settings = (alone, student.settings, student.languages, bitext, glosses)
                yield f"students/{student.name}", settings


def test_documented_commands_of_one_output_folder_do_not_refuse_each_other():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    commands = {found for page in pages for found in COMMAND.findall(page.read_text("utf-8"))}
    assert len(commands) > 10
    made = {}
    for file, output in sorted(commands):
        for stage, settings in stages_with_settings(read_experiment(ROOT / file)):
            first, expected = made.setdefault((output, stage), (file, settings))
            assert settings == expected, f"{output}/{stage}: {first}, {file}"
