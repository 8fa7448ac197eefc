"""The folders that a user named and in which there is nothing to segment."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

log = logging.getLogger(__name__)


class InputsWithoutScan:
    """Folders among the inputs, until a scan is seen in them, or what is named in another line.

    Args:
        inputs: files and folders. A file is a case, so only folders count.
    """

    def __init__(self, inputs: Sequence[Path]) -> None:
        self._folders = {Path(os.path.abspath(path)): path for path in inputs if path.is_dir()}

    def see(self, paths: Iterable[Path]) -> None:
        """Leave out the folders that hold one of these files or folders, or are one."""
        for path in paths:
            if not self._folders:
                return
            place = Path(os.path.abspath(path))
            for folder in (place, *place.parents):
                self._folders.pop(folder, None)

    def warn(self) -> None:
        """Name the folders that are left."""
        for folder in self._folders.values():
            log.warning("%s: no scan found there", folder)
