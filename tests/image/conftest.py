"""These tests start the flashable disk, which `make test-image` builds; without it there is nothing to collect."""

import os
from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path.name.startswith("test_") and "LINEKEEP_IMAGE" not in os.environ else None
