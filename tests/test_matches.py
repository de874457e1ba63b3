"""Explained similarities add up to the score of search, and other texts are refused."""

import numpy as np
import pytest

from optical_ir import matches
from optical_ir.errors import ConfigError, DataError
from optical_ir.matches import explain, format_explanations, load_index_teacher, open_docs
from optical_ir.models import embedding_space, encode_queries, maxsim_scores
from optical_ir.models.encoder import encode_documents
from optical_ir.records import Doc, Query
from optical_ir.retrieval.index import build_index
from optical_ir.retrieval.search import search_index

DOCS = [
    Doc("d1", "the red dog sees a cat."),
    Doc("d2", "a big bird eats near the old house"),
    Doc("d3", "old water, under the small tree!"),
    Doc("d4", "?!"),
]
QUERY = "mbwa nyekundu ona the dogs?"


@pytest.fixture(scope="module")
def make_index(tiny_encoder, plain_folder, tmp_path_factory):
    def make(storage="float32", settings=None):
        folder = tmp_path_factory.mktemp("indexes") / "index"
        space = embedding_space(plain_folder, tiny_encoder)
        origin = {"settings": settings or {}}
        return build_index(DOCS, tiny_encoder, folder, space=space, storage=storage, origin=origin)

    return make


@pytest.fixture(scope="module")
def index(make_index):
    return make_index()


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "float16", "int8"])
def test_similarities_add_up_to_the_score_of_search(make_index, tiny_encoder, storage):
    index = make_index(storage)
    found = explain(index, tiny_encoder, tiny_encoder, QUERY, DOCS, k=10)
    vectors = encode_queries(tiny_encoder, [QUERY])
    run = search_index(index, [Query("q", QUERY)], vectors, k=10)["q"]
    assert [(one.doc_id, one.score) for one in found] == [(row[1], row[2]) for row in run]
    assert len(found) == 3
    for one in found:
        assert sum(match.similarity for match in one.matches) == pytest.approx(one.score, abs=1e-5)


def test_matches_are_the_best_tokens_by_hand(index, tiny_encoder):
    (found,) = explain(index, tiny_encoder, tiny_encoder, QUERY, DOCS, doc_ids=["d1"])
    query, doc = (
        encode_queries(tiny_encoder, [QUERY])[0],
        encode_documents(tiny_encoder, [DOCS[0].text])[0],
    )
    best = (query @ doc.T).argmax(1)
    assert [one.doc_token for one in found.matches] == [
        "the red dog sees a cat".split()[place] for place in best
    ]
    assert found.score == pytest.approx(maxsim_scores([query], [doc])[0, 0], abs=1e-5)
    words = [one.query_word for one in found.matches]
    assert list(dict.fromkeys(words)) == ["mbwa", "nyekundu", "ona", "the", "dogs"]
    np.testing.assert_allclose(
        [one.similarity for one in found.matches], (query @ doc.T).max(1), atol=1e-5
    )


def test_named_documents_come_best_first_and_once(index, tiny_encoder):
    ranked = explain(index, tiny_encoder, tiny_encoder, QUERY, DOCS, k=3)
    named = explain(index, tiny_encoder, tiny_encoder, QUERY, DOCS, doc_ids=["d3", "d1", "d3"])
    assert named == [one for one in ranked if one.doc_id in ("d1", "d3")]


def test_the_text_names_tokens_their_words_and_the_score(index, tiny_encoder):
    (found,) = explain(index, tiny_encoder, tiny_encoder, "dogs", DOCS, doc_ids=["d1"])
    lines = format_explanations([found]).splitlines()
    mean = found.score / len(found.matches)
    assert lines[0] == f"1  d1   score {found.score:.4f}, {mean:.4f} a token"
    assert lines[2].split()[1] == "[dogs]"
    assert lines[2].endswith(f"{found.matches[0].similarity:.4f}")
    assert len(lines) == 2 + len(found.matches)


@pytest.mark.parametrize(
    ("doc_id", "error"),
    [
        ("d9", "expected a document 'd9', found none of that id among 4, such as 'd1'"),
        ("d4", "expected a document with scored tokens, found 'd4' without any"),
    ],
)
def test_unknown_and_empty_documents_are_refused(index, tiny_encoder, doc_id, error):
    with pytest.raises(DataError, match=error):
        explain(index, tiny_encoder, tiny_encoder, QUERY, DOCS, doc_ids=[doc_id])


@pytest.mark.parametrize(
    ("docs", "error"),
    [
        ([Doc("d1", "the red dog")], "'d1' has 6 tokens there, but its text has 3. Name"),
        ([Doc("d1", "water near old tree under house")], "has other token vectors there than"),
        (DOCS[1:], "expected the texts of 1 documents, found none of 'd1' in the collection"),
    ],
)
def test_other_texts_are_refused(index, tiny_encoder, docs, error):
    with pytest.raises(DataError, match=error):
        explain(index, tiny_encoder, tiny_encoder, QUERY, docs, doc_ids=["d1"])


def test_a_query_without_words_is_refused(index, tiny_encoder):
    with pytest.raises(DataError, match="expected a query with words, found '!'"):
        explain(index, tiny_encoder, tiny_encoder, "!", DOCS)


def test_the_teacher_of_the_index_is_taken_and_no_other(
    make_index, plain_folder, stanford_folder, tmp_path
):
    named = make_index(settings={"encoder": str(tmp_path / "gone"), "max_length": 8})
    with pytest.raises(ConfigError, match=r"does not load .* with --teacher"):
        load_index_teacher(named, None, device="cpu")
    with pytest.raises(ConfigError, match="expected the teacher that encoded index"):
        load_index_teacher(named, str(stanford_folder), device="cpu")
    with pytest.raises(ConfigError, match="names its encoder, found none"):
        load_index_teacher(make_index(), None)
    # Its prompts are another's: same weights, another space.
    with pytest.raises(ConfigError, match="of embedding space"):
        load_index_teacher(named, str(plain_folder), device="cpu")


def test_documents_are_cut_as_in_the_index(make_index, tiny_encoder, monkeypatch):
    asked = {}

    def load(name, device, document_length):
        asked.update(name=name, document_length=document_length)
        return tiny_encoder

    monkeypatch.setattr(matches, "load_encoder", load)
    named = make_index(settings={"encoder": "some/teacher", "max_length": 8})
    assert load_index_teacher(named, None) is tiny_encoder
    assert (asked["name"], asked["document_length"]) == ("some/teacher", 8)


def test_the_collection_of_the_index_is_read(make_index, tmp_path):
    assert len(list(open_docs(make_index(settings={"collection": "demo"})))) == 132
    with pytest.raises(ConfigError, match=r"does not open .* with --collection"):
        open_docs(make_index(settings={"collection": str(tmp_path / "gone")}))
    with pytest.raises(ConfigError, match="names its collection, found none"):
        open_docs(make_index())
