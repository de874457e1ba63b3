"""Characters that neither a page nor a PDF may hold."""

import re

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """Replace control characters, halves of surrogate pairs and what is no character at all."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
