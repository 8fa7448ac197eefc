"""What every runtime agrees on: the names and types of the fused graph's inputs and outputs.

| name           | shape         | type    | meaning                                            |
|----------------|---------------|---------|----------------------------------------------------|
| `slices`       | (N, 1, H, W)  | float32 | raw intensities, native resolution                 |
| `spacing_mm`   | (N, 2)        | float32 | in-plane (row, column) spacing                     |
| `labels`       | (N, H, W)     | uint8   | 0 background, 1 RV, 2 MYO, 3 LV, native resolution |
| `disagreement` | (N, H, W)     | float32 | ½·Σ|p_cnn − p_transformer|, 0…1                    |

The file's metadata holds, each as JSON: ``ctct_version``, ``labels`` (name to value), ``grid``
(``size``, ``spacing_mm``), ``member_weights``, ``validation_dice``, ``training_data``, ``license``,
``config`` (of the training) and ``step``.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

INPUTS = ["slices", "spacing_mm"]
OUTPUTS = ["labels", "disagreement"]


class Prediction(NamedTuple):
    """What the graph says of a batch of slices."""

    labels: npt.NDArray[np.uint8]  # (N, H, W)
    disagreement: npt.NDArray[np.float32]  # (N, H, W)


class Runtime(Protocol):
    """Something that runs the fused graph.

    Not for several threads at a time: :func:`ctct.runtimes.choose.load_runtime` gives one that is.
    Its memory is freed with the last reference to it.

    Attributes:
        name: a key of ``ctct.runtimes.machine.PACKAGES``.
        device: where it runs, for instance "CPU" or "CUDA".
    """

    name: str
    device: str

    def __call__(
        self, slices: npt.NDArray[np.float32], spacing_mm: npt.NDArray[np.float32]
    ) -> Prediction:
        """Labels and disagreement of ``slices`` (N, 1, H, W) with ``spacing_mm`` (N, 2).

        Raises:
            MemoryError: the batch does not fit into the device's memory; a smaller one may.
        """
        ...
