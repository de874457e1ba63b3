"""Documents as sentences, which is what translation models are trained on, and back."""

from collections.abc import Sequence

from optical_ir.errors import DependencyError


def split_sentences(text: str, lang: str) -> list[str]:
    """Sentences of a text by the rules of its language; of English where there are none.

    Parameters
    ----------
    text : str
        A line break ends a sentence.
    lang : str
        ISO 639-1, else ISO 639-3.

    Returns
    -------
    list of str
        None is blank; white space at their ends is dropped and inside becomes one blank.

    Raises
    ------
    DependencyError
        If sentencex is not installed.

    References
    ----------
    sentencex, the sentence splitter of the Wikimedia language team.
    """
    check_splitter()
    from sentencex import segment

    lines = (line for line in text.splitlines() if line.strip())
    sentences = (sentence for line in lines for sentence in segment(lang, line))
    return [" ".join(sentence.split()) for sentence in sentences if sentence.strip()]


def check_splitter() -> None:
    """Refuse, before a model is loaded, to work without sentencex.

    Raises
    ------
    DependencyError
        If it is not installed.
    """
    try:
        import sentencex  # noqa: F401
    except ModuleNotFoundError as err:
        raise DependencyError(
            "Splitting documents into sentences needs sentencex. "
            "Run: pip install 'optical-ir[translate]'"
        ) from err


def join_sentences(sentences: Sequence[str]) -> str:
    """Text of translated sentences, with one blank between them."""
    return " ".join(sentences)
