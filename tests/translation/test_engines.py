"""Tiny random models with real tokenizers: laws that hold whatever a model has learnt."""

import random
import sys
import warnings

import pytest
import torch

from optical_ir.errors import ConfigError, DependencyError
from optical_ir.translation import TranslationSettings, load_translator
from optical_ir.translation.translator import hash_model

KINDS = ["marian", "marian-multi", "m2m100", "nllb", "mbart50", "madlad"]
SHORT = TranslationSettings(num_beams=2, max_new_tokens=12)


@pytest.fixture(scope="module")
def load(make_translator_folder):
    def load(kind, settings=SHORT, seed=0):
        folder = str(make_translator_folder(kind, seed))
        return load_translator(folder, "sw", "en", settings=settings, device="cpu")

    return load


@pytest.mark.parametrize("kind", KINDS)
def test_neither_batches_nor_order_nor_padding_change_a_translation(load, texts, kind):
    translator = load(kind)
    whole = dict(zip(texts, translator.translate(texts), strict=True))
    assert len({found.text for found in whole.values()}) > 1
    random.Random(1).shuffle(texts)
    for size in (1, 3):
        for start in range(0, len(texts), size):
            batch = texts[start : start + size]
            assert translator.translate(batch) == [whole[text] for text in batch]


@pytest.mark.parametrize("kind", KINDS)
def test_no_special_token_is_left_in_a_translation(load, texts, kind):
    for found in load(kind).translate(texts):
        assert not any(mark in found.text for mark in ("<", ">", "__", "_Latn", "_XX"))
        assert found.text == " ".join(found.text.split())


@pytest.mark.parametrize("kind", KINDS)
def test_stock_generation_gives_the_same(load, make_translator_folder, texts, kind):
    from transformers import AutoModelForSeq2SeqLM

    translator = load(kind, TranslationSettings(num_beams=1, max_new_tokens=12))
    tokenizer = translator._tokenizer.tokenizer
    model = AutoModelForSeq2SeqLM.from_pretrained(make_translator_folder(kind))
    prefix = {"marian-multi": ">>eng<< ", "madlad": "<2en> "}.get(kind, "")
    forced = {"m2m100": "__en__", "nllb": "eng_Latn", "mbart50": "en_XX"}.get(kind)
    inputs = tokenizer([prefix + text for text in texts], padding=True, return_tensors="pt")
    # The last token of a Marian translation that does not end is forced to be the end.
    rows = model.generate(
        input_ids=inputs.input_ids,
        attention_mask=inputs.attention_mask,
        max_new_tokens=13,
        **({"forced_bos_token_id": tokenizer.convert_tokens_to_ids(forced)} if forced else {}),
    )
    assert [found.text for found in translator.translate(texts)] == [
        translator._tokenizer.decode(row[1:13]) for row in rows.tolist()
    ]


def test_too_large_a_batch_says_what_to_do(load, texts, monkeypatch):
    def fail(**_: object) -> None:
        raise torch.OutOfMemoryError

    translator = load("marian")
    monkeypatch.setattr(translator._model, "generate", fail)
    with pytest.raises(ConfigError, match=r"a batch of 7 texts and 2 beams.*Lower --batch-size"):
        translator.translate(texts)


@pytest.mark.parametrize("kind", ["marian", "m2m100", "nllb", "madlad"])
def test_long_texts_are_cut_and_told(load, kind):
    translator = load(kind, TranslationSettings(max_new_tokens=4, max_length=16))
    long, short = "maji ya mto " * 20, "maji"
    ids, is_cut = translator._tokenizer.encode([long, short])
    assert is_cut == [True, False]
    assert len(ids[0]) == 16
    assert ids[0][-1] == ids[1][-1]
    assert [found.is_cut for found in translator.translate([long, short])] == [True, False]


def test_translations_that_do_not_end_are_told(load, texts):
    found = load("marian", TranslationSettings(max_new_tokens=2)).translate(texts)
    assert any(translation.is_unfinished for translation in found)


def test_identity_tells_models_settings_and_languages_apart(load, make_translator_folder, tmp_path):
    import shutil

    folder = make_translator_folder("nllb")
    shutil.copytree(folder, tmp_path / "moved")
    (tmp_path / "moved" / "README.md").write_text("a model")
    assert hash_model(tmp_path / "moved") == hash_model(folder)
    others = [
        load("nllb"),
        load("nllb", seed=1),
        load("nllb", TranslationSettings(num_beams=3, max_new_tokens=12)),
        load_translator(str(folder), "sw", "fr", settings=SHORT),
        load_translator(str(folder), "so", "en", settings=SHORT),
    ]
    identities = [dict(translator.identity) for translator in others]
    assert all(identities.count(identity) == 1 for identity in identities)
    assert (
        identities[0]
        == load_translator(str(tmp_path / "moved"), "swa", "eng", settings=SHORT).identity
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (TranslationSettings(dtype="int3"), "expected a dtype of float32, bfloat16, float16"),
        (TranslationSettings(max_new_tokens=64), "at most 63 new tokens"),
        (TranslationSettings(max_new_tokens=9, max_length=65), "Ask for fewer"),
    ],
)
def test_settings_that_do_not_fit_are_refused(load, settings, words):
    with pytest.raises(ConfigError, match=words):
        load("marian", settings)


def test_models_that_are_not_there_are_refused(plain_folder, tmp_path):
    with pytest.raises(ConfigError, match="expected a folder, found none"):
        load_translator("./none", "sw", "en")
    with pytest.raises(ConfigError, match="expected a checkpoint of MarianMT"):
        load_translator(str(plain_folder), "sw", "en")
    with pytest.raises(ConfigError, match="does not load"):
        load_translator(str(tmp_path), "sw", "en")
    with pytest.raises(ConfigError, match="expected an engine of transformers, ctranslate2"):
        load_translator("x", "sw", "en", engine="x")
    with pytest.raises(ConfigError, match=r"expected a folder with model\.bin.*ct2-transformers"):
        load_translator(str(tmp_path), "sw", "en", engine="ctranslate2")


@pytest.fixture(scope="module")
def converted(make_translator_folder, tmp_path_factory):
    """Convert a tiny model as ct2-transformers-converter does."""
    converters = pytest.importorskip(
        "ctranslate2.converters", reason="the ctranslate2 extra is not installed"
    )

    def convert(kind, quantization=None):
        folder = tmp_path_factory.mktemp("ct2")
        converter = converters.TransformersConverter(str(make_translator_folder(kind)))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
            converter.convert(str(folder), quantization=quantization, force=True)
        return str(folder)

    return convert


@pytest.mark.parametrize("kind", ["marian", "m2m100", "nllb", "madlad"])
def test_ctranslate2_gives_what_transformers_gives(
    load, converted, make_translator_folder, texts, kind
):
    greedy = TranslationSettings(num_beams=1, max_new_tokens=12)
    fast = load_translator(
        converted(kind),
        *("sw", "en"),
        engine="ctranslate2",
        tokenizer=str(make_translator_folder(kind)),
        settings=greedy,
        device="cpu",
    )
    assert fast.translate(texts) == load(kind, greedy).translate(texts)
    assert fast.identity["engine"] == "ctranslate2"


def test_ctranslate2_with_integers_and_a_tokenizer_in_its_folder(
    converted, make_translator_folder, texts
):
    import shutil

    folder = converted("marian", "int8")
    for name in ("source.spm", "target.spm", "vocab.json", "tokenizer_config.json"):
        shutil.copy(make_translator_folder("marian") / name, folder)
    translator = load_translator(
        folder, "sw", "en", engine="ctranslate2", settings=SHORT, device="cpu"
    )
    assert "int8" in translator.identity["dtype"]
    assert [bool(found.text) for found in translator.translate(texts)] == [True] * len(texts)


def test_without_ctranslate2_the_line_that_installs_it_is_shown(
    make_translator_folder, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    (tmp_path / "model.bin").touch()
    with pytest.raises(DependencyError, match=r"pip install 'optical-ir\[ctranslate2\]'"):
        load_translator(
            str(tmp_path),
            *("sw", "en"),
            engine="ctranslate2",
            tokenizer=str(make_translator_folder("marian")),
        )
