"""Queries as single vectors in files, so that stock Pyserini searches with no model at hand.

    <folder>/topics.tsv       query id TAB text: `--topics` of `pyserini.search.faiss`
    <folder>/embedding.pkl    vectors by text: the folder is its `--encoded-queries`
    <folder>/vectors.tsv      query id TAB vector: `--topics` of `pyserini.search.lucene --dense`

Pyserini looks vectors up by the text it reads from the topics, so use the topics written here.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from optical_ir.errors import ConfigError, DataError
from optical_ir.files import write_folder
from optical_ir.models.single_vector import Vectors
from optical_ir.records import Query
from optical_ir.trec import changed_by_pyserini, write_topics

_MISREAD = ("beir", "cacm", "bpr")
"""Parts of a path that make Pyserini read topics or pre-encoded queries in another way."""


def write_encoded_queries(
    queries: Sequence[Query],
    vectors: Vectors,
    output: Path | str,
    *,
    overwrite: bool = False,
) -> None:
    """Write queries and their vectors in the forms that Pyserini's commands read.

    Parameters
    ----------
    queries : sequence of Query
    vectors : array, shape (n_queries, dim), float32
    output : Path or str
        A new folder.

    Raises
    ------
    ConfigError
        If `output` exists, or its path would be misread by Pyserini.
    DataError
        If Pyserini would change a query id, as it makes `1` of `001`, or a query has no vector.
    """
    for word in _MISREAD:
        if word in str(output):
            raise ConfigError(
                f"{output}: expected a path without {word!r}, which Pyserini takes for another "
                "format. Choose another output."
            )
    check_query_ids(queries)
    blank = [query.query_id for query, v in zip(queries, vectors, strict=True) if not v.any()]
    if blank:
        raise DataError(
            f"{len(blank)} queries have nothing to encode, as {blank[0]!r}. Leave them out."
        )
    with write_folder(output, overwrite=overwrite) as part:
        write_topics(part / "topics.tsv", queries)
        texts = [" ".join(query.text.split()) for query in queries]
        frame = {
            "id": [query.query_id for query in queries],
            "text": texts,
            "embedding": list(np.asarray(vectors, np.float32)),
        }
        pd.DataFrame(frame).to_pickle(part / "embedding.pkl")
        with (part / "vectors.tsv").open("w", encoding="utf-8", newline="\n") as stream:
            for query, vector in zip(queries, vectors, strict=True):
                numbers = ",".join(str(value) for value in vector)
                stream.write(f"{query.query_id}\t[{numbers}]\n")


def check_query_ids(queries: Sequence[Query]) -> None:
    """Refuse queries whose ids Pyserini would change: its run would match no judgements."""
    changed = [query.query_id for query in queries if changed_by_pyserini(query.query_id)]
    if changed:
        raise DataError(
            f"{len(changed)} query ids would not survive Pyserini, which reads digits as numbers: "
            f"{changed[0]!r} becomes {str(int(changed[0]))!r}. Rename them, in the judgements too, "
            f"for example to 'q{changed[0]}'."
        )
