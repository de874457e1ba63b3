"""Training of teachers on tiny encoders: results, resumption, losses and negatives."""

import copy
import dataclasses
import json
import random

import numpy as np
import pytest
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.multi_vector_encoder.losses import (
    MultiVectorMultipleNegativesRankingLoss,
)
from sentence_transformers.multi_vector_encoder.scoring import mean_colbert_scores
from torch import nn

from optical_ir.errors import ConfigError, DataError
from optical_ir.models import center_encoder, embedding_space, load_encoder, read_description
from optical_ir.models.dropout import set_dropout
from optical_ir.records import Qrel, ScoredDoc
from optical_ir.training import TeacherSettings, Triple, Triples, draw_triples, train_teacher
from optical_ir.training.dev_retrieval import DevSearch
from optical_ir.training.teacher_loss import TeacherLoss
from optical_ir.training.triples import TripleCollator, as_dataset, score_rows, split_triples

SETTINGS = TeacherSettings(
    max_steps=8,
    batch_size=4,
    mini_batch_size=3,
    learning_rate=2e-3,
    document_length=16,
    dev_queries=5,
    dev_documents=20,
    log_every=2,
    evaluate_every=4,
    save_every=3,
)
WORDS = "cat dog bird house water tree red big small old sees eats near under".split()


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    """Skip the drawing, half of a tiny training's time, in all runs but `finished`."""
    monkeypatch.setattr("optical_ir.training.teacher.plot_curves", lambda log, path: None)


@pytest.fixture(scope="module")
def triples():
    """Give 40 queries of two words, each of a document that has both among others."""
    generator = random.Random(0)
    texts = {f"d{number}": " ".join(generator.sample(WORDS, 6)) for number in range(40)}
    queries = {f"q{n}": " ".join(generator.sample(texts[f"d{n}"].split(), 2)) for n in range(40)}
    qrels = [Qrel(f"q{number}", f"d{number}", 1) for number in range(40)]
    ranks = {"n_negatives": 1, "first_rank": 1, "last_rank": 9, "seed": 1}
    return Triples(draw_triples(qrels, {}, list(texts), **ranks), queries, texts.__getitem__)


@pytest.fixture(scope="module")
def start(tiny_encoder):
    generator = random.Random(2)
    texts = [" ".join(generator.sample(WORDS, 8)) for _ in range(20)]
    return center_encoder(copy.deepcopy(tiny_encoder), texts, dim=8)


@pytest.fixture(scope="module")
def finished(start, triples, tmp_path_factory):
    """Folder of an uninterrupted training."""
    folder = tmp_path_factory.mktemp("finished") / "teacher"
    train_teacher(start, triples, folder, settings=SETTINGS)
    return folder


def log_of(folder):
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    clocks = ("seconds", "cpu_seconds")
    return [{key: row[key] for key in row if key not in clocks} for row in rows]


def weights(folder):
    return {path.parent.name: path.read_bytes() for path in folder.rglob("*.safetensors")}


def changed(before, after):
    after = after.state_dict()
    pairs = before.state_dict().items()
    return {name for name, weight in pairs if not torch.equal(weight, after[name])}


def test_head_and_backbone_learn_and_word_embeddings_stay(finished, start):
    names = changed(start, load_encoder(finished, device="cpu"))
    assert {"2.linear.weight", "2.linear.bias"} <= names
    assert any("attention" in name for name in names)
    assert not any("word_embeddings" in name for name in names)


def test_folder_is_a_teacher_that_loads_everywhere(finished):
    teacher = load_encoder(finished, device="cpu")
    description = read_description(finished)
    assert description["role"] == "teacher"
    assert TeacherSettings(**description["settings"]) == SETTINGS
    assert description["space"] == embedding_space("no folder", teacher)
    stock = MultiVectorEncoder(str(finished), device="cpu")
    np.testing.assert_allclose(
        stock.encode_query("red cat"), teacher.encode_query("red cat"), atol=1e-6
    )
    names = {path.name for path in finished.iterdir()}
    assert "log.jsonl" in names
    assert (finished / "curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert not names & {"checkpoints", "claim.json"}


def test_log_has_the_loss_and_dev_retrieval_before_and_after(finished):
    log = log_of(finished)
    losses = [row["contrastive"] for row in log if "contrastive" in row]
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    dev = {row["step"]: row["dev_rr@10"] for row in log if "dev_rr@10" in row}
    assert set(dev) == {0, 4, 8}
    assert all(0 <= value <= 1 for value in dev.values())


@pytest.mark.parametrize("step", [2, 5])
def test_killed_run_goes_on_to_the_same_bytes(finished, start, triples, tmp_path, step, kill_after):
    output = tmp_path / "teacher"
    kill_after(step, train_teacher, start, triples, output, settings=SETTINGS)
    assert not output.exists()
    train_teacher(start, triples, output, settings=SETTINGS)
    assert weights(output) == weights(finished)
    assert log_of(output) == log_of(finished)


def test_unfinished_run_of_other_data_is_refused(start, triples, tmp_path, kill_after):
    output = tmp_path / "teacher"
    kill_after(1, train_teacher, start, triples, output, settings=SETTINGS)
    fewer = dataclasses.replace(triples, rows=triples.rows[1:])
    with pytest.raises(ConfigError, match=r"unfinished run with other settings or data"):
        train_teacher(start, fewer, output, settings=SETTINGS)


def test_existing_output_and_too_few_triples_are_refused(finished, start, triples, tmp_path):
    with pytest.raises(ConfigError, match=r"exists\. Choose another output or pass --overwrite"):
        train_teacher(start, triples, finished, settings=SETTINGS)
    few = dataclasses.replace(triples, rows=triples.rows[:8])
    with pytest.raises(DataError, match=r"5 dev queries and a batch of 4 more, found 8"):
        train_teacher(start, few, tmp_path / "teacher", settings=SETTINGS)


def batch_of(encoder, triples, scorer=None):
    prompts = {"query": "query: ", "positive": "passage: ", "negative_1": "passage: "}
    collator = TripleCollator(
        preprocess_fn=encoder.preprocess,
        prompts=prompts,
        document=triples.document,
        scorer=scorer,
    )
    batch = collator(list(as_dataset(triples)))
    columns = [
        {key.removeprefix(f"{column}_"): batch[key] for key in batch if key.startswith(column)}
        for column in prompts
    ]
    return columns, batch.get("label")


@pytest.mark.parametrize("mini_batch_size", [3, 4])
def test_contrastive_loss_is_the_stock_one_whether_cached_or_not(start, triples, mini_batch_size):
    encoder = copy.deepcopy(start)
    set_dropout(encoder, 0.0)
    some = dataclasses.replace(triples, rows=triples.rows[:6])
    columns, _ = batch_of(encoder, some)
    stock = MultiVectorMultipleNegativesRankingLoss(
        encoder, scale=1 / SETTINGS.temperature, similarity_fct=mean_colbert_scores
    )
    gradients = []
    settings = dataclasses.replace(SETTINGS, mini_batch_size=mini_batch_size)
    for loss in (stock, TeacherLoss(encoder, settings)):
        encoder.zero_grad()
        value = loss(columns, None)
        value.backward()
        gradients.append((value.detach(), encoder[2].linear.weight.grad.clone()))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def divergence(encoder, scorer, triples):
    """KL divergence of the scores, by its definition, mean over all rows."""
    dataset = as_dataset(triples)
    rows = [
        {name: row[name] if name == "query" else triples.document(row[name]) for name in row}
        for row in dataset
    ]
    given, found = (
        torch.log_softmax(score_rows(one, rows) / SETTINGS.temperature, -1)
        for one in (scorer, encoder)
    )
    return float((given.exp() * (given - found)).sum(-1).mean())


def test_label_loss_is_the_divergence_from_the_given_scores(start, stranger, triples):
    settings = dataclasses.replace(SETTINGS, contrastive_weight=0.0)
    encoder = copy.deepcopy(start).eval()
    columns, labels = batch_of(encoder, triples, scorer=stranger)
    loss = TeacherLoss(encoder, settings)(columns, labels)
    assert float(loss.detach()) == pytest.approx(divergence(encoder, stranger, triples), rel=1e-3)


def test_distilling_scores_lowers_the_divergence_to_them(start, stranger, triples, tmp_path):
    settings = dataclasses.replace(
        SETTINGS, contrastive_weight=0.0, max_steps=24, evaluate_every=99, save_every=99
    )
    before = divergence(start, stranger, triples)
    teacher = train_teacher(start, triples, tmp_path / "t", settings=settings, scorer=stranger)
    assert divergence(teacher, stranger, triples) < 0.7 * before


def test_scores_need_negatives(start, stranger, triples, tmp_path):
    rows = [row._replace(negatives=()) for row in triples.rows]
    without = dataclasses.replace(triples, rows=rows)
    with pytest.raises(DataError, match=r"needs triples with negatives"):
        train_teacher(start, without, tmp_path / "t", settings=SETTINGS, scorer=stranger)
    train_teacher(start, without, tmp_path / "t", settings=SETTINGS)


QRELS = [Qrel("q1", "d1", 1), Qrel("q1", "d2", 2), Qrel("q1", "d3", 0), Qrel("q2", "d9", 1)]
RUN = {"q1": [ScoredDoc("q1", f"d{n}", float(-n)) for n in range(10)]}
DOCS = [f"d{n}" for n in range(20)]


def draw(qrels=QRELS, run=RUN, doc_ids=DOCS, **given: object):
    values = {"n_negatives": 3, "first_rank": 2, "last_rank": 7, "seed": 0, **given}
    return draw_triples(qrels, run, doc_ids, **values)


@pytest.mark.parametrize("seed", range(20))
def test_negatives_are_of_the_ranks_and_never_relevant(seed):
    rows = draw(seed=seed)
    assert [(row.query_id, row.positive) for row in rows] == [
        ("q1", "d1"),
        ("q1", "d2"),
        ("q2", "d9"),
    ]
    for row in rows[:2]:
        assert len(set(row.negatives)) == 3
        assert set(row.negatives) <= {"d3", "d4", "d5", "d6"}  # ranks 2 to 7 are d1 to d6
    assert len(set(rows[2].negatives) - {"d9"}) == 3
    assert set(rows) == set(draw(qrels=QRELS[::-1], seed=seed))


def test_other_seeds_draw_others():
    assert len({tuple(draw(seed=seed)) for seed in range(20)}) > 1


def test_negatives_beyond_the_ranks_are_any_other_documents():
    row = draw(n_negatives=6)[0]
    assert {"d3", "d4", "d5", "d6"} < set(row.negatives)
    assert not {"d1", "d2"} & set(row.negatives)


def test_ids_outside_the_collection_and_too_few_documents_are_refused():
    with pytest.raises(DataError, match=r"document 'd3' is not in the collection"):
        draw(doc_ids=["d1", "d2", "d9", "d4", "d5", "d6"])
    with pytest.raises(DataError, match=r"at least 5 documents"):
        draw(doc_ids=["d1", "d2", "d3", "d9"])


def test_dev_queries_are_held_out_whatever_the_order(triples):
    reversed_rows = dataclasses.replace(triples, rows=triples.rows[::-1])
    (train, dev), (_, other) = (split_triples(t, 7) for t in (triples, reversed_rows))
    assert set(dev.rows) == set(other.rows)
    assert len(dev.rows) == 7
    assert not {row.query_id for row in train.rows} & {row.query_id for row in dev.rows}
    assert len(train.rows) + len(dev.rows) == len(triples.rows)


def test_dev_search_counts_the_best_relevant_document(tiny_encoder):
    texts = {"d1": "red cat", "d2": "old water", "d3": "big house"}
    rows = [Triple("q", "d2", ()), Triple("q", "d1", ())]
    dev = Triples(rows, {"q": "red cat"}, texts.__getitem__)
    prompts = dict(tiny_encoder.prompts)
    assert DevSearch(dev, ["d1", "d2", "d3"])(tiny_encoder) == 1.0
    assert tiny_encoder.prompts == prompts


def test_dropout_reaches_all_layers(plain_folder):
    encoder = load_encoder(plain_folder, device="cpu")
    set_dropout(encoder, 0.0)
    encoder.train()
    features = encoder.preprocess(["red cat sees"], task="query")
    once, again = (encoder(dict(features), task="query")["token_embeddings"] for _ in range(2))
    assert torch.equal(once, again)
    set_dropout(encoder, 0.3)
    assert {m.p for m in encoder.modules() if isinstance(m, nn.Dropout)} == {0.3}
    once, again = (encoder(dict(features), task="query")["token_embeddings"] for _ in range(2))
    assert not torch.equal(once, again)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate: expected more than 0"),
        ({"dropout": 1.0}, "dropout: expected less than 1"),
        ({"batch_size": 1}, "batch_size: expected 2 or more"),
        ({"max_steps": 0}, "max_steps: expected 1 or more"),
        ({"first_rank": 9, "last_rank": 9, "n_negatives": 2}, "last_rank: expected 2 ranks"),
        ({"n_negatives": -1}, "n_negatives: expected 0 or more"),
    ],
)
def test_bad_settings_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        TeacherSettings(**values)
