"""The packaged demo collection keeps what the demo promises."""

import re
import unicodedata
from collections import Counter

import pytest

from optical_ir.collections import load_collection, read_bitext
from optical_ir.collections.load import demo_folder
from optical_ir.trec import read_qrels, read_topics

LANGUAGES = ("sw", "so", "tl", "mr", "fi", "de", "fr")
FOLDER = demo_folder()
FUNCTION_WORDS = set(
    "a an the this that these those i my we you he she it its their they them his her who what "
    "which when where why how and or but not no if than then so as at by for from in into of off "
    "on out over to up with without about after before while is are was were be been being am do "
    "does did has have had can could may should would will must some any".split()
)


def stem(word: str) -> str:
    """Cut English endings off, more boldly than Porter does."""
    for ending in ("ings", "ing", "ies", "ied", "es", "ed", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def content_stems(text: str) -> set[str]:
    words = re.findall(r"[a-z]+", text.lower().replace("'s", "").replace("'t", ""))
    return {stem(word) for word in words if word not in FUNCTION_WORDS and len(word) > 1}


@pytest.fixture(scope="module")
def docs():
    return {doc.doc_id: doc.text for doc in load_collection("demo", topics="en").iter_docs()}


@pytest.fixture(scope="module")
def topics():
    return {
        lang: {query.query_id: query.text for query in read_topics(FOLDER / f"topics.{lang}.tsv")}
        for lang in (*LANGUAGES, "en")
    }


@pytest.fixture(scope="module")
def bitexts():
    return {lang: read_bitext(FOLDER / f"bitext.{lang}-en.tsv") for lang in LANGUAGES}


@pytest.fixture(scope="module")
def qrels():
    return read_qrels(FOLDER / "qrels.txt")


def test_there_is_enough_of_everything(docs, topics, bitexts):
    assert len(docs) >= 120
    for lang in LANGUAGES:
        assert len(topics[lang]) >= 40
        assert len(bitexts[lang]) >= 120


def test_queries_have_the_same_ids_in_every_language(topics):
    for lang in LANGUAGES:
        assert list(topics[lang]) == list(topics["en"])


def test_bitexts_have_the_same_english_in_the_same_order(bitexts):
    english = [pair.target for pair in bitexts["sw"]]
    assert len(set(english)) == len(english)
    for lang in LANGUAGES:
        assert [pair.target for pair in bitexts[lang]] == english


def test_translations_differ_from_the_english_and_from_each_other(topics, bitexts):
    for number in range(len(bitexts["sw"])):
        sides = [bitexts[lang][number].source for lang in LANGUAGES]
        assert len({*sides, bitexts["sw"][number].target}) == len(LANGUAGES) + 1
    for query_id in topics["en"]:
        assert len({topics[lang][query_id] for lang in topics}) == len(LANGUAGES) + 1


def test_judgements_are_graded_and_on_known_ids(docs, topics, qrels):
    assert {qrel.doc_id for qrel in qrels} <= set(docs)
    assert {qrel.query_id for qrel in qrels} == set(topics["en"])
    assert {qrel.relevance for qrel in qrels} >= {1, 2, 3}


def test_every_query_has_a_document_of_grade_2_or_more(topics, qrels):
    assert {qrel.query_id for qrel in qrels if qrel.relevance >= 2} == set(topics["en"])


def test_no_text_is_there_twice(docs, topics):
    for texts in (docs, *topics.values()):
        assert max(Counter(texts.values()).values()) == 1


def test_no_query_or_passage_is_a_bitext_sentence(docs, topics, bitexts):
    def plain(text):
        return " ".join(re.findall(r"\w+", text.lower()))

    sentences = {plain(pair.target) for pair in bitexts["sw"]}
    assert not sentences & {plain(text) for text in (*topics["en"].values(), *docs.values())}


def test_queries_share_no_content_word_with_their_answers(docs, topics, qrels):
    shared = {
        (qrel.query_id, qrel.doc_id): common
        for qrel in qrels
        if qrel.relevance >= 2
        and (
            common := content_stems(topics["en"][qrel.query_id]) & content_stems(docs[qrel.doc_id])
        )
    }
    assert shared == {}


def test_marathi_is_devanagari_and_the_others_are_latin(topics, bitexts):
    for lang in LANGUAGES:
        for text in (*topics[lang].values(), *(pair.source for pair in bitexts[lang])):
            letters = [char for char in text if char.isalpha()]
            scripts = Counter(unicodedata.name(char).split()[0] for char in letters)
            script = "DEVANAGARI" if lang == "mr" else "LATIN"
            assert scripts[script] == len(letters), text


def test_files_are_nfc_without_control_characters():
    for path in FOLDER.iterdir():
        text = path.read_text("utf-8")
        assert unicodedata.is_normalized("NFC", text), path.name
        # Cf may be the joiners that Marathi spelling needs, and nothing else.
        strange = {
            char
            for char in text
            if unicodedata.category(char) in ("Cc", "Cf", "Co", "Cn", "Zl", "Zp")
            and char not in "\n\t\u200c\u200d"
        }
        assert strange == set(), path.name
        assert ".mr" in path.name or not {"\u200c", "\u200d"} & set(text), path.name
