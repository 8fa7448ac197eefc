"""Several runtimes as one, shared by threads: a call goes to whichever is free."""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt

from ctct.runtimes.base import Prediction, Runtime


class RuntimePool:
    """Runtimes of the same graph, on several GPUs for instance, that threads may share.

    A call waits until a member is free. On a CPU one member is enough: it uses all cores, and four
    requests of OpenVINO side by side were slower than one behind a lock.

    Args:
        members: one or more, of one kind.
    """

    def __init__(self, members: Sequence[Runtime]) -> None:
        self.name, self.device = members[0].name, members[0].device
        self._free: SimpleQueue[Runtime] = SimpleQueue()
        for member in members:
            self._free.put(member)

    def __call__(
        self, slices: npt.NDArray[np.float32], spacing_mm: npt.NDArray[np.float32]
    ) -> Prediction:
        """See :class:`ctct.runtimes.base.Runtime`; waits until a member is free."""
        member = self._free.get()
        try:
            return member(slices, spacing_mm)
        finally:
            self._free.put(member)
