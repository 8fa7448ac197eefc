"""What several processes of one run must agree on."""

from __future__ import annotations

from torch import Tensor, distributed


def sum_over_processes(values: Tensor) -> Tensor:
    """The sum over all processes, through which gradients flow; ``values`` where there is one.

    A loss made of such sums is that of the joined batch in every process, and the mean of its
    gradients over the processes, which DDP takes, is the joined batch's gradient.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    from torch.distributed.nn import functional

    total: Tensor = functional.all_reduce(values)  # type: ignore[no-untyped-call]
    return total
