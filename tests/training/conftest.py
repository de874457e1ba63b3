"""A toy language, translated word by word, as bitext; losses of sentences on tiny encoders."""

import copy
import random

import pytest
from transformers import TrainerCallback

from optical_ir.models import load_encoder
from optical_ir.records import BitextPair
from optical_ir.training.collator import BitextCollator

_ENGLISH = "the a cat dog bird house water tree red big small old sees eats near under and".split()
_FOREIGN = (
    "na kubwa paka mbwa ndege nyumba maji mti nyekundu ndogo zee ona kula karibu chini".split()
)


@pytest.fixture(scope="session")
def bitext() -> list[BitextPair]:
    """Give 60 distinct pairs of 3 to 8 words."""
    generator = random.Random(0)
    pairs = []
    for number in range(60):
        words = [generator.randrange(len(_FOREIGN)) for _ in range(3 + number % 6)]
        sides = (" ".join(side[word] for word in words) for side in (_FOREIGN, _ENGLISH))
        pairs.append(BitextPair(*sides))
    return pairs


@pytest.fixture
def teacher(tiny_encoder):
    return copy.deepcopy(tiny_encoder)


@pytest.fixture
def student(teacher):
    return copy.deepcopy(teacher)


@pytest.fixture(scope="module")
def stranger(make_checkpoint, tmp_path_factory):
    """Load an encoder of the same width with other weights."""
    folder = make_checkpoint(tmp_path_factory.mktemp("stranger"), seed=7)
    return load_encoder(folder, device="cpu", query_prompt="query: ")


@pytest.fixture(scope="session")
def make_features():
    """Give a function that makes the model inputs of both sides of a batch."""

    def make(student, teacher, foreign, english):
        collator = BitextCollator(
            preprocess_fn=None, student=student, teacher=teacher, max_length=64
        )
        rows = [{"source": s, "target": t} for s, t in zip(foreign, english, strict=True)]
        batch = collator(rows)
        return [
            {
                key.removeprefix(f"{side}_"): value
                for key, value in batch.items()
                if key.startswith(side)
            }
            for side in ("source", "target")
        ]

    return make


@pytest.fixture(scope="session")
def loss_of(make_features):
    """Give a function that computes a loss of sentences and their translations."""

    def compute(loss, foreign, english):
        return loss(make_features(loss.model, loss.teacher, foreign, english))

    return compute


class _Killed(Exception):
    """Stands for the end of the process."""


class _KillAt(TrainerCallback):
    """Ends a training right after a step, as a kill between two steps would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args, state, control, **_: object):
        if state.global_step == self.step:
            raise _Killed


@pytest.fixture(scope="session")
def kill_after():
    """Give a function that starts a training with its arguments and kills it after a step."""

    def run(step, train, *args: object, **given: object):
        with pytest.raises(_Killed):
            train(*args, **given, callbacks=[_KillAt(step)])

    return run
