"""Two processes that each hold half a batch have the loss and the gradient of the whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor, distributed

from ctct.training.losses import segmentation_loss, sum_over_processes


def batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, 5, 6, generator=generator)
    labels = torch.randint(3, (4, 5, 6), generator=generator)
    return logits, labels, torch.rand(4, 5, 6, generator=generator)


def half(rank: int, folder: str) -> None:
    os.environ.update(GLOO_SOCKET_IFNAME="lo")
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    logits, labels, weight = (tensor[rank::2] for tensor in batch())
    logits = logits.clone().requires_grad_()
    loss = segmentation_loss(logits, labels, weight)
    loss.backward()
    torch.save((loss.detach(), logits.grad), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_one_process_is_left_alone() -> None:
    values = torch.arange(3.0)
    assert sum_over_processes(values) is values


def test_two_halves_are_the_joined_batch(tmp_path: Path) -> None:
    command = [sys.executable, __file__, str(tmp_path)]
    processes = [subprocess.Popen([*command, str(rank)]) for rank in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    logits, labels, weight = batch()
    logits.requires_grad_()
    whole = segmentation_loss(logits, labels, weight)
    whole.backward()
    for rank in range(2):
        loss, gradient = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(loss, whole.detach(), atol=1e-6, rtol=0)
        # DDP takes the mean over the processes: half of each is its share of the whole.
        torch.testing.assert_close(gradient / 2, logits.grad[rank::2], atol=1e-6, rtol=0)


if __name__ == "__main__":
    half(int(sys.argv[2]), sys.argv[1])
