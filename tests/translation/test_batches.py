"""Each text is translated once, in batches that depend on the texts only."""

import random

import pytest

from optical_ir.translation import open_cache
from optical_ir.translation.batches import translate_texts


def run(path, translator, texts, batch_size=3, advance=lambda share: None):
    with open_cache(path, translator.identity) as cache:
        return translate_texts(texts, translator, cache, batch_size=batch_size, advance=advance)


def test_each_text_goes_in_once_and_longest_first(tmp_path, make_fake, texts):
    fake = make_fake()
    found = run(tmp_path / "cache", fake, texts * 2)
    assert {text: found[text].text for text in texts} == {text: text[::-1] for text in texts}
    sent = [text for batch in fake.batches for text in batch]
    assert sorted(sent) == sorted(texts)
    assert [len(text) for text in sent] == sorted(map(len, texts), reverse=True)


def test_batches_do_not_depend_on_the_order(tmp_path, make_fake, texts):
    one, two = make_fake(), make_fake()
    run(tmp_path / "one", one, texts)
    random.Random(0).shuffle(texts)
    run(tmp_path / "two", two, texts)
    assert one.batches == two.batches


def test_what_is_in_the_cache_is_not_translated(tmp_path, make_fake, texts):
    run(tmp_path / "cache", make_fake(), texts)
    again = make_fake()
    run(tmp_path / "cache", again, texts)
    assert again.batches == []
    other = make_fake(name="other")
    run(tmp_path / "cache", other, texts)
    assert len(other.batches) == 3


@pytest.mark.parametrize("cut", range(7))
def test_after_a_kill_the_batches_are_those_of_an_uninterrupted_run(
    tmp_path, make_fake, texts, cut
):
    whole, path = make_fake(), tmp_path / "cache"
    run(path, whole, texts)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:cut]) + lines[cut][: len(lines[cut]) // 2])
    again = make_fake()
    run(path, again, texts)
    assert again.batches == whole.batches[cut // 3 :]
    assert len(path.read_bytes().splitlines()) == len(texts)


def test_new_texts_between_old_ones_are_translated_alone(tmp_path, make_fake, texts):
    run(tmp_path / "cache", make_fake(), texts[:1] + texts[3:5] + texts[6:])
    fake = make_fake()
    run(tmp_path / "cache", fake, texts, batch_size=2)
    sent = [text for batch in fake.batches for text in batch]
    assert set(sent) >= {texts[1], texts[2], texts[5]}
    assert len(sent) <= 4


def test_progress_adds_up_to_one(tmp_path, make_fake, texts):
    for _ in range(2):
        shares = []
        run(tmp_path / "cache", make_fake(), texts, advance=shares.append)
        assert sum(shares) == pytest.approx(1)
    shares = []
    run(tmp_path / "cache", make_fake(), [], advance=shares.append)
    assert shares == [1]
