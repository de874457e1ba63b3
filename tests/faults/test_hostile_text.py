"""Any text, through every path: finite vectors, the same ids, and a terminal that stays itself."""

import json
import string
import types

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encoders.adapters import encoder_classes
from optical_ir.alignment import align, format_alignment, group_words
from optical_ir.columns import layout_columns
from optical_ir.errors import DataError
from optical_ir.matches import explain, format_explanations
from optical_ir.models import (
    encode_documents,
    encode_queries,
    load_encoder,
    load_single_vector,
    maxsim_scores,
)
from optical_ir.models.encoder import embedding_dim
from optical_ir.records import Doc, Query
from optical_ir.retrieval.bm25 import Bm25Index
from optical_ir.retrieval.index import build_index
from optical_ir.retrieval.search import search_index
from optical_ir.texts import check_texts, printable
from tests.faults.conftest import FULL

ESCAPES = "\x1b[2J\x1b]0;owned\x07 cat \x9b31m \r\x08\x00"
TEXTS = {
    "control characters": ESCAPES,
    "special tokens": "<s> </s> [PAD] [MASK] [CLS] <pad> <unk> cat",
    "one long line": "cat sees a dog " * (70_000 if FULL else 7_000),
    "one long word": "a" * (1_000_000 if FULL else 100_000),
    "mixed scripts": "paka \u732b cat \u0915\u0941\u0924\u094d\u0924\u093e \u0643\u0644\u0628",
    "turned around": "cat \u202egod\u202c \u2067dog\u2069 \u200f\u061c",
    "emoji": "\U0001f9d1\u200d\U0001f680 cat \U0001f1f0\U0001f1ea\ufe0f \U0001f44d\U0001f3fd",
    "not normalised": "e\u0301 \u212b \ufb01 \u1e9b\u0323 n\u0303o" + "\u0301" * 5000,
    "private and unassigned": "\ue000 \U000f0000 \uffff \ufffe \U0003ffff cat",
    "separators": "cat\u2028dog\u2029bird\x85house\x1ctree",
    "empty": "",
    "white space": " \t\n\u3000\u200b",
    "only punctuation": string.punctuation + "\u2026\u3002\u060c",
}
STEERING = [chr(code) for code in (*range(32), *range(127, 160), 0x202E, 0x2067, 0x2028)]


@pytest.fixture(scope="module")
def teacher(teacher_folder):
    return load_encoder(teacher_folder, device="cpu")


@pytest.fixture(scope="module")
def single_vector(teacher_folder, adapter_folder, sentence_folder, tmp_path_factory):
    """Give every encoder of one vector a text, by its kind."""
    folder = tmp_path_factory.mktemp("single")
    description = json.loads((teacher_folder / "optical.json").read_text())
    import shutil

    shutil.copytree(teacher_folder, folder / "muvera")
    sizes = {"repetitions": 2, "bits": 2, "projection": 4, "seed": 1}
    (folder / "muvera" / "optical.json").write_text(json.dumps(description | {"muvera": sizes}))
    return {
        "mean": teacher_folder,
        "adapters": adapter_folder,
        "sentence": sentence_folder,
        "MUVERA": folder / "muvera",
    }


@pytest.mark.parametrize("kind", TEXTS)
def test_token_vectors_of_any_text_are_finite_and_of_unit_length(teacher, adapter_folder, kind):
    for encoder in (teacher, load_encoder(adapter_folder, device="cpu")):
        for encode in (encode_queries, encode_documents):
            found = encode(encoder, [TEXTS[kind], "a cat", TEXTS[kind]])
            assert all(rows.shape[1] == embedding_dim(encoder) for rows in found)
            assert np.isfinite(np.concatenate(found)).all()
            assert np.allclose(np.linalg.norm(np.concatenate(found), axis=1), 1, atol=1e-5)
            assert np.allclose(found[0], found[2], atol=1e-5)
            scores = maxsim_scores([found[1]], found)
            assert not np.isnan(scores).any()
            # The company of a strange text changes no other one.
            assert np.allclose(found[1], encode(encoder, ["a cat"])[0], atol=1e-5)


def test_special_tokens_in_a_text_are_no_longer_ones(teacher):
    plain = encode_queries(teacher, ["cat"])[0]
    assert not len(encode_queries(teacher, ["[PAD] [CLS]"])[0]) or len(plain)


def test_single_vectors_of_any_text_are_finite_through_pyserini_too(single_vector):
    module = types.ModuleType("pyserini.encode")
    module.DocumentEncoder = module.QueryEncoder = object
    classes = encoder_classes(module)
    texts = list(TEXTS.values())
    for folder in single_vector.values():
        encoder = load_single_vector(folder, device="cpu")
        for vectors in (
            encoder.encode_queries(texts),
            encoder.encode_documents(texts),
            classes.document(str(folder)).encode(texts),
            classes.query(str(folder)).encode_batch(texts),
        ):
            assert vectors.shape == (len(texts), encoder.dim)
            assert np.isfinite(vectors).all()
            lengths = np.linalg.norm(vectors, axis=1)
            assert np.all((np.abs(lengths - 1) < 1e-4) | (lengths == 0) | (folder.name != "muvera"))


@pytest.mark.parametrize("half", ["\ud800", "cat \udfff dog", "\udc80"])
def test_half_a_character_is_refused(teacher, sentence_folder, half):
    single = load_single_vector(sentence_folder, device="cpu")
    for encode in (
        lambda texts: encode_queries(teacher, texts),
        lambda texts: encode_documents(teacher, texts),
        single.encode_queries,
        lambda texts: align(teacher, teacher, *texts, *texts),
    ):
        with pytest.raises(DataError, match="expected text in Unicode, found half a character"):
            encode([half])


def test_an_index_of_any_texts_has_their_ids_and_order(teacher, tmp_path):
    docs = [Doc(f"d{number}", text) for number, text in enumerate(TEXTS.values())]
    index = build_index(docs, teacher, tmp_path / "index", space="s")
    assert index.doc_ids == [doc.doc_id for doc in docs]
    queries = [Query(f"q{number}", text) for number, text in enumerate(TEXTS.values())]
    run = search_index(index, queries, encode_queries(teacher, [q.text for q in queries]), k=50)
    assert list(run) == [query.query_id for query in queries]
    for rows in run.values():
        assert len({row.doc_id for row in rows}) == len(rows)
        assert all(np.isfinite(row.score) for row in rows)
        assert [row.score for row in rows] == sorted((r.score for r in rows), reverse=True)


@pytest.mark.java
@pytest.mark.parametrize("language", ["en", "so"])
def test_bm25_of_any_texts_has_their_ids(java, tmp_path, language):
    docs = [Doc(f"d{number}", text) for number, text in enumerate(TEXTS.values())]
    queries = [Query(f"q{number}", text) for number, text in enumerate(TEXTS.values())]
    with Bm25Index.build([*docs, Doc("cat", "cat")], tmp_path / "bm25", language=language) as index:
        run = index.search(queries, k=50)
        assert list(run) == [query.query_id for query in queries]
        known = {doc.doc_id for doc in docs} | {"cat"}
        for rows in run.values():
            assert {row.doc_id for row in rows} <= known
            assert all(np.isfinite(row.score) for row in rows)
        with pytest.raises(DataError, match="half a character"):
            index.search([Query("q", "\ud800")])
    with pytest.raises(DataError, match="half a character"):
        Bm25Index.build([Doc("d", "cat \ud800")], tmp_path / "half")


def assert_steers_nothing(shown: str) -> None:
    assert not set(shown) & set(STEERING) - {"\n"}


@pytest.mark.parametrize("kind", TEXTS)
def test_align_and_explain_steer_no_terminal(teacher, tmp_path, kind):
    text = TEXTS[kind][:3000]
    try:
        alignment = align(teacher, teacher, text, "a cat " + text)
    except DataError as err:
        assert "no scored token" in str(err)
        return
    assert_steers_nothing(format_alignment(alignment))
    assert_steers_nothing(format_alignment(group_words(alignment)))
    docs = [Doc("d\x1b[31m", "a cat " + text), Doc("e", "dog")]
    index = build_index(docs, teacher, tmp_path / "index", space="s")
    found = explain(index, teacher, teacher, text, docs, k=2)
    assert {explanation.doc_id for explanation in found} <= {doc.doc_id for doc in docs}
    assert_steers_nothing(format_explanations(found))


def test_what_the_program_prints_steers_no_terminal(cli, tmp_path):
    """Names of runs, ids and errors come from files too."""
    qrels, run = tmp_path / "qrels", tmp_path / "run.\x1b]0;owned\x07\u202e.trec"
    qrels.write_text("q1 0 a 1\nq2 0 b 1\n")
    run.write_text("q1 Q0 a 1 2 x\nq2 Q0 b 1 2 x\n")
    other = tmp_path / "run.other.trec"
    other.write_text("q1 Q0 b 1 2 x\nq2 Q0 a 1 2 x\n")
    for verb in (("evaluate", qrels, run), ("compare", qrels, other, run)):
        for form in ("text", "markdown", "latex", "json"):
            done = cli(*verb, "--format", form, "-m", "P@1")
            assert done.code == 0, done.err
            assert_steers_nothing(done.out + done.err)
    run.write_text("q1\x1b[2J\n")
    done = cli("evaluate", qrels, run)
    assert done.code == 1
    assert_steers_nothing(done.err)
    assert "\\x1b]0;owned\\x07\\u202e" in done.err


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(st.characters(codec=None)))
def test_printable_text_steers_nothing_and_keeps_the_rest(text):
    shown = printable(text)
    assert_steers_nothing(shown.replace("\n", "?") if "\n" in shown else shown)
    assert isinstance(shown.encode(), bytes)
    assert printable(shown) == shown
    assert [cell.rstrip() for cell in layout_columns([[text]])] == [shown.rstrip()]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_unicode_text_has_finite_vectors(teacher, text):
    check_texts([text])
    found = encode_queries(teacher, [text])[0]
    assert np.isfinite(found).all()
    assert len(found) <= 64
