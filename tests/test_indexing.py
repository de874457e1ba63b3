"""Encoding collections by name: the index is of the encoder's space, however it is run."""

import pytest

from optical_ir.indexing import EncodeSettings, add_collection, encode_collection
from optical_ir.models import embedding_space, load_encoder
from optical_ir.retrieval.index import MultiVectorIndex


@pytest.mark.parametrize("is_fast", [False, True])
def test_the_space_is_that_of_the_weights_before_they_are_cast(
    plain_folder, tmp_path, monkeypatch, is_fast
):
    """An encoder without an `optical.json` is known by its weights."""
    monkeypatch.setattr("optical_ir.models.precision.has_fast_bfloat16", lambda device: is_fast)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "corpus.jsonl").write_text('{"id": "new", "contents": "the red dog"}\n')

    encode_collection(tmp_path / "index", EncodeSettings("demo", str(plain_folder)), device="cpu")
    add_collection(tmp_path / "index", str(tmp_path / "more"), device="cpu")

    index = MultiVectorIndex.open(tmp_path / "index")
    assert index.doc_ids[-1] == "new"
    assert index.space == embedding_space(plain_folder, load_encoder(plain_folder, device="cpu"))
