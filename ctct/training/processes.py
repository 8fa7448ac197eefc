"""Which of the processes of a run this is, from the environment that they are started with."""

from __future__ import annotations

import os


def started_by_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_first_process() -> bool:
    """Whether this process logs and prints for all of them."""
    # Those that Fabric starts for --devices are counted on this machine only.
    return os.environ.get("RANK" if started_by_torchrun() else "LOCAL_RANK", "0") == "0"
