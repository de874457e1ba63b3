"""Collections, bitext and lexicons: where documents, queries, judgements and pairs come from."""

from optical_ir.collections.bitext import read_bitext, read_bitext_sources, sample_pairs
from optical_ir.collections.collection import Collection
from optical_ir.collections.folder import iter_corpus, open_folder
from optical_ir.collections.irds import open_irds
from optical_ir.collections.lexicon import Lexicon, read_lexicon, translate_words
from optical_ir.collections.likeness import select_like
from optical_ir.collections.load import demo_folder, load_collection, load_qrels, load_queries
from optical_ir.collections.prepare import prepare
from optical_ir.collections.probabilistic_lexicon import (
    ProbabilisticLexicon,
    TranslationProbability,
    read_gloss_lexicon,
    read_probabilistic_lexicon,
    write_probabilistic_lexicon,
)

__all__ = [
    "Collection",
    "Lexicon",
    "ProbabilisticLexicon",
    "TranslationProbability",
    "demo_folder",
    "iter_corpus",
    "load_collection",
    "load_qrels",
    "load_queries",
    "open_folder",
    "open_irds",
    "prepare",
    "read_bitext",
    "read_bitext_sources",
    "read_gloss_lexicon",
    "read_lexicon",
    "read_probabilistic_lexicon",
    "sample_pairs",
    "select_like",
    "translate_words",
    "write_probabilistic_lexicon",
]
