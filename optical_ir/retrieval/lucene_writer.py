"""Writing documents and their token vectors into Lucene.

pyjnius hands arrays of numbers to Java element by element, but bytes at once, so token vectors go
there as the bytes that `LateInteractionField` makes of them: 20 times faster.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from optical_ir.errors import ConfigError, DataError
from optical_ir.models.encoder import TokenVectors
from optical_ir.models.single_vector import MeanPooling
from optical_ir.records import Doc
from optical_ir.retrieval.index import MultiVectorIndex
from optical_ir.retrieval.lucene import ID, POOLED, TEXT, TOKENS, analyzer, directory, lucene

# The constructor, of several, that pyjnius does not choose by itself.
_TEXT_FIELD = (
    "(Ljava/lang/String;Ljava/lang/CharSequence;Lorg/apache/lucene/index/IndexableFieldType;)V"
)
_BUFFER_MB = 256
"""Memory for documents not yet written; Lucene's default of 16 MB holds about 60 of them."""


def check_dim(vectors: MultiVectorIndex) -> None:
    """Refuse vectors wider than Lucene takes.

    Raises
    ------
    ConfigError
    """
    limit = lucene("codecs.Codec").getDefault().knnVectorsFormat().getMaxDimensions(POOLED)
    if vectors.dim > limit:
        raise ConfigError(
            f"{vectors.folder} has embeddings of dim {vectors.dim}, Lucene takes {limit} at most. "
            "Project the teacher with build-teacher --dim and encode the collection again."
        )


def iter_pairs(
    docs: Iterable[Doc], vectors: MultiVectorIndex
) -> Iterator[tuple[Doc, TokenVectors]]:
    """Documents with their token vectors, in the order of `docs`.

    Raises
    ------
    DataError
        If a document is on one side only, or an id is used twice.
    """
    missing = dict(vectors.rows)
    seen: set[str] = set()
    for doc in docs:
        if doc.doc_id in seen:
            raise DataError(f"Document id {doc.doc_id!r} is used twice. Give each its own.")
        if doc.doc_id not in missing:
            raise DataError(
                f"{vectors.folder}: expected the token vectors of document {doc.doc_id!r}, found "
                "none. Encode this collection with: optical-ir encode"
            )
        seen.add(doc.doc_id)
        row = missing.pop(doc.doc_id)
        yield doc, vectors.token_vectors(row, row + 1).float().numpy()
    if missing:
        raise DataError(
            f"{vectors.folder}: expected the documents of the collection, found {len(missing)} "
            f"more, {min(missing)!r} among them. Name the collection that was encoded."
        )


class LateInteractionWriter:
    """Writes documents into a new Lucene index, which one thread merges into one segment.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        settings = lucene("index.IndexWriterConfig")(analyzer())
        settings.setRAMBufferSizeMB(_BUFFER_MB)
        # One after the other, so that the same documents give the same graph.
        settings.setMergeScheduler(lucene("index.SerialMergeScheduler")())
        self._writer = lucene("index.IndexWriter")(directory(folder), settings)
        text_type = lucene("document.FieldType")()
        text_type.setIndexOptions(lucene("index.IndexOptions").DOCS_AND_FREQS)
        # These two take the value of one document after the other.
        self._text = lucene("document.Field")(TEXT, "", text_type, signature=_TEXT_FIELD)
        self._tokens = lucene("document.LateInteractionField")(TOKENS, [[0.0]])

    def add(self, doc: Doc, vectors: TokenVectors) -> None:
        """Add a document with its token vectors, unit rows of shape (n_tokens, dim), if any."""
        fields = lucene("document.Document")()
        stored = lucene("document.Field$Store").YES
        fields.add(lucene("document.StringField")(ID, doc.doc_id, stored))
        value = lucene("util.BytesRef")(doc.doc_id.encode())
        fields.add(lucene("document.BinaryDocValuesField")(ID, value))
        self._text.setStringValue(doc.text)
        fields.add(self._text)
        if len(vectors):
            similarity = lucene("index.VectorSimilarityFunction").DOT_PRODUCT
            (pooled,) = MeanPooling(vectors.shape[1]).pool_documents([vectors])
            fields.add(lucene("document.KnnFloatVectorField")(POOLED, pooled.tolist(), similarity))
            # Nothing is to come back from Java.
            self._tokens.setBytesValue(encode_tokens(vectors), pass_by_reference=False)
            fields.add(self._tokens)
        self._writer.addDocument(fields)

    def finish(self) -> None:
        """Merge the segments into one and close the index."""
        self._writer.forceMerge(1)
        self._writer.close()

    def abandon(self) -> None:
        """Close the index without what was added."""
        self._writer.rollback()


def encode_tokens(vectors: TokenVectors) -> bytes:
    """Encode as `LateInteractionField.encode`: dim in int32, rows in float32, little endian."""
    dim: int = vectors.shape[1]
    return dim.to_bytes(4, "little") + vectors.astype("<f4", copy=False).tobytes()


@contextmanager
def open_writer(folder: Path) -> Iterator[LateInteractionWriter]:
    """Writer of a new index, finished on success and abandoned on failure.

    Raises
    ------
    DataError
        If Lucene cannot write; the message has its reason.
    """
    from jnius import JavaException

    writer = LateInteractionWriter(folder)
    try:
        yield writer
        writer.finish()
    except JavaException as err:
        writer.abandon()
        raise DataError(
            f"{folder}: Lucene cannot write this index ({err.innermessage}). Remove the reason, "
            "and run the same command again."
        ) from err
    except BaseException:
        writer.abandon()
        raise
