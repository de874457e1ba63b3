"""Laws of bitexts of several parts."""

import copy
import dataclasses

import pytest

from optical_ir.errors import DataError
from optical_ir.models import read_description
from optical_ir.records import BitextPair
from optical_ir.training import BitextPart, DistillationSettings, distil
from optical_ir.training.mixture import (
    as_dataset,
    as_parts,
    digest_parts,
    split_parts,
    with_english,
)

SETTINGS = DistillationSettings(batch_size=4, dev_pairs=10, max_steps=6)


@pytest.fixture
def parts(bitext):
    return [BitextPart("news", bitext[:40], 3), BitextPart("questions", bitext[40:], 1)]


def test_pairs_alone_are_one_part(bitext):
    (part,) = as_parts(bitext)
    assert part.pairs == bitext


def test_dev_pairs_are_the_same_whatever_the_parts_and_their_order(bitext, parts):
    _, dev = split_parts(as_parts(bitext), SETTINGS)
    train, of_parts = split_parts(parts, SETTINGS)
    _, turned = split_parts(parts[::-1], SETTINGS)
    assert dev == of_parts == turned
    assert len(dev) == 10
    kept = [pair for part in train for pair in part.pairs]
    assert sorted(kept + dev) == sorted(bitext)


def test_translations_of_one_sentence_are_held_out_together(bitext):
    twins = [BitextPair(f"{pair.source} na", pair.target) for pair in bitext]
    settings = DistillationSettings(batch_size=4, dev_pairs=20)
    train, dev = split_parts([BitextPart("sw", bitext), BitextPart("so", twins)], settings)
    held_out = {pair.target for pair in dev}
    assert not [p for part in train for p in part.pairs if p.target in held_out]


def test_a_part_below_a_batch_is_named(bitext):
    with pytest.raises(DataError, match="The bitext few has 3 pairs; expected at least"):
        split_parts([BitextPart("many", bitext[3:]), BitextPart("few", bitext[:3])], SETTINGS)


@pytest.mark.parametrize("names", [("news", "news"), ("news", "english")])
def test_parts_that_would_hide_each_other_are_refused(bitext, names):
    parts = [BitextPart(name, bitext[:40]) for name in names]
    with pytest.raises(DataError, match="expected parts of the bitext with names of their own"):
        as_parts(parts)


def test_a_share_of_english_is_trained_on(tiny_encoder, bitext, tmp_path):
    n_pairs = {}
    for share in (0.0, 0.5):
        settings = dataclasses.replace(SETTINGS, english_share=share)
        distil(copy.deepcopy(tiny_encoder), bitext, tmp_path / str(share), settings=settings)
        n_pairs[share] = read_description(tmp_path / str(share))["pairs"]
    (train,), _ = split_parts(as_parts(bitext), SETTINGS)
    assert n_pairs[0.5] == n_pairs[0.0] + len({pair.target for pair in train.pairs})
    weights = [(tmp_path / str(s) / "model.safetensors").read_bytes() for s in n_pairs]
    assert weights[0] != weights[1]


def test_one_part_is_a_dataset_and_several_are_one_by_name(bitext, parts):
    assert as_dataset(as_parts(bitext))["target"][:] == [pair.target for pair in bitext]
    assert {name: len(rows) for name, rows in as_dataset(parts).items()} == {
        "news": 40,
        "questions": 20,
    }


def test_english_sentences_are_a_part_with_the_share_asked_for(parts):
    *kept, english = with_english(parts, 0.2)
    assert kept == parts == with_english(parts, 0.0)
    assert english.share / sum(part.share for part in (*kept, english)) == pytest.approx(0.2)
    assert {pair.source for pair in english.pairs} == {p.target for q in parts for p in q.pairs}
    assert all(pair.source == pair.target for pair in english.pairs)


def test_digest_tells_pairs_names_and_shares(bitext, parts):
    digests = {digest_parts(as_parts(bitext)), digest_parts(parts), digest_parts(parts[:1])}
    digests.add(digest_parts([BitextPart("news", bitext[:40], 2), parts[1]]))
    assert len(digests) == 4


def test_a_student_learns_from_all_parts_and_resumes_to_the_same_bytes(
    teacher, parts, tmp_path, kill_after
):
    settings = DistillationSettings(batch_size=4, dev_pairs=10, max_steps=6, save_every=2)
    distil(teacher, parts, tmp_path / "whole", settings=settings)
    kill_after(5, distil, teacher, parts, tmp_path / "killed", settings=settings)
    distil(teacher, parts, tmp_path / "killed", settings=settings)
    whole, resumed = (tmp_path / name / "model.safetensors" for name in ("whole", "killed"))
    assert whole.read_bytes() == resumed.read_bytes()
