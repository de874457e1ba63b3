"""Query encoders of an index: what they read, with glosses and without."""

import copy
import json
import logging

import numpy as np
import pytest

from optical_ir.collections import ProbabilisticLexicon, TranslationProbability
from optical_ir.models import (
    encode_queries,
    load_encoder,
    query_encoder,
    read_description,
    save_teacher,
)
from optical_ir.models.folder import learnt_glosses
from optical_ir.models.lengths import read_up_to
from optical_ir.records import Doc, Query
from optical_ir.retrieval import queries as queries_module
from optical_ir.retrieval.index import build_index
from optical_ir.retrieval.queries import encode_for
from optical_ir.retrieval.two_stage import search_tokens

DOCS = [Doc("d1", "the cat sees a small bird"), Doc("d2", "a big red house"), Doc("d3", "water")]
QUERIES = [Query("q1", "paka ona ndege"), Query("q2", "nyumba"), Query("q3", "maji")]
LEXICON = ProbabilisticLexicon(
    [TranslationProbability("paka", "cat", 0.9), TranslationProbability("nyumba", "house", 0.5)]
)
GLOSSED = ["paka ona ndege cat ona ndege", "nyumba house", "maji"]


@pytest.fixture(scope="module")
def teacher(tiny_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder") / "teacher"
    save_teacher(tiny_encoder, folder, origin={})
    return str(folder)


@pytest.fixture(scope="module")
def index(teacher, tmp_path_factory):
    folder, space = tmp_path_factory.mktemp("index") / "ix", read_description(teacher)["space"]
    return build_index(DOCS, load_encoder(teacher), folder, space=space, storage="float32")


def test_with_a_lexicon_the_encoder_reads_queries_and_their_glosses(index, teacher):
    expected = encode_queries(load_encoder(teacher), GLOSSED)
    found = encode_for(index, teacher, QUERIES, lexicon=LEXICON)
    plain = encode_for(index, teacher, QUERIES)
    for ours, theirs in zip(found, expected, strict=True):
        assert np.allclose(ours, theirs, atol=0.02)
    assert [len(ours) - len(theirs) for ours, theirs in zip(found, plain, strict=True)][2] == 0
    assert len(found[0]) > len(plain[0])


def test_search_takes_a_lexicon(index, teacher):
    glossed = [Query(query.query_id, text) for query, text in zip(QUERIES, GLOSSED, strict=True)]
    expected = search_tokens(teacher, index.folder, glossed)
    assert search_tokens(teacher, index.folder, QUERIES, lexicon=LEXICON) == expected
    assert search_tokens(teacher, index.folder, QUERIES) != expected


def test_a_glossed_query_is_read_to_its_end_unless_a_length_is_given(index, teacher, monkeypatch):
    kept, longest = [], []

    def encode(model, texts, *, batch_size):
        kept.append(model[0].query_length)
        return encode_queries(model, texts, batch_size=batch_size)

    def load(name, *, device, query_length):
        encoder = load_encoder(name, query_length=query_length or 8)
        encoder[0].tokenizer.model_max_length = longest[-1]
        return encoder

    monkeypatch.setattr(queries_module, "encode_queries", encode)
    monkeypatch.setattr(query_encoder, "load_encoder", load)
    for length in (64, 512):
        longest.append(length)
        encode_for(index, teacher, QUERIES, lexicon=LEXICON)
        encode_for(index, teacher, QUERIES)
        encode_for(index, teacher, QUERIES, lexicon=LEXICON, max_length=12)
    assert kept == [64, 8, 12, 128, 8, 12]


@pytest.mark.parametrize(("own", "length", "kept"), [(8, 32, 32), (32, 8, 32), (None, 8, None)])
def test_an_encoder_is_never_made_to_read_less(tiny_encoder, own, length, kept):
    encoder = copy.deepcopy(tiny_encoder)
    encoder[0].query_length = own
    read_up_to(encoder, length)
    assert encoder[0].query_length == kept


@pytest.mark.parametrize(
    ("origin", "learnt"),
    [
        ({"settings": {"gloss": {"sw": "hash"}}}, True),
        ({"settings": {"gloss": {}}}, False),
        ({"settings": {}}, False),
        ({"settings": None}, False),
        ({"settings": ["gloss"]}, False),
        ("gloss", False),
        (None, False),
    ],
)
def test_whether_glosses_were_learnt_is_read_from_any_description(tmp_path, origin, learnt):
    (tmp_path / "optical.json").write_text(json.dumps({"origin": origin}))
    assert learnt_glosses(tmp_path) == learnt
    assert not learnt_glosses("embedded")


def test_a_student_of_glosses_without_a_lexicon_is_told_of(index, teacher, tmp_path, caplog):
    student = tmp_path / "student"
    load_encoder(teacher).save_pretrained(str(student), create_model_card=False)
    origin = {"settings": {"gloss": {"sw": "hash"}}}
    (student / "optical.json").write_text(json.dumps({"space": index.space, "origin": origin}))
    with caplog.at_level(logging.WARNING, logger="optical_ir"):
        encode_for(index, str(student), QUERIES, lexicon=LEXICON)
        encode_for(index, teacher, QUERIES)
        assert not caplog.records
        encode_for(index, str(student), QUERIES)
    assert "glosses; without a lexicon they have none" in caplog.text
