"""Late interaction inside Lucene from the command line, on a tiny encoder."""

import json

import pytest

from optical_ir.errors import DependencyError
from optical_ir.files import sha256_file
from optical_ir.retrieval import lucene
from optical_ir.retrieval.bm25 import Bm25Index
from optical_ir.retrieval.java import start_jvm
from optical_ir.retrieval.lucene import start_lucene
from optical_ir.trec import read_run, read_topics

pytestmark = pytest.mark.java


@pytest.fixture(scope="session")
def java():
    try:
        start_jvm()
    except DependencyError as err:
        pytest.skip(str(err))


@pytest.fixture(scope="session")
def late(java):
    try:
        start_lucene()
    except DependencyError as err:
        pytest.skip(str(err))


def index_arguments(work, output):
    arguments = ("--collection", work / "demo", "--token-vectors", work / "index")
    return ["index", *arguments, "--output", output]


@pytest.fixture
def index(late, cli, work, tmp_path_factory):
    """Give an index of the demo, made once by the command."""
    folder = work / "late"
    if not folder.exists():
        done = cli(*index_arguments(work, folder))
        assert (done.code, done.out) == (0, "")
    return folder


@pytest.fixture
def search(work, tmp_path):
    """Arguments of a search, given its index."""

    def arguments(index, *more: object, encoder="student-sw"):
        topics, output = work / "demo" / "topics.sw.tsv", tmp_path / f"run.{index.name}.trec"
        options = ("--topics", topics, "--encoder", work / encoder, "--output", output)
        return ["search", "--index", index, *options, *more]

    return arguments


@pytest.mark.parametrize("encoder", ["teacher", "student-sw"])
def test_run_is_that_of_exact_search(cli, work, index, search, tmp_path, encoder):
    for folder in (index, work / "index"):
        done = cli(*search(folder, encoder=encoder))
        assert (done.code, done.out) == (0, "")
    run, exact = (read_run(tmp_path / f"run.{name}.trec") for name in ("late", "index"))
    assert list(run) == list(exact)
    for query_id, rows in run.items():
        expected = {row.doc_id: row.score for row in exact[query_id]}
        assert {row.doc_id: row.score for row in rows} == pytest.approx(expected, abs=1e-4)
        # Scores that differ by less than either rounds may change places.
        assert [expected[row.doc_id] for row in rows] == pytest.approx(
            [row.score for row in exact[query_id]], abs=1e-4
        )


def test_hits_limit_the_run_and_first_stage_hits_the_candidates(cli, index, search, tmp_path):
    run = tmp_path / "run.late.trec"
    found = {}
    for hits, first in ((5, 1000), (1000, 7)):
        arguments = search(index, "--hits", hits, "--first-stage-hits", first, "--overwrite")
        assert cli(*arguments).code == 0
        found[hits] = read_run(run)
    assert {len(rows) for rows in found[5].values()} == {5}
    assert {len(rows) for rows in found[1000].values()} == {7}


def test_bm25_stage_takes_the_topics_given_to_it(cli, work, index, search, tmp_path):
    assert cli("prepare", "demo", "--topics", "en", "--output", tmp_path / "en").code == 0
    english = tmp_path / "en" / "topics.en.tsv"
    arguments = ("--first-stage", "bm25", "--first-stage-topics", english)
    assert cli(*search(index, *arguments, "--first-stage-hits", 9)).code == 0
    run = read_run(tmp_path / "run.late.trec")
    assert cli("index", "--collection", work / "demo", "--output", tmp_path / "bm25").code == 0
    with Bm25Index(tmp_path / "bm25") as bm25:
        words = bm25.search(read_topics(english), k=9)
    assert words
    for query_id, rows in words.items():
        assert {row.doc_id for row in run.get(query_id, [])} == {row.doc_id for row in rows}
    origin = json.loads((tmp_path / "run.late.trec.json").read_text())
    assert origin["inputs"]["first_stage_topics"]["sha256"] == sha256_file(english)
    assert origin["settings"]["first_stage"] == "bm25"
    assert origin["settings"]["first_stage_hits"] == 9


def test_a_failed_build_keeps_the_old_index(cli, work, index):
    before = sha256_file(index / "index.json")
    assert "exists" in cli(*index_arguments(work, index)).error
    assert sha256_file(index / "index.json") == before


def test_search_asks_for_the_encoder(cli, work, index, tmp_path):
    topics = work / "demo" / "topics.sw.tsv"
    done = cli("search", "--index", index, "--topics", topics, "--output", tmp_path / "run")
    assert "is a late-interaction index. Name its query --encoder" in done.error
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_of_another_space_is_refused(cli, index, search, make_checkpoint, tmp_path):
    narrow = make_checkpoint(tmp_path / "narrow", hidden=16)
    other = make_checkpoint(tmp_path / "other", seed=7)
    assert "dim 16" in cli(*search(index, "--encoder", narrow)).error
    assert "belong to different teachers" in cli(*search(index, "--encoder", other)).error
    assert not (tmp_path / "run.late.trec").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--first-stage", "bm52"), "expected vector or bm25, found 'bm52'"),
        (("--first-stage-topics", "T"), "found 'vector', which takes none"),
        (("--first-stage", "bm25", "--first-stage-topics", "T"), "text for query 'q1', found none"),
    ],
)
def test_wrong_first_stages_are_one_line(cli, index, search, tmp_path, options, message):
    topics = tmp_path / "other.tsv"
    topics.write_text("of another set\triver\n".replace(" ", "-"))
    options = [topics if option == "T" else option for option in options]
    # Said before the encoder is loaded.
    assert message in cli(*search(index, *options, encoder="nowhere")).error
    assert not (tmp_path / "run.late.trec").exists()


@pytest.mark.parametrize("option", ["--first-stage", "--first-stage-topics"])
def test_a_first_stage_needs_such_an_index(cli, work, search, tmp_path, option):
    error = cli(*search(work / "index", option, "bm25")).error
    assert "expected a late-interaction index for --first-stage, found another" in error
    assert list(tmp_path.iterdir()) == []


def test_token_vectors_are_for_english(cli, work, tmp_path):
    error = cli(*index_arguments(work, tmp_path / "late"), "--language", "de").error
    assert "--token-vectors: expected documents in en, found --language de" in error
    assert list(tmp_path.iterdir()) == []


def test_token_vectors_of_another_collection_are_refused(cli, late, work, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "corpus.jsonl").write_text('{"id": "x1", "contents": "a river"}\n')
    arguments = ("--collection", other, "--token-vectors", work / "index")
    error = cli("index", *arguments, "--output", tmp_path / "late").error
    assert "expected the token vectors of document 'x1', found none" in error
    assert list(tmp_path.iterdir()) == [other]


def test_old_lucene_is_one_line_with_its_install(cli, java, work, tmp_path, monkeypatch):
    monkeypatch.setattr(lucene, "_RESCORER", "search.NoSuchRescorer")
    error = cli(*index_arguments(work, tmp_path / "late")).error
    assert "needs the Lucene of Pyserini 2.4.0 or newer" in error
    assert "run: pip install 'pyserini>=2.4'" in error
    assert list(tmp_path.iterdir()) == []
