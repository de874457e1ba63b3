"""The example trainer: bitext to model to translations to BM25, and a kill in between."""

import importlib
import json
from pathlib import Path

import pytest

from optical_ir.collections import demo_folder
from optical_ir.errors import ConfigError
from optical_ir.evaluation import evaluate
from optical_ir.records import Doc, Qrel, Query
from optical_ir.retrieval.bm25 import Bm25Index
from optical_ir.translation import (
    Tally,
    TranslationSettings,
    load_translator,
    open_cache,
    score_translation,
    translate_queries,
)

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
N_LEARNT = 12
MICRO = """
vocabulary = 400
dim = 64
n_layers = 1
ffn_dim = 128
dropout = 0.0
smoothing = 0.0
learning_rate = 0.005
warmup = 20
batch_tokens = 120
dev_pairs = 4
eval_every = {eval_every}
max_steps = {max_steps}
"""


@pytest.fixture(scope="module")
def example():
    """Give the script as a module."""
    pytest.importorskip("sentencepiece", reason="the translate extra is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        yield importlib.import_module("train_marian")


@pytest.fixture(scope="module")
def pairs():
    lines = (demo_folder() / "bitext.sw-en.tsv").read_text("utf-8").splitlines()
    return [tuple(line.split("\t")[:2]) for line in lines]


@pytest.fixture(scope="module")
def train(example, pairs, tmp_path_factory):
    """Train on a few sentences, for some steps, and give the folder of the model."""

    def run(output, *, max_steps, eval_every, **more: object):
        folder = tmp_path_factory.mktemp("inputs")
        (folder / "few.tsv").write_text("".join("\t".join(p) + "\n" for p in pairs[:N_LEARNT]))
        (folder / "micro.toml").write_text(MICRO.format(max_steps=max_steps, eval_every=eval_every))
        bitext = folder / "few.tsv"
        config = folder / "micro.toml"
        example.main([bitext], "sw", output, config=config, **{"dev": bitext, **more})
        return output

    return run


@pytest.mark.java
def test_a_model_that_knows_its_sentences_searches_as_their_translators(
    java, train, pairs, tmp_path
):
    translator = load_translator(
        str(train(tmp_path / "micro", max_steps=300, eval_every=100)),
        "sw",
        "en",
        settings=TranslationSettings(num_beams=2, max_new_tokens=64),
        device="cpu",
    )
    own = [Query(f"q{number}", source) for number, (source, _) in enumerate(pairs[:N_LEARNT])]
    human = [Query(f"q{number}", target) for number, (_, target) in enumerate(pairs[:N_LEARNT])]
    with open_cache(tmp_path / "cache", translator.identity) as cache:
        machine = list(translate_queries(own, translator, cache, Tally()))
    n_queries, scores = score_translation(machine, human)
    assert n_queries == N_LEARNT
    assert [round(score.score, 6) for score in scores] == [100, 100]

    qrels = [Qrel(f"q{number}", f"d{number}", 1) for number in range(N_LEARNT)]
    docs = [Doc(f"d{number}", target) for number, (_, target) in enumerate(pairs)]
    with Bm25Index.build(docs, tmp_path / "index") as index:
        runs = [index.search(queries, k=10) for queries in (own, machine, human)]
    untranslated, translated, by_people = (
        evaluate(qrels, run, measures=["nDCG@10", "R@10"]) for run in runs
    )
    assert runs[1] == runs[2]
    assert translated.equals(by_people)
    assert (translated.mean() > untranslated.mean()).all()


def test_a_killed_training_goes_on_to_the_same_weights(example, train, tmp_path, monkeypatch):
    whole = train(tmp_path / "whole", max_steps=6, eval_every=2)
    save, saved = example.Training._save, []

    def killed(self):
        save(self)
        saved.append(self.progress.step)
        if len(saved) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(example.Training, "_save", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", max_steps=6, eval_every=2)
    with pytest.raises(ConfigError, match="expected the settings that training began with"):
        train(tmp_path / "parts", max_steps=6, eval_every=3)
    parts = train(tmp_path / "parts", max_steps=6, eval_every=2)
    assert saved == [2, 4, 6]
    assert {path.name for path in parts.iterdir()} == {path.name for path in whole.iterdir()}
    for path in whole.iterdir():
        assert (parts / path.name).read_bytes() == path.read_bytes(), path.name
    origin = json.loads((tmp_path / "parts.json").read_text())
    assert origin["progress"]["step"] == 6


def test_held_out_pairs_are_not_learnt_from(example, train, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        example, "train", lambda parts, dev, *more, **how: seen.append((parts, dev)) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        train(tmp_path / "model", max_steps=2, eval_every=2, dev=None)
    ((parts, dev),) = seen
    assert (len(parts[0]), len(dev)) == (N_LEARNT - 4, 4)
    assert not set(parts[0]) & set(dev)
