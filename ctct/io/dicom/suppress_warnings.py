"""Suppression of pydicom's and highdicom's warnings: they quote the header, with names."""

from __future__ import annotations

import threading
import warnings


class _SuppressWarnings:
    """A context manager for several threads: they share the warning filters, so the last restores.

    It can be entered any number of times.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module="pydicom|highdicom")
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._filters.__exit__(None, None, None)


#: Use as ``with suppress_pydicom_warnings:``.
suppress_pydicom_warnings = _SuppressWarnings()
