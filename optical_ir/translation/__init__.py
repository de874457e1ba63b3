"""Machine translation of queries and documents, for BM25 and teachers on translations.

load_translator -> translate_queries, translate_docs -> write_translated_topics, _corpus
                   (each sentence once, through open_cache)
"""

from optical_ir.translation.cache import Translation, TranslationCache, open_cache
from optical_ir.translation.codes import LanguagePair, language_pair, match_code
from optical_ir.translation.documents import check_splitter, join_sentences, split_sentences
from optical_ir.translation.outputs import write_translated_corpus, write_translated_topics
from optical_ir.translation.quality import TranslationScore, score_translation
from optical_ir.translation.translating import Tally, translate_docs, translate_queries
from optical_ir.translation.translator import (
    ENGINES,
    TranslationSettings,
    Translator,
    load_translator,
)

__all__ = [
    "ENGINES",
    "LanguagePair",
    "Tally",
    "Translation",
    "TranslationCache",
    "TranslationScore",
    "TranslationSettings",
    "Translator",
    "check_splitter",
    "join_sentences",
    "language_pair",
    "load_translator",
    "match_code",
    "open_cache",
    "score_translation",
    "split_sentences",
    "translate_docs",
    "translate_queries",
    "write_translated_corpus",
    "write_translated_topics",
]
