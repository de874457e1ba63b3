"""TMX: languages, inline codes, encodings, streaming."""

import gzip
import tracemalloc

import pytest

from optical_ir.collections import read_bitext
from optical_ir.collections.tmx import iter_tmx
from optical_ir.errors import ConfigError, DataError
from optical_ir.records import BitextPair

HEAD = (
    '<?xml version="1.0" encoding="{encoding}"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n'
    '<tmx version="1.4"><header srclang="en"/><body>\n'
)


def variant(code, text, *, key="xml:lang"):
    return f'<tuv {key}="{code}"><seg>{text}</seg></tuv>'


def unit(*variants: str):
    return f"<tu>{''.join(variants)}</tu>\n"


def write(path, *units: str, encoding="utf-8"):
    text = HEAD.format(encoding=encoding) + "".join(units) + "</body></tmx>\n"
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_units_become_pairs_whatever_the_order_of_languages(tmp_path):
    path = write(
        tmp_path / "x.tmx",
        unit(variant("en", "news"), variant("sw", "habari ")),
        unit(variant("sw", "mto &amp; \u00e9"), variant("en", "river")),
    )
    expected = [BitextPair("habari", "news"), BitextPair("mto & \u00e9", "river")]
    assert read_bitext(path, query_lang="sw") == expected


@pytest.mark.parametrize("asked", ["sw", "swa", "swh", "sw-TZ"])
@pytest.mark.parametrize(
    ("code", "key"), [("sw", "xml:lang"), ("SW-KE", "lang"), ("swa", "xml:lang")]
)
def test_languages_match_on_the_primary_subtag(tmp_path, asked, code, key):
    pair = unit(variant(code, "mto", key=key), variant("EN-US", "river", key=key))
    assert read_bitext(write(tmp_path / "x.tmx", pair), query_lang=asked) == [
        BitextPair("mto", "river")
    ]


def test_other_languages_are_passed_over_and_the_first_variant_counts(tmp_path):
    path = write(
        tmp_path / "x.tmx",
        unit(variant("so", "webi"), variant("en", "river")),
        unit(variant("x-klingon", "?"), variant("sw", "mto"), variant("sw-KE", "mito")),
        unit(variant("en-GB", "colour"), variant("en-US", "color"), variant("sw", "rangi")),
    )
    assert read_bitext(path, query_lang="sw") == [BitextPair("rangi", "colour")]


def test_native_codes_are_no_text_and_marked_text_is(tmp_path):
    seg = '<bpt i="1">&lt;b&gt;</bpt>mto <hi>mkubwa</hi><ept i="1">&lt;/b&gt;</ept> sana'
    path = write(tmp_path / "x.tmx", unit(variant("sw", seg), variant("en", "big river")))
    assert read_bitext(path, query_lang="sw") == [BitextPair("mto mkubwa sana", "big river")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_the_declared_encoding_is_used(tmp_path, encoding):
    pair = unit(variant("es", "ma\u00f1ana"), variant("en", "tomorrow"))
    path = write(tmp_path / "x.tmx", pair, encoding=encoding)
    assert read_bitext(path, query_lang="es") == [BitextPair("ma\u00f1ana", "tomorrow")]


def test_a_compressed_file_and_a_namespace_read_alike(tmp_path):
    pair = unit(variant("sw", "mto"), variant("en", "river"))
    plain = read_bitext(write(tmp_path / "x.tmx", pair), query_lang="sw")
    assert read_bitext(write(tmp_path / "x.tmx.gz", pair), query_lang="sw") == plain
    text = (tmp_path / "x.tmx").read_text().replace("<tmx ", '<tmx xmlns="http://lisa.org/tmx14" ')
    (tmp_path / "y.tmx").write_text(text)
    assert read_bitext(tmp_path / "y.tmx", query_lang="sw") == plain


def test_memory_does_not_grow_with_the_file(tmp_path):
    def peak(n_units):
        path = write(
            tmp_path / f"{n_units}.tmx",
            *(unit(variant("sw", f"mto {i}"), variant("en", "river")) for i in range(n_units)),
        )
        tracemalloc.start()
        for _ in iter_tmx(path, query_lang="sw"):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(10)  # imports and caches
    assert peak(10_000) < 1.5 * peak(1_000)


def test_a_unit_with_an_empty_side_is_refused_with_its_number(tmp_path):
    path = write(
        tmp_path / "x.tmx",
        unit(variant("sw", "mto"), variant("en", "river")),
        unit(variant("sw", " "), variant("en", "empty")),
    )
    with pytest.raises(DataError, match=r"x.tmx, translation unit 2: expected text .* Remove"):
        read_bitext(path, query_lang="sw")


def test_a_file_without_the_language_is_refused_with_those_it_has(tmp_path):
    path = write(tmp_path / "x.tmx", unit(variant("so", "webi"), variant("en", "river")))
    with pytest.raises(DataError, match=r"units in 'sw' and 'en', found none; .* are en, so"):
        read_bitext(path, query_lang="sw")


def test_broken_xml_is_refused_with_its_line(tmp_path):
    path = write(tmp_path / "x.tmx", unit(variant("sw", "mto"), variant("en", "river")))
    path.write_text(path.read_text().replace("</body>", ""))
    with pytest.raises(DataError, match=r"x.tmx, line 5: is not well-formed XML"):
        read_bitext(path, query_lang="sw")


def test_a_missing_or_truncated_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_bitext(tmp_path / "x.tmx", query_lang="sw")
    path = write(tmp_path / "x.tmx.gz", unit(variant("sw", "mto"), variant("en", "river")))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        read_bitext(path, query_lang="sw")


def test_tmx_needs_a_query_language_other_than_english(tmp_path):
    path = write(tmp_path / "x.tmx", unit(variant("sw", "mto"), variant("en", "river")))
    with pytest.raises(ConfigError, match="Pass it, for example: --query-lang sw"):
        read_bitext(path)
    with pytest.raises(ConfigError, match="a query language other than English"):
        read_bitext(path, query_lang="eng")
