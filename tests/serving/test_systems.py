"""Loaded systems: languages that share an encoder, known translations, and BM25 beside them."""

import asyncio
import json
import logging
import shutil
from dataclasses import replace

import pytest

from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Query
from optical_ir.serving import Limits, Service
from optical_ir.serving.loading import Stopped, load_systems
from optical_ir.serving.page import compare
from optical_ir.serving.refusals import Refusal
from optical_ir.serving.settings import parse_pairs
from optical_ir.serving.translations import Translations, load_translations
from optical_ir.translation import Translation, load_translator
from tests.serving.conftest import PASSAGES


def test_languages_may_share_an_encoder(sources):
    name = sources.encoders["sw"]
    systems = load_systems(replace(sources, encoders={"sw": name, "so": name}))
    found = [systems.search("student", "paka", lang, k=3) for lang in ("sw", "so")]
    assert found[0] == found[1]
    assert found[0].hits
    systems.close()


@pytest.fixture
def glossing(sources, tmp_path):
    """Give systems whose Swahili student reads glosses, and systems without any."""
    (tmp_path / "sw.tsv").write_text("paka\tcat\t0.9\n", "utf-8")
    glossed, plain = (
        load_systems(replace(sources, lexicons=lexicons))
        for lexicons in ({"sw": tmp_path / "sw.tsv"}, {})
    )
    yield glossed, plain
    glossed.close()
    plain.close()


def test_a_student_with_a_lexicon_reads_queries_with_their_glosses(glossing):
    glossed, plain = glossing
    query, both = "Paka, mbwa", "Paka, mbwa cat mbwa"
    found = glossed.search("student", query, "sw", k=3)
    assert found == plain.search("student", both, "sw", k=3)
    assert found != plain.search("student", query, "sw", k=3)
    for system, lang in (("zero-shot", "sw"), ("student", "ar")):
        asked = [one.search(system, query, lang, k=3) for one in glossing]
        assert asked[0] == asked[1]
    ids = [hit.doc_id for hit in found.hits]
    explained = glossed.explain("student", query, "sw", ids)
    assert explained == plain.explain("student", both, "sw", ids)
    words = {both[slice(*match.query_place)] for match in explained[0].matches}
    assert words == {"Paka", "mbwa", "cat"}


def test_a_lexicon_of_a_language_without_an_encoder_is_refused(sources, tmp_path):
    with pytest.raises(ConfigError, match="--lexicon: expected languages that have an --encoder"):
        replace(sources, lexicons={"so": tmp_path / "so.tsv"})


def test_a_student_of_glosses_without_a_lexicon_is_told_of(
    sources, served, glossing, tmp_path, caplog
):
    student = tmp_path / "student"
    shutil.copytree(served / "sw", student)
    description = json.loads((student / "optical.json").read_text("utf-8"))
    description["origin"] = {"settings": {"gloss": {"sw": "hash"}}}
    (student / "optical.json").write_text(json.dumps(description), "utf-8")
    known = replace(sources, encoders={"sw": str(student)})
    caplog.set_level(logging.WARNING, logger="optical_ir")
    load_systems(replace(known, lexicons={"sw": tmp_path / "sw.tsv"})).close()
    assert "glosses" not in caplog.text
    load_systems(known).close()
    assert "glosses; without a lexicon they have none" in caplog.text


def test_without_a_teacher_students_answer_and_nothing_is_explained(sources, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ConfigError("gone")

    with monkeypatch.context() as patch:
        patch.setattr("optical_ir.serving.loading.load_index_teacher", fail)
        systems = load_systems(sources)
        with pytest.raises(ConfigError, match="gone"):
            load_systems(replace(sources, teacher="other"))
    student, zero_shot, _ = compare(systems, "paka", "sw")
    assert [piece.level for piece in student.passages[0].pieces] == [0]
    assert zero_shot.message == "this service has no system zero-shot"
    with pytest.raises(Refusal, match="no teacher to explain with"):
        systems.explain("student", "paka", "sw", ["d1"])
    systems.close()


def test_kept_passages_are_read_the_next_time(sources, tmp_path, monkeypatch):
    kept = replace(sources, passages=tmp_path / "passages")
    load_systems(kept).close()
    monkeypatch.setattr("optical_ir.serving.loading.open_docs", None)
    systems = load_systems(kept)
    assert systems.passages.texts(["d1"]) == {"d1": "the red dog sees a cat."}
    systems.close()


def test_other_texts_than_those_indexed_are_not_explained(sources, tmp_path):
    other = {**PASSAGES, "d3": "the red dog"}
    rows = (json.dumps({"id": key, "contents": text}) for key, text in other.items())
    (tmp_path / "corpus.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    systems = load_systems(replace(sources, collection=str(tmp_path)))
    assert systems.explain("student", "paka", "sw", ["d1"])
    with pytest.raises(Refusal, match="the text of document 'd3' is not what was indexed"):
        systems.explain("student", "paka", "sw", ["d3"])
    systems.close()


def test_a_service_whose_loading_fails_in_any_way_ends(sources, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("unforeseen")

    async def live() -> list[str]:
        ended = asyncio.Event()
        service = Service(sources, Limits())
        service.start(ended.set)
        await asyncio.wait_for(ended.wait(), 30)
        await service.stop()
        return [str(service.failure), str(service.is_ready)]

    monkeypatch.setattr("optical_ir.serving.service.load_systems", fail)
    assert asyncio.run(live()) == ["unforeseen", "False"]


def test_told_to_stop_it_loads_no_further(sources):
    with pytest.raises(Stopped):
        load_systems(sources, should_stop=lambda: True)


def test_translations_are_known_ones_then_a_models(tmp_path):
    class Model:
        asked: list[str] = []  # noqa: RUF012

        def translate(self, texts):
            self.asked += texts
            return [
                Translation("" if text == "hm" else text.upper(), False, False) for text in texts
            ]

    (tmp_path / "sw.tsv").write_text("1\tpaka  mweusi\n2\tmbwa\n")
    (tmp_path / "en.tsv").write_text("1\tblack cat\n3\tother\n")
    files = {"sw": tmp_path / "sw.tsv"}, {"sw": tmp_path / "en.tsv"}
    known = load_translations(*files, {})
    assert known.translate(" paka mweusi\n", "sw") == "black cat"
    assert known.translate("mbwa", "sw") is None
    assert known.translate("paka mweusi", "so") is None
    assert known.translate("black cat", "en") == "black cat"
    both = Translations({"sw": {"paka": "cat"}}, {"sw": Model()})
    found = [both.translate(text, "sw") for text in ("paka", "mbwa", "mbwa", "hm")]
    assert found == ["cat", "MBWA", "MBWA", "hm"]
    assert Model.asked == ["mbwa", "hm"], "each once"
    (tmp_path / "en.tsv").write_text("7\tother\n")
    with pytest.raises(DataError, match="expected translations with the ids of"):
        load_translations(*files, {})


@pytest.mark.java
def test_a_translation_model_puts_queries_to_bm25(
    java, sources, served, tmp_path, make_translator_folder
):
    from optical_ir.collections import load_collection
    from optical_ir.retrieval.bm25 import Bm25Index

    docs = load_collection(served / "english").iter_docs()
    Bm25Index.build(docs, tmp_path / "lucene").close()
    model = str(make_translator_folder("madlad"))
    systems = load_systems(replace(sources, bm25=tmp_path / "lucene", translators={"sw": model}))
    query = "paka mweusi the dogs"
    (expected,) = load_translator(model, "sw", "en").translate([query])
    column = compare(systems, query, "sw")[2]
    assert column.translation == expected.text
    with Bm25Index(tmp_path / "lucene") as index:
        run = index.search([Query("q", expected.text)], k=5)["q"]
    assert [(row.doc_id, row.score) for row in column.passages] == [row[1:] for row in run]
    systems.close()


def test_pairs_name_languages_in_any_standard():
    assert parse_pairs("--encoder", ["swa=a=b", "som_Latn=c"]) == {"sw": "a=b", "so": "c"}


@pytest.mark.java
def test_bm25_gives_what_its_index_does_and_marks_its_stems(java, sources, served, tmp_path):
    from optical_ir.collections import load_collection
    from optical_ir.retrieval.bm25 import Bm25Index

    docs = load_collection(served / "english").iter_docs()
    Bm25Index.build(docs, tmp_path / "lucene").close()
    (tmp_path / "ar.tsv").write_text("1\tpaka\n")
    (tmp_path / "en.tsv").write_text("1\tThe dogs and a house\n")
    systems = load_systems(
        replace(
            sources,
            bm25=tmp_path / "lucene",
            topics={"ar": tmp_path / "ar.tsv"},
            translated_topics={"ar": tmp_path / "en.tsv"},
        )
    )
    column = compare(systems, "paka", "ar")[2]
    with Bm25Index(tmp_path / "lucene") as index:
        run = index.search([Query("q", "The dogs and a house")], k=5)["q"]
    assert [(row.doc_id, row.score) for row in column.passages] == [row[1:] for row in run]
    marked = {
        one.doc_id: [piece.text for piece in one.pieces if piece.level] for one in column.passages
    }
    assert marked == {"d1": ["dog"], "d2": ["house"], "d4": ["dog"]}
    assert "no known translation" in compare(systems, "mbwa", "ar")[2].message
    systems.close()
