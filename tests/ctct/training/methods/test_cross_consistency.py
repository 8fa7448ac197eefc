from __future__ import annotations

import dataclasses

import pytest
import torch
from method_support import step_inputs
from torch import nn
from training_support import config, small_batch

from ctct.models.swin_unet import SwinUNet
from ctct.models.unet import UNet
from ctct.training.methods import cross_consistency
from ctct.training.methods.base import StepInputs
from ctct.training.methods.cross_consistency import CrossConsistency

SETTINGS = config().unlabelled_slices


def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return UNet(dropout=[0.0] * 5), SwinUNet("nano", 32, drop_path=0.0)


def wide_step(students: tuple[nn.Module, nn.Module]) -> StepInputs:
    """Slices of 32 × 32 pixels."""
    batch = small_batch()
    batch = dataclasses.replace(
        batch, images=batch.images.tile(4, 4), rectangle=batch.rectangle.tile(4, 4)
    )
    return step_inputs(batch, students=students)


def test_copies_follow_their_network_to_the_heart_crop() -> None:
    students = UNet(dropout=[0.0] * 5), SwinUNet("nano", 64, drop_path=0.0)
    method = CrossConsistency(students, SETTINGS)
    students[1].set_grid_size(32)
    assert method(wide_step(students)).isfinite()


def test_copies_of_the_decoder_agree_on_unperturbed_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cross_consistency, "PERTURBATIONS", (lambda x, generator: x,) * 3)
    students = tuple(network.eval() for network in networks())
    method = CrossConsistency(students, SETTINGS).eval()
    assert method(wide_step(students)) < 1e-9


def test_perturbed_features_teach_encoders_and_auxiliary_decoders() -> None:
    students = networks()
    method = CrossConsistency(students, SETTINGS)
    step = wide_step(students)
    step = dataclasses.replace(step, logits=[logits.detach() for logits in step.logits])
    loss = method(step)
    loss.backward()
    assert loss > 0
    assert all(p.grad is not None for p in method.parameters())
    assert students[0].encoder[0][0].weight.grad.any()
    assert students[1].encoder.patch_embed.proj.weight.grad.any()


def test_perturbations() -> None:
    generator = torch.Generator().manual_seed(0)
    x = 1 + torch.rand(2, 16, 8, 8)
    noisy = cross_consistency.add_noise(x, generator) / x
    assert 0.7 <= noisy.min() < noisy.max() <= 1.3
    dropped = cross_consistency.drop_channels(x, generator).flatten(2)
    is_zero = (dropped == 0).all(2)
    assert 0 < is_zero.sum() < is_zero.numel()
    assert torch.equal(dropped[~is_zero], 2 * x.flatten(2)[~is_zero])
    active = cross_consistency.drop_activated(x, generator)
    highest = x.mean(1).flatten(1).argmax(1)
    assert not active.flatten(2)[torch.arange(2), :, highest].any()
