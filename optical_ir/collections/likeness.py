"""Choosing the pairs of a bitext whose English reads like queries."""

from collections.abc import Sequence
from math import ceil

from optical_ir.errors import ConfigError
from optical_ir.records import BitextPair

_WORDS_AND_MARKS = r"\w+|[^\w\s]"
"""Punctuation counts: a question mark says more than most words."""


def select_like(
    pairs: Sequence[BitextPair], queries: Sequence[str], share: float
) -> list[BitextPair]:
    """Keep the pairs whose English side is most like given English queries, in their order.

    A logistic regression over tf-idf of words and pairs of words tells queries from the English
    sides, both kinds weighing alike; kept are those that it finds most like a query.

    Parameters
    ----------
    queries : sequence of str
        English queries, as those that the student is for; never those of a test.
    share : float
        Part of the pairs to keep, above 0 and at most 1; at least one is kept.

    Raises
    ------
    ConfigError
        If `share` is out of range, or there are no pairs or no queries.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    if not 0 < share <= 1:
        raise ConfigError(f"expected a share above 0 and at most 1, found {share!r}.")
    if not pairs or not queries:
        raise ConfigError(
            f"expected pairs to choose from and queries to choose by, found {len(pairs)} and "
            f"{len(queries)}."
        )
    sentences = [pair.target for pair in pairs]
    vectors = TfidfVectorizer(token_pattern=_WORDS_AND_MARKS, ngram_range=(1, 2))
    features = vectors.fit_transform([*sentences, *queries])
    is_query = [0] * len(sentences) + [1] * len(queries)
    model = LogisticRegression(class_weight="balanced", max_iter=1000).fit(features, is_query)
    likeness = model.decision_function(features[: len(sentences)])
    kept = sorted((-likeness).argsort(kind="stable")[: ceil(share * len(pairs))])
    return [pairs[place] for place in kept]
