"""What all tests share: a private home for ir_datasets, and the folder of real data."""

import os
import tempfile
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Give ir_datasets an empty home, before anything imports it and it fixes its paths."""
    home = tempfile.TemporaryDirectory(prefix="ir-datasets-")
    config.add_cleanup(home.cleanup)
    os.environ["IR_DATASETS_HOME"] = home.name


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data, from OPTICAL_IR_DATA or beside the checkout; skips without it."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("OPTICAL_IR_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}; set OPTICAL_IR_DATA to where it is")
    return folder
