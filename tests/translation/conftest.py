"""Texts, and a translator whose calls are seen."""

import pytest

from optical_ir.translation import Translation

TEXTS = [
    "Paka anakula samaki.",
    "Nyumba kubwa nyekundu",
    "Maji",
    "Mbwa analala karibu na mto leo asubuhi.",
    "Je, ninawezaje kuoka mkate?",
    "Ndege wadogo wanaruka juu ya miti mirefu",
    "samaki wa mto",
]


class Fake:
    """Turns texts round, remembers its batches, and can be killed after some of them."""

    def __init__(self, *, name="fake", lives=None) -> None:
        self.identity = {"model": name}
        self.batches = []
        self.lives = lives
        self.answers = {}

    def translate(self, texts):
        """Turn the texts of a batch round."""
        if self.lives is not None and len(self.batches) >= self.lives:
            raise KeyboardInterrupt
        self.batches.append(list(texts))
        return [self.answers.get(text, Translation(text[::-1], False, False)) for text in texts]


@pytest.fixture
def make_fake():
    return Fake


@pytest.fixture
def texts():
    return list(TEXTS)
