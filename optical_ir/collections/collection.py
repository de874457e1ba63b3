"""What every source of documents, queries and judgements looks like to the rest of the toolkit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from optical_ir.records import Doc, DocPair, Qrel, Query


@dataclass(frozen=True)
class DocPairs:
    """Pairs of documents to learn from, and their texts by id.

    Parameters
    ----------
    iter_docpairs : callable
        Without arguments; reads the pairs one by one, each call anew.
    doc_text : callable
        Looks up the text of a document id.
    """

    iter_docpairs: Callable[[], Iterator[DocPair]]
    doc_text: Callable[[str], str]


@dataclass(frozen=True)
class Collection:
    """Documents, queries and judgements, each read anew and one by one by its ``iter_`` callable.

    Parameters
    ----------
    name : str
        Folder and topics as in run names (``afriqa-swa.test``), or the ir_datasets id.
    doc_lang, query_lang : str or None
        ISO 639-1 codes; None where the source does not say.
    n_docs : int or None
        Number of documents where it is known without reading them; a total for progress bars.
    iter_docs, iter_queries, iter_qrels : callable
        Without arguments; each call opens the source again.
    docpairs : DocPairs or None
        Where the source has them, as those of MS MARCO.
    """

    name: str
    doc_lang: str | None
    query_lang: str | None
    n_docs: int | None
    iter_docs: Callable[[], Iterator[Doc]]
    iter_queries: Callable[[], Iterator[Query]]
    iter_qrels: Callable[[], Iterator[Qrel]]
    docpairs: DocPairs | None = None
