"""Tiny files in the source formats, read by ir_datasets' own parsers; no network."""

import re
from pathlib import Path
from typing import NamedTuple

import ir_datasets
import pytest
import requests
from ir_datasets.datasets.base import Dataset
from ir_datasets.formats import GenericDoc, GenericQuery, TrecQrels, TsvDocs, TsvQueries
from ir_datasets.util import LocalDownload

from optical_ir.collections import open_folder, open_irds, prepare
from optical_ir.errors import ConfigError, DataError
from optical_ir.records import Doc, Qrel, Query


def write(path, text):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def home():
    """ir_datasets' home of this test run, with a tiny WikiCLIR and mMARCO in it."""
    home = ir_datasets.util.home_path()
    wiki = home / "wikiclir" / "source" / "wiki-clir"
    write(wiki / "swahili/wiki_sw.documents", "11\tNairobi\tNi mji mkuu.\n12\tLamu\tNi kisiwa.\n")
    write(wiki / "swahili/en2sw.rel", "1\t11\t2\n1\t12\t1\n2\t12\t2\n")
    write(
        wiki / "english/wiki_en.queries",
        "1\tNairobi\tis the capital of Kenya .\n2\tLamu\tis an island .\n3\tOslo\tis far .\n",
    )
    marco = home / "mmarco"
    write(marco / "german_collection.tsv", "0\tDie Elbe flie\u00dft.\n1\tDer Rhein.\n")
    write(marco / "german_queries.dev.tsv", "7\two ist der rhein\n8\twas ist das\n")
    write(marco / "qrels.dev.tsv", "7\t0\t1\t1\n8\t0\t0\t1\n")
    write(marco / "qrels.dev.small.tsv", "7\t0\t1\t1\n")
    return home


def test_wikiclir_has_foreign_documents_and_english_queries(home):
    collection = open_irds("wikiclir/sw")
    assert (collection.doc_lang, collection.query_lang) == ("sw", "en")
    assert list(collection.iter_docs()) == [
        Doc("11", "Nairobi Ni mji mkuu."),
        Doc("12", "Lamu Ni kisiwa."),
    ]
    assert list(collection.iter_queries()) == [Query("1", "Nairobi"), Query("2", "Lamu")]
    assert list(collection.iter_qrels()) == [
        Qrel("1", "11", 2),
        Qrel("1", "12", 1),
        Qrel("2", "12", 2),
    ]
    assert collection.n_docs == 37079  # as ir_datasets' metadata has it


def test_a_query_field_replaces_the_default_text(home):
    queries = list(open_irds("wikiclir/sw", query_field="first_sent").iter_queries())
    assert queries[0] == Query("1", "is the capital of Kenya .")
    with pytest.raises(
        ConfigError, match=r"no field 'narrative'. Choose topics, .*: title, first_sent"
    ):
        open_irds("wikiclir/sw", query_field="narrative")


def test_mmarco_small_has_the_judged_queries_only(home):
    collection = open_irds("mmarco/de/dev/small")
    assert (collection.doc_lang, collection.query_lang) == ("de", "de")
    assert list(collection.iter_docs()) == [
        Doc("0", "Die Elbe flie\u00dft."),
        Doc("1", "Der Rhein."),
    ]
    assert list(collection.iter_queries()) == [Query("7", "wo ist der rhein")]
    assert list(collection.iter_qrels()) == [Qrel("7", "1", 1)]


def test_mmarco_dutch_has_the_standard_code():
    assert open_irds("mmarco/v2/dt/dev").doc_lang == "nl"


@pytest.mark.parametrize("name", ["wikiclir/sw", "mmarco/de/dev/small"])
def test_a_prepared_id_loads_back_equal(home, tmp_path, name):
    collection = open_irds(name)
    prepare(collection, tmp_path / "out", topics_name="dev")
    loaded = open_folder(tmp_path / "out", topics="dev")
    assert list(loaded.iter_docs()) == list(collection.iter_docs())
    assert list(loaded.iter_queries()) == list(collection.iter_queries())
    assert list(loaded.iter_qrels()) == list(collection.iter_qrels())
    assert (loaded.doc_lang, loaded.query_lang) == (collection.doc_lang, collection.query_lang)
    assert loaded.n_docs == 2


def register(name, folder, *, docs="d1\tmto\n", doc_cls=None, query_cls=None):
    write(folder / "docs.tsv", docs)
    write(folder / "queries.tsv", "q1\triver\n")
    write(folder / "qrels.txt", "q1 0 d1 1\n")
    ir_datasets.registry.register(
        name,
        Dataset(
            TsvDocs(LocalDownload(folder / "docs.tsv"), lang="sw", doc_cls=doc_cls or GenericDoc),
            TsvQueries(
                LocalDownload(folder / "queries.tsv"),
                lang="en",
                query_cls=query_cls or GenericQuery,
            ),
            TrecQrels(LocalDownload(folder / "qrels.txt"), {1: "relevant"}),
        ),
    )


def test_an_own_registered_id_is_read(tmp_path):
    register("tiny/sw", tmp_path)
    collection = open_irds("tiny/sw")
    assert list(collection.iter_docs()) == [Doc("d1", "mto")]
    assert list(collection.iter_queries()) == [Query("q1", "river")]
    assert list(collection.iter_qrels()) == [Qrel("q1", "d1", 1)]
    assert (collection.doc_lang, collection.query_lang, collection.n_docs) == ("sw", "en", None)


def test_a_file_that_does_not_parse_is_refused(tmp_path):
    register("tiny/broken", tmp_path, docs="d1\tmto\nno tab here\n")
    with pytest.raises(DataError, match=r"'tiny/broken', docs: ir_datasets cannot parse its file"):
        list(open_irds("tiny/broken").iter_docs())


def test_documents_without_a_default_text_are_refused(tmp_path):
    register("tiny/bare", tmp_path, doc_cls=NamedTuple("BareDoc", [("doc_id", str), ("body", str)]))
    with pytest.raises(ConfigError, match=r"its documents have no default_text\(\). Register"):
        open_irds("tiny/bare")


def test_queries_without_a_default_text_need_a_field(tmp_path):
    register(
        "tiny/fields",
        tmp_path,
        query_cls=NamedTuple("BareQuery", [("query_id", str), ("keywords", str)]),
    )
    with pytest.raises(ConfigError, match=r"no default text. Choose topics, .*: keywords\."):
        open_irds("tiny/fields")
    queries = open_irds("tiny/fields", query_field="keywords").iter_queries()
    assert list(queries) == [Query("q1", "river")]


def test_an_unknown_id_is_refused_with_near_matches():
    with pytest.raises(ConfigError, match=r"found 'wikiclir/swa'. Did you mean: .*wikiclir/sw"):
        open_irds("wikiclir/swa")
    with pytest.raises(ConfigError, match="Ids: ir_datasets list"):
        open_irds("no such thing at all")


def test_an_incomplete_id_is_refused_with_complete_ones_below():
    collection = open_irds("mmarco/fr")
    for read in (collection.iter_queries, collection.iter_qrels):
        with pytest.raises(ConfigError, match=r"found none. Choose .*: .*mmarco/fr/dev/small"):
            list(read())


def test_a_missing_file_is_refused_with_its_place(home):
    with pytest.raises(ConfigError, match=r"docs: .* Place it at .*finnish/wiki_fi.documents"):
        list(open_irds("wikiclir/fi").iter_docs())


@pytest.fixture
def no_network(monkeypatch):
    def get(url, **_options: object):
        request = requests.Request("GET", url).prepare()
        raise requests.ConnectionError("no route to host", request=request)

    monkeypatch.setattr(requests, "get", get)


def test_a_failed_download_names_the_place_where_the_file_is_then_found(no_network, home):
    collection = open_irds("mmarco/it/dev")
    with pytest.raises(ConfigError, match=r"cannot be downloaded \(ConnectionError\)") as error:
        list(collection.iter_docs())
    place = re.fullmatch(
        r".* Place https://\S+/italian_collection.tsv at (\S+)\.", str(error.value)
    )
    write(place[1], "0\tIl Po.\n")
    assert list(collection.iter_docs()) == [Doc("0", "Il Po.")]


def test_a_failed_download_of_an_archive_names_its_place_by_checksum(no_network, home):
    with pytest.raises(
        ConfigError, match=rf"Place https://\S+ at {home}/downloads/[0-9a-f]{{32}}\."
    ):
        list(open_irds("mr-tydi/sw/test").iter_docs())


def test_an_id_whose_list_of_files_is_remote_is_refused_alike(no_network):
    with pytest.raises(
        ConfigError, match=r"'clirmatrix/en/multi8/de/test1': .*downloads.json.gz at"
    ):
        open_irds("clirmatrix/en/multi8/de/test1")
