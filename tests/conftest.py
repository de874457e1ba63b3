"""What all tests share: private homes and no network, real data, tiny random encoders."""

import json
import os
import shutil
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Closes the hub: the conftest of a folder may import what reads it before hooks run.
os.environ["HF_HUB_OFFLINE"] = "1"


def pytest_configure(config: pytest.Config) -> None:
    """Give ir_datasets an empty home, before anything that asks is imported."""
    home = tempfile.TemporaryDirectory(prefix="ir-datasets-")
    config.add_cleanup(home.cleanup)
    os.environ["IR_DATASETS_HOME"] = home.name


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data, from OPTICAL_IR_DATA or beside the checkout; skips without it."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("OPTICAL_IR_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}; set OPTICAL_IR_DATA to where it is")
    return folder


@pytest.fixture
def browse() -> Iterator[Callable[..., Any]]:
    """Open browsers of a width; skips where there is none."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and driver):
        pytest.skip("no browser; run: sudo apt install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    opened = []

    def open_browser(*, width: int = 1280, scripts: bool = True) -> Any:
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
            options.add_argument(f"--{argument}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        if not scripts:
            blocked = {"profile.managed_default_content_settings.javascript": 2}
            options.add_experimental_option("prefs", blocked)
        window = webdriver.Chrome(options=options, service=Service(driver))
        opened.append(window)
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        return window

    yield open_browser
    for window in opened:
        window.quit()


@pytest.fixture(scope="session")
def java() -> None:
    """Start the JVM with Anserini; skips where Pyserini or a Java for it is missing."""
    from optical_ir.errors import DependencyError
    from optical_ir.retrieval.java import start_jvm

    try:
        start_jvm()
    except DependencyError as err:
        pytest.skip(str(err))


@pytest.fixture(scope="session")
def pyserini(java) -> Callable[..., str]:
    """Give a function that runs a stock command of Pyserini in a process of its own.

    Skips where the installed release cannot be imported, as 2.4 without a network.
    """
    from optical_ir.errors import DependencyError
    from optical_ir.retrieval.environment import import_pyserini, pyserini_environment

    try:
        import_pyserini("pyserini.encode")
    except DependencyError as err:
        pytest.skip(str(err))

    def run(*arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *map(str, arguments)],
            cwd=Path(__file__).resolve().parents[1],
            env={**pyserini_environment(), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        skip_without_lists(done.stderr)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def skip_without_lists(stderr: str) -> None:
    """Skip if Anserini failed to download its lists of prebuilt indexes, as that of 2.4 does."""
    if "PrebuiltIndex.fetchMetadataFiles" in stderr:
        pytest.skip("this release of Anserini needs the network to open a dense index")


@pytest.fixture(scope="session")
def skip_offline() -> Callable[[str], None]:
    """Give `skip_without_lists`, for tests that run commands themselves."""
    return skip_without_lists


_WORDS = (
    "the a cat dog bird house water tree red big small old sees eats near under and "
    "paka mbwa ndege nyumba maji mti nyekundu kubwa ndogo zee ona kula karibu chini na "
    "query passage q d"
).split()


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """WordPiece of 30 words, all letters, punctuation, and Stanford's two markers."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, "[unused0]", "[unused1]", *string.punctuation, *_WORDS]
    pieces += [letter for letter in string.ascii_lowercase if letter not in pieces]
    pieces += [f"##{letter}" for letter in string.ascii_lowercase]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, **dict(zip(names, special, strict=True))
    )


@pytest.fixture(scope="session")
def make_checkpoint(tiny_tokenizer):
    """Write a plain Hugging Face folder with a random 2-layer BERT of a given width and seed."""

    def make(folder: Path, *, hidden: int = 32, seed: int = 0) -> Path:
        import torch
        from transformers import BertConfig, BertModel

        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=len(tiny_tokenizer),
            hidden_size=hidden,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=2 * hidden,
            max_position_embeddings=64,
            pad_token_id=0,
            # Wide enough that contextual vectors of different words are far apart.
            initializer_range=0.2,
        )
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def unigram_tokenizer():
    """Unigram of all parts of up to 5 letters of some words, with scores near each other."""
    import random

    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    generator = random.Random(0)
    words = ["\u2581" + word for word in _WORDS]
    parts = {word[i:j] for word in words for i in range(len(word)) for j in range(i + 1, i + 6)}
    special = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}
    pieces = [(piece, -1e6) for piece in special.values()]
    for piece in sorted(parts | set(f"\u2581{string.ascii_lowercase}?:")):
        pieces.append((piece, -3 - len(piece) - generator.random()))
    tokenizer = Tokenizer(models.Unigram([*pieces, ("<mask>", -1e6)], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, mask_token="<mask>", **special
    )


@pytest.fixture(scope="session")
def make_unigram_checkpoint(unigram_tokenizer):
    """Write a plain folder with a random 2-layer model, of the BERT family, and Unigram pieces."""

    def make(folder: Path, kind: str = "Bert") -> Path:
        import torch
        import transformers

        torch.manual_seed(0)
        config = getattr(transformers, f"{kind}Config")(
            # A matrix may have more rows than the tokenizer has pieces.
            vocab_size=len(unigram_tokenizer) + 5,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=80,
            bos_token_id=0,
            pad_token_id=1,
            eos_token_id=2,
        )
        model = getattr(transformers, f"{kind}Model")(config, add_pooling_layer=False)
        model.save_pretrained(folder)
        unigram_tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def plain_folder(make_checkpoint, tmp_path_factory) -> Path:
    """Give a plain Hugging Face folder."""
    return make_checkpoint(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def tiny_encoder(plain_folder):
    """Give the tiny BERT with e5's prompts, in evaluation mode; copy it before changing it."""
    from optical_ir.models import load_encoder

    # On the CPU, as tests hand it inputs there, and compare bytes with what a CPU gave.
    return load_encoder(
        plain_folder, device="cpu", query_prompt="query: ", document_prompt="passage: "
    )


@pytest.fixture(scope="session")
def sentence_folder(plain_folder, tmp_path_factory) -> Path:
    """Give a single-vector sentence-transformers folder with prompts of its own."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    folder = tmp_path_factory.mktemp("sentence")
    transformer = Transformer(str(plain_folder), model_kwargs={"add_pooling_layer": False})
    model = SentenceTransformer(
        modules=[transformer, Pooling(transformer.get_embedding_dimension())],
        prompts={"query": "query: ", "document": "", "Clustering": "cat dog: "},
        device="cpu",
    )
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


def _projection(hidden: int):
    import torch

    return torch.randn(16, hidden, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def stanford_folder(plain_folder, tiny_tokenizer, tmp_path_factory) -> Path:
    """Use Stanford's ColBERT layout: head beside the backbone, settings in its metadata."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("stanford")
    config = json.loads((plain_folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["HF_ColBERT"]}))
    weights = load_file(plain_folder / "model.safetensors")
    weights = {f"bert.{name}": weight for name, weight in weights.items()}
    weights["linear.weight"] = _projection(32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tiny_tokenizer.save_pretrained(folder)
    metadata = {
        "query_token_id": "[unused0]",
        "doc_token_id": "[unused1]",
        "query_maxlen": 16,
        "doc_maxlen": 48,
        "mask_punctuation": True,
        "attend_to_mask_tokens": False,
    }
    (folder / "artifact.metadata").write_text(json.dumps(metadata))
    return folder


@pytest.fixture(scope="session")
def pylate_folder(make_checkpoint, tmp_path_factory) -> Path:
    """Use the layout of PyLate 1-3: its own Dense, prefixes and lengths in the config."""
    from safetensors.torch import save_file

    folder = make_checkpoint(tmp_path_factory.mktemp("pylate"))
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    settings = {
        "model_type": "ColBERT",
        "query_prefix": "[unused0] ",
        "document_prefix": "[unused1] ",
        "query_length": 16,
        "document_length": 48,
        "attend_to_expansion_tokens": False,
        "skiplist_words": list(string.punctuation),
        "similarity_fn_name": "MaxSim",
    }
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 63}')
    dense = folder / "1_Dense"
    dense.mkdir()
    identity = "torch.nn.modules.linear.Identity"
    shape = {"in_features": 32, "out_features": 16, "bias": False, "activation_function": identity}
    (dense / "config.json").write_text(json.dumps(shape))
    save_file({"linear.weight": _projection(32)}, dense / "model.safetensors")
    return folder


_SMALL = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 64,
    # Wide enough that no two tokens are nearly as likely as each other.
    "init_std": 1.0,
}
_NLLB_CODES = ["eng_Latn", "fra_Latn", "som_Latn", "swh_Latn", "zho_Hans", "zho_Hant"]


def _train_pieces(path: Path, kind: str, **settings: object) -> list[str]:
    """Train a SentencePiece model on the demo's Swahili and English; give its pieces."""
    import sentencepiece

    from optical_ir.collections import demo_folder

    lines = (demo_folder() / "bitext.sw-en.tsv").read_text("utf-8").splitlines()
    texts = [text for line in lines for text in line.split("\t")[:2]]
    with path.open("wb") as stream:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=stream,
            vocab_size=130,
            model_type=kind,
            minloglevel=2,
            num_threads=1,
            **settings,
        )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
    found = [pieces.id_to_piece(index) for index in range(len(pieces))]
    return [piece for piece in found if piece not in ("<s>", "</s>", "<unk>")]


def _make_marian(folder: Path, codes: tuple[str, ...] = ()):
    import warnings

    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    pieces = _train_pieces(folder / "source.spm", "unigram")
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    vocabulary = ["</s>", "<unk>", *pieces, *codes, "<pad>"]
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(ids))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
        tokenizer = MarianTokenizer(
            *(str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")),
            source_lang="mul" if codes else "sw",
            target_lang="mul" if codes else "en",
            model_max_length=64,
        )
    config = MarianConfig(
        vocab_size=len(ids),
        pad_token_id=ids["<pad>"],
        decoder_start_token_id=ids["<pad>"],
        eos_token_id=0,
        forced_eos_token_id=0,
        **_SMALL,
    )
    return tokenizer, MarianMTModel, config


def _make_m2m100(folder: Path):
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer
    from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

    pieces = _train_pieces(folder / "sentencepiece.bpe.model", "bpe")
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *pieces]
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(ids))
    tokenizer = M2M100Tokenizer(
        *(str(folder / name) for name in ("vocab.json", "sentencepiece.bpe.model")),
        additional_special_tokens=[f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES["m2m100"]],
    )
    n_rows = len(ids) + len(tokenizer.lang_code_to_id) + tokenizer.num_madeup_words
    return tokenizer, M2M100ForConditionalGeneration, M2M100Config(vocab_size=n_rows, **_SMALL)


def _make_nllb(folder: Path):
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    _train_pieces(folder / "sentencepiece.bpe.model", "bpe")
    tokenizer = NllbTokenizer.from_pretrained(folder, extra_special_tokens=_NLLB_CODES)
    config = M2M100Config(vocab_size=len(tokenizer), **_SMALL)
    return tokenizer, M2M100ForConditionalGeneration, config


def _make_mbart50(folder: Path):
    from transformers import MBart50Tokenizer, MBartConfig, MBartForConditionalGeneration

    _train_pieces(folder / "sentencepiece.bpe.model", "bpe")
    tokenizer = MBart50Tokenizer.from_pretrained(folder)
    config = MBartConfig(vocab_size=len(tokenizer), decoder_start_token_id=2, **_SMALL)
    return tokenizer, MBartForConditionalGeneration, config


def _make_madlad(folder: Path):
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    ids = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    codes = ["<2en>", "<2sw>", "<2so>", "<2zh_Latn>"]
    _train_pieces(folder / "spiece.model", "unigram", user_defined_symbols=codes, **ids)
    tokenizer = T5Tokenizer.from_pretrained(folder, extra_ids=0)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=16,
        d_ff=32,
        d_kv=8,
        num_layers=1,
        num_decoder_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        initializer_factor=3.0,
    )
    return tokenizer, T5ForConditionalGeneration, config


@pytest.fixture(scope="session")
def make_translator_folder(tmp_path_factory):
    """Write a tiny random translation model with the real tokenizer of its family, once a seed."""
    pytest.importorskip("sentencepiece", reason="the translate extra is not installed")
    makers = {
        "marian": _make_marian,
        "marian-multi": lambda folder: _make_marian(folder, (">>eng<<", ">>fra<<", ">>swh<<")),
        "m2m100": _make_m2m100,
        "nllb": _make_nllb,
        "mbart50": _make_mbart50,
        "madlad": _make_madlad,
    }
    made: dict[tuple[str, int], Path] = {}

    def make(kind: str, seed: int = 0) -> Path:
        import torch

        if (kind, seed) in made:
            return made[kind, seed]
        folder = made[kind, seed] = tmp_path_factory.mktemp(kind)
        tokenizer, build, config = makers[kind](folder)
        torch.manual_seed(seed)
        model = build(config)
        for name, weight in model.named_parameters():
            # So that what comes out depends on what goes in.
            if "encoder_attn" in name or "EncDecAttention" in name:
                weight.data.mul_(4)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make
