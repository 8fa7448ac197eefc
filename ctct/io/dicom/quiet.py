"""No warnings of pydicom and highdicom: they quote the header, and the patient's name in it."""

from __future__ import annotations

import threading
import warnings


class _Quiet:
    """Use with ``with``. Threads share the filters of warnings, so the last to leave restores."""

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


quiet = _Quiet()
