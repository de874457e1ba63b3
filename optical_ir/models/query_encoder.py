"""Loading an encoder for queries, which are longer where they have their glosses."""

import logging

from sentence_transformers import MultiVectorEncoder

from optical_ir.glosses import GLOSSED_LENGTH
from optical_ir.models.encoder import load_encoder
from optical_ir.models.folder import learnt_glosses
from optical_ir.models.lengths import read_up_to

logger = logging.getLogger(__name__)


def load_query_encoder(
    name: str, *, glossed: bool = False, max_length: int | None = None, device: str | None = None
) -> MultiVectorEncoder:
    """Load an encoder, given by name, that will read queries.

    Parameters
    ----------
    glossed : bool
        It will be given queries with their glosses and keeps, unless `max_length` says how many,
        as many tokens as these need. Without, an encoder that learnt glosses is told of.
    """
    encoder = load_encoder(name, device=device, query_length=max_length)
    if glossed and max_length is None:
        read_up_to(encoder, GLOSSED_LENGTH)
    elif not glossed and learnt_glosses(name):
        logger.warning(
            "%s learnt to read foreign queries with glosses; without a lexicon they have none.",
            name,
        )
    return encoder
