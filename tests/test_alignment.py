"""Laws of alignments: masses, words, the diagonal, and the loss that training sees."""

import copy

import numpy as np
import pytest

from optical_ir.alignment import align, format_alignment, group_words, load_pair
from optical_ir.errors import ConfigError, DataError
from optical_ir.models import encode_queries, load_encoder
from optical_ir.training.token_batch import embed_tokens
from optical_ir.training.transport_loss import TransportLoss
from optical_ir.transport import PLANS

SOURCE, TARGET = "mbwa zee ona paka nyekundu.", "the old dogs see a cat"


@pytest.fixture(scope="module")
def other_encoder(make_checkpoint, tmp_path_factory):
    folder = make_checkpoint(tmp_path_factory.mktemp("other"), seed=1)
    return load_encoder(folder, device="cpu", query_prompt="query: ")


@pytest.fixture(params=PLANS)
def alignment(request, tiny_encoder, other_encoder):
    return align(other_encoder, tiny_encoder, SOURCE, TARGET, plan=request.param)


def test_balanced_plans_have_uniform_marginals(alignment, request):
    rows, columns = alignment.plan.shape
    assert alignment.source_weights == pytest.approx(1 / rows)
    if request.node.callspec.params["alignment"] in ("entropic", "exact", "proximal"):
        np.testing.assert_allclose(alignment.plan.sum(1), 1 / rows, atol=1e-3)
        np.testing.assert_allclose(alignment.plan.sum(0), 1 / columns, atol=1e-3)
        assert alignment.penalty == 0
    else:
        assert alignment.plan.sum() < 1 + 1e-3
        assert (alignment.plan.sum() == pytest.approx(1, abs=1e-6)) or alignment.penalty > 0


def test_cost_is_one_minus_the_cosine_of_the_vectors(alignment, tiny_encoder, other_encoder):
    source, target = encode_queries(other_encoder, [SOURCE]), encode_queries(tiny_encoder, [TARGET])
    np.testing.assert_allclose(alignment.cost, 1 - source[0] @ target[0].T, atol=1e-5)


def test_total_is_the_loss_of_training(alignment, request, tiny_encoder, other_encoder):
    # A loss freezes its teacher, and others share this one.
    teacher = copy.deepcopy(tiny_encoder)
    loss = TransportLoss(other_encoder, teacher, plan=request.node.callspec.params["alignment"])
    batches = [
        embed_tokens(encoder, encoder.preprocess([text], prompt="query: ", task="query"))
        for encoder, text in ((other_encoder, SOURCE), (tiny_encoder, TARGET))
    ]
    expected = float(loss.score(*batches).detach())
    assert alignment.transport_cost + alignment.penalty == pytest.approx(expected, abs=1e-5)


def test_words_keep_the_mass_and_the_cost(alignment):
    grouped = group_words(alignment)
    assert [token.text for token in grouped.source] == SOURCE.rstrip(".").split()
    assert [token.text for token in grouped.target] == TARGET.split()
    assert grouped.plan.shape == (5, 6)
    assert alignment.plan.shape[1] > 6
    assert grouped.plan.sum() == pytest.approx(alignment.plan.sum())
    assert grouped.source_weights.sum() == pytest.approx(1)
    assert grouped.transport_cost == pytest.approx(alignment.transport_cost)
    assert np.isfinite(grouped.cost).all()
    for number, word in enumerate(grouped.source):
        own = [row for row, token in enumerate(alignment.source) if token.word == number]
        assert grouped.plan[number].sum() == pytest.approx(alignment.plan[own].sum())
        assert "".join(alignment.source[row].text for row in own) == word.text


@pytest.mark.parametrize(("plan", "tolerance"), [("exact", 1e-5), ("entropic", 0.02)])
def test_a_sentence_aligns_with_itself_along_the_diagonal(tiny_encoder, plan, tolerance):
    found = align(tiny_encoder, tiny_encoder, TARGET, TARGET, plan=plan, epsilon=0.02)
    assert found.transport_cost == pytest.approx(0, abs=tolerance)
    assert found.shares.argmax(1).tolist() == list(range(len(found.source)))


def test_the_table_has_a_line_for_each_token_and_the_total(tiny_encoder):
    found = align(tiny_encoder, tiny_encoder, "red dog", "red dog", plan="exact")
    assert format_alignment(found, best=1) == (
        "token   mass    to (share of the mass, cost)\n"
        "red     0.500   red (100%, 0.000)\n"
        "dog     0.500   dog (100%, 0.000)\n"
        "\n"
        f"transport cost {found.transport_cost:.4f}, mass 1.000\n"
    )


def test_unmatched_mass_is_told(other_encoder, tiny_encoder):
    found = align(other_encoder, tiny_encoder, SOURCE, TARGET, plan="dustbin")
    assert f"unmatched {found.penalty:.4f}" in format_alignment(found)


@pytest.mark.parametrize(("texts", "role"), [(("", "a"), "a foreign"), (("a", "?!"), "an English")])
def test_empty_sentences_are_refused(tiny_encoder, texts, role):
    with pytest.raises(DataError, match=f"expected {role} sentence with words, found '"):
        align(tiny_encoder, tiny_encoder, *texts)


def test_unknown_plans_and_bad_settings_are_refused(tiny_encoder):
    with pytest.raises(ConfigError, match=r"plan: expected one of entropic, .* found 'best'"):
        align(tiny_encoder, tiny_encoder, "a", "a", plan="best")
    with pytest.raises(ConfigError, match=r"plan unbalanced: .*epsilon.* Choose another"):
        align(tiny_encoder, tiny_encoder, "a", "a", plan="unbalanced", epsilon=0)


def test_encoders_of_different_spaces_are_refused(plain_folder, stanford_folder):
    with pytest.raises(ConfigError, match="expected an encoder and its own teacher"):
        load_pair(str(plain_folder), str(stanford_folder), device="cpu")
    one, same = load_pair(str(plain_folder), None, device="cpu")
    assert one is same


@pytest.mark.parametrize(
    ("glossed", "length", "kept"), [(False, None, 8), (True, None, 64), (True, 12, 12)]
)
def test_a_glossed_sentence_is_read_to_its_end_unless_a_length_is_given(
    plain_folder, tmp_path, glossed, length, kept
):
    short = load_encoder(plain_folder, device="cpu", query_length=8)
    short.save_pretrained(str(tmp_path), create_model_card=False)
    student, _ = load_pair(str(tmp_path), None, glossed=glossed, max_length=length)
    # The tiny model reads 64 tokens at most.
    assert student[0].query_length == kept
