"""Language codes: what users write is found in what the tokenizers have."""

import pytest

from optical_ir.errors import ConfigError
from optical_ir.translation.codes import language_pair, match_code

NLLB = (
    "aka_Latn twi_Latn arb_Arab acm_Arab eng_Latn fuv_Latn gaz_Latn nob_Latn nno_Latn pbt_Arab "
    "pes_Arab prs_Arab plt_Latn quy_Latn srp_Cyrl som_Latn swe_Latn swh_Latn tgl_Latn yue_Hant "
    "zho_Hans zho_Hant zul_Latn"
).split()
M2M = "ar en fa ff mg no ns pa ps sd so ss sv sw tl zh zu".split()


@pytest.mark.parametrize(
    ("asked", "nllb", "m2m"),
    [
        ("sw", "swh_Latn", "sw"),
        ("swa", "swh_Latn", "sw"),
        ("swh", "swh_Latn", "sw"),
        ("swh_Latn", "swh_Latn", "sw"),
        ("sw-KE", "swh_Latn", "sw"),
        ("zh", "zho_Hans", "zh"),
        ("tl", "tgl_Latn", "tl"),
        ("fil", "tgl_Latn", "tl"),
        ("no", "nob_Latn", "no"),
        ("mg", "plt_Latn", "mg"),
        ("ff", "fuv_Latn", "ff"),
        ("ps", "pbt_Arab", "ps"),
        ("fa", "pes_Arab", "fa"),
        ("ar", "arb_Arab", "ar"),
    ],
)
def test_one_language_has_one_code_in_each_family(asked, nllb, m2m):
    assert (match_code(asked, NLLB), match_code(asked, M2M)) == (nllb, m2m)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("zh-TW", "zho_Hant"),
        ("zh-Hant", "zho_Hant"),
        ("yue", "yue_Hant"),
        ("om", "gaz_Latn"),
        ("qu", "quy_Latn"),
        ("nn", "nno_Latn"),
        ("ak", "aka_Latn"),
        ("tw", "twi_Latn"),
        ("acm", "acm_Arab"),
        ("prs", "prs_Arab"),
    ],
)
def test_scripts_and_members_of_macrolanguages_are_kept_apart(asked, code):
    assert match_code(asked, NLLB) == code


def test_every_code_of_a_model_stands_for_itself():
    for codes in (NLLB, M2M):
        assert [match_code(code, codes) for code in codes] == codes


def test_a_code_that_is_not_of_iso_is_found_by_the_right_one():
    assert match_code("nso", M2M) == "ns"


@pytest.mark.parametrize(
    ("asked", "codes", "near"),
    [
        ("yue", M2M, "zh"),
        ("sr-Latn", NLLB, "srp_Cyrl"),
        ("nds", NLLB, ""),
        ("swb", M2M, "sw"),
        ("Swahili", NLLB, "sw"),
    ],
)
def test_a_language_that_is_not_there_is_refused_with_near_ones(asked, codes, near):
    with pytest.raises(ConfigError, match=f"found '{asked}'.*{near}"):
        match_code(asked, codes)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("marian", ("Marian", None, None, "", None)),
        ("marian-multi", ("Marian", None, "eng", ">>eng<< ", None)),
        ("m2m100", ("M2M-100", "sw", "en", "", "__en__")),
        ("nllb", ("NLLB", "swh_Latn", "eng_Latn", "", "eng_Latn")),
        ("mbart50", ("mBART-50", "sw_KE", "en_XX", "", "en_XX")),
        ("madlad", ("MADLAD", None, "en", "<2en> ", None)),
    ],
)
def test_each_family_is_told_the_languages_in_its_way(make_translator_folder, kind, expected):
    from optical_ir.translation.tokenizer import TranslationTokenizer

    tokenizer = TranslationTokenizer(
        str(make_translator_folder(kind)), ("swa", "en"), max_length=None
    )
    pair = tokenizer.pair
    found = (pair.family, pair.source, pair.target, pair.prefix, pair.first_token)
    assert found == expected
    pieces = tokenizer.tokenizer.convert_ids_to_tokens(tokenizer.encode(["Maji"])[0][0])
    shown = {"m2m100": "__sw__", "nllb": "swh_Latn", "mbart50": "sw_KE"}.get(
        kind, pair.prefix.strip() or pieces[0]
    )
    assert pieces[0] == shown
    assert pieces[-1] == "</s>"


class Tokenizer:
    """Has no language tokens."""

    def get_vocab(self):
        """Give one piece."""
        return {"a": 0}


def test_other_tokenizers_and_one_language_are_refused():
    with pytest.raises(ConfigError, match=r"expected a checkpoint of MarianMT.*found Tokenizer"):
        language_pair(Tokenizer(), "sw", "en")
    with pytest.raises(ConfigError, match="There is nothing to translate"):
        language_pair(Tokenizer(), "sw", "swa")


class Bilingual:
    """Says as a Marian tokenizer of two languages does what they are."""

    def __init__(self, source_lang: str | None, target_lang: str | None, *pieces: str) -> None:
        self.source_lang, self.target_lang, self.pieces = source_lang, target_lang, pieces

    def get_vocab(self):
        """Give one piece and those asked for."""
        return dict.fromkeys(["a", *self.pieces])


Bilingual.__name__ = "MarianTokenizer"


def test_a_bilingual_model_is_not_asked_for_another_language(caplog):
    with pytest.raises(ConfigError, match="translates into 'fr', found one into 'en'"):
        language_pair(Bilingual("sw", "en"), "sw", "fr")
    language_pair(Bilingual("swc", "eng"), "sw", "en")
    language_pair(Bilingual("bnt", "gem"), "sw", "en")
    language_pair(Bilingual(None, None), "sw", "en")
    assert caplog.text == ""
    language_pair(Bilingual("zu", "en"), "xh", "en")
    assert "The model translates from 'zu' and is given 'xh'" in caplog.text


def test_a_marian_model_of_one_target_may_name_its_sources_only():
    tokenizer = Bilingual("roa", "en", ">>fra<<", ">>ita<<")
    assert language_pair(tokenizer, "fr", "en").prefix == ""
    assert language_pair(tokenizer, "en", "it").prefix == ">>ita<< "
    with pytest.raises(ConfigError, match="found 'de', which is none of its 2"):
        language_pair(tokenizer, "fr", "de")
