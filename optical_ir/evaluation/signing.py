"""Signatures of runs as they are judged: those of their provenance, with what judges them."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from optical_ir.files import sha256_text
from optical_ir.signatures import HASH_DIGITS, format_signature, read_signature


def sign_runs(
    qrels: Path | str, runs: Mapping[str, Path], *, short: bool = False
) -> dict[str, str]:
    """Sign runs that are evaluated against judgements.

    Parameters
    ----------
    qrels : path or str
        A file, which is named by its hash, or an ir_datasets id.
    runs : mapping of str to path
        By name; each with its provenance beside it, if it has one.

    Raises
    ------
    DataError
        If the provenance of a run is damaged, or that of another run.
    """
    judged = sha256_text(qrels)[:HASH_DIGITS] if Path(qrels).is_file() else str(qrels)
    judge = {"qrels": judged, "measures": f"ranx-{version('ranx')}"}
    return {
        name: format_signature(read_signature(path) | judge, short=short)
        for name, path in runs.items()
    }
