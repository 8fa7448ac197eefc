from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ctct.installation import how_to_install


def run_without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; sys.modules['torch'] = None; from ctct.cli.main import run; run()"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("share", ["0", "1", "1.5", "-0.2"])
def test_a_share_out_of_range_is_refused_before_torch_is_asked_for(
    share: str, tmp_path: Path
) -> None:
    done = run_without_torch("average", "default", "default", "-o", str(tmp_path), "--share", share)
    expected = f"ctct: --share {float(share):g}: must be more than 0 and less than 1\n"
    assert (done.returncode, done.stderr) == (2, expected)


def test_the_mean_of_two_pairs_needs_no_more_than_training_does(tmp_path: Path) -> None:
    done = run_without_torch("average", "default", "default", "-o", str(tmp_path))
    expected = f"ctct: this needs torch, which is not installed; {how_to_install('train')}\n"
    assert (done.returncode, done.stderr) == (5, expected)
