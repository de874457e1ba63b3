"""LanceDB's own index of multivectors, which `exact=False` may use."""

import numpy as np
import pytest

from optical_ir.engines import export_index, open_store, parse_address, search_store
from optical_ir.retrieval.search import search_index

lancedb = pytest.importorskip("lancedb", reason="the lancedb extra is not installed")


@pytest.mark.slow
def test_its_index_is_used_when_asked_for_only(index, queries, vectors, tmp_path):
    address = parse_address(f"lancedb:{tmp_path}/docs")
    export_index(index, address)
    from lancedb.index import IvfPq

    table = lancedb.connect(tmp_path).open_table("docs")
    settings = IvfPq(distance_type="cosine", num_partitions=4, num_sub_vectors=16)
    table.create_index("vectors", config=settings)
    top = search_index(index, queries, vectors, k=1)
    with open_store(address) as store:
        exact = search_store(store, queries, vectors, k=10)
        near = search_store(store, queries, vectors, k=10, exact=False)
    assert exact != near
    for query in queries:
        assert exact[query.query_id][0].score == pytest.approx(
            top[query.query_id][0].score, rel=1e-3
        )
    found = [
        len({r.doc_id for r in exact[q.query_id]} & {r.doc_id for r in near[q.query_id]}) / 10
        for q in queries
    ]
    assert np.mean(found) > 0.5
