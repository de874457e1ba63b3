"""Documents fall into sentences and come together again."""

import sys

import pytest

from optical_ir.errors import DependencyError
from optical_ir.translation import join_sentences, split_sentences


@pytest.fixture
def sentencex():
    return pytest.importorskip("sentencex", reason="the translate extra is not installed")


@pytest.mark.usefixtures("sentencex")
@pytest.mark.parametrize(
    ("lang", "text", "expected"),
    [
        ("en", "Dr. Smith left. He slept.", ["Dr. Smith left.", "He slept."]),
        ("sw", "Ali alifika.  Kwa nini?\nHaya", ["Ali alifika.", "Kwa nini?", "Haya"]),
        ("zh", "你好。我很好。", ["你好。", "我很好。"]),
        ("mr", "हे वाक्य आहे. दुसरे?", ["हे वाक्य आहे.", "दुसरे?"]),
        ("rn", "Amahoro. Murakoze.", ["Amahoro.", "Murakoze."]),
        ("so", " \n ", []),
    ],
)
def test_sentences_end_by_the_rules_of_the_language(lang, text, expected):
    assert split_sentences(text, lang) == expected


@pytest.mark.usefixtures("sentencex")
def test_nothing_is_lost(texts):
    for lang in ("sw", "en", "yo"):
        assert join_sentences(split_sentences(" ".join(texts), lang)) == " ".join(texts)


def test_without_sentencex_the_line_that_installs_it_is_shown(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencex", None)
    with pytest.raises(DependencyError, match=r"pip install 'optical-ir\[translate\]'"):
        split_sentences("A. B.", "en")
