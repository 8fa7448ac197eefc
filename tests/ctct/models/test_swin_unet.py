from __future__ import annotations

import timm
import torch

from ctct.models.swin_unet import IMAGENET_MODEL, SwinUNet


def test_encoder_and_decoder_take_the_blocks_of_a_swin_transformer() -> None:
    """The real Swin-T of timm, whose weights are random here, on its own grid."""
    source = timm.create_model(IMAGENET_MODEL, in_chans=1).state_dict()
    network = SwinUNet("tiny", 224)
    network.take_encoder(source)
    taken = network.state_dict()
    for level, stage in ((0, 2), (1, 1), (2, 0)):
        for name in ("blocks.0.attn.qkv.weight", "blocks.1.mlp.fc2.bias", "blocks.1.norm1.weight"):
            expected = source[f"layers.{level}.{name}"]
            torch.testing.assert_close(taken[f"encoder.layers.{level}.{name}"], expected)
            torch.testing.assert_close(taken[f"decoder.{stage}.blocks.{name}"], expected)
    torch.testing.assert_close(
        taken["encoder.patch_embed.proj.weight"], source["patch_embed.proj.weight"]
    )


def test_tensors_of_other_shapes_are_left_out() -> None:
    network = SwinUNet("nano", 160)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.take_encoder(timm.create_model(IMAGENET_MODEL, in_chans=1).state_dict())
    same = [torch.equal(before[name], tensor) for name, tensor in network.state_dict().items()]
    assert all(same)
