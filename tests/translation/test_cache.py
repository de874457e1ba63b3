"""The cache gives back what was put in, whatever a kill left in its file."""

import logging

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optical_ir.translation import Translation, open_cache

ONE = {"model": "one"}


def fill(path, **translations: str):
    with open_cache(path, ONE) as cache:
        cache.add((text, Translation(found, False, True)) for text, found in translations.items())


def test_what_is_put_in_comes_out_again(tmp_path):
    path = tmp_path / "cache"
    fill(path, a="á\n", b="")
    fill(path, c="ц")
    with open_cache(path, ONE) as cache:
        assert cache["a"] == Translation("á\n", False, True)
        assert cache["b"].text == ""
        assert cache["c"].text == "ц"
        assert "d" not in cache
    assert len(path.read_bytes().splitlines()) == 3


def test_translations_of_another_model_are_not_used(tmp_path):
    fill(tmp_path / "cache", a="x")
    with open_cache(tmp_path / "cache", {"model": "two"}) as cache:
        assert "a" not in cache
        cache.add([("a", Translation("y", False, False))])
    with open_cache(tmp_path / "cache", ONE) as cache:
        assert cache["a"].text == "x"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_file_cut_anywhere_keeps_its_whole_lines(tmp_path, data):
    path = tmp_path / "cache"
    path.unlink(missing_ok=True)
    fill(path, a="á", b="ß")
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    n_whole = whole[:cut].count(b"\n")
    with open_cache(path, ONE) as cache:
        assert ["a" in cache, "b" in cache] == [n_whole >= 1, n_whole >= 2]
    fill(path, a="á", b="ß")
    with open_cache(path, ONE) as cache:
        assert (cache["a"].text, cache["b"].text) == ("á", "ß")


def test_half_written_and_damaged_lines_are_counted(tmp_path, caplog):
    path = tmp_path / "cache"
    fill(path, a="x")
    line = path.read_bytes()
    path.write_bytes(b"\0\0\n" + line + b'{"key": "zz"}\n[1]\n' + line[:20])
    with caplog.at_level(logging.WARNING), open_cache(path, ONE) as cache:
        assert cache["a"].text == "x"
    assert "4 lines are half written or no translations" in caplog.text
    caplog.clear()
    with open_cache(path, ONE):
        pass
    assert "3 lines" in caplog.text
