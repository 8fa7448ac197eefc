from __future__ import annotations

from pathlib import Path

import pytest
from tests_support import write_acdc


@pytest.fixture
def acdc(tmp_path: Path) -> Path:
    """Two training patients and one for validation, in the layout of the ACDC download."""
    write_acdc(tmp_path / "acdc")
    return tmp_path / "acdc"
