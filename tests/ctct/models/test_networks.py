"""One contract for both networks, then what is each one's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from ctct.errors import ConfigError
from ctct.models.swin_unet import SwinUNet
from ctct.models.unet import UNet

SIZE = 64
Build = Callable[[], nn.Module]


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "build", [UNet, partial(SwinUNet, "nano", SIZE)], ids=["cnn", "transformer"]
)
class TestContract:
    def test_logits_have_a_channel_a_class(self, build: Build, images: Tensor) -> None:
        logits = build()(images)
        assert logits.shape == (2, 4, SIZE, SIZE)
        assert logits.dtype == torch.float32

    def test_gradient_reaches_every_parameter(self, build: Build, images: Tensor) -> None:
        network = build()
        network(images).square().mean().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name

    def test_skip_connections_carry_the_input(self, build: Build, images: Tensor) -> None:
        network = build().eval()
        from_below = next(network.decoder[-1].children())
        for parameter in from_below.parameters():
            nn.init.zeros_(parameter)  # all that the last decoder stage still has is its skip
        first, second = network(images)
        assert not torch.allclose(first, second, atol=1e-3)

    def test_slices_of_a_batch_do_not_mix(self, build: Build, images: Tensor) -> None:
        network = build().eval()
        torch.testing.assert_close(network(images)[:1], network(images[:1]), atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("size", [(SIZE, 63), (50, SIZE), (63, 63)])
    def test_wrong_size_names_the_remedy(self, build: Build, size: tuple[int, int]) -> None:
        with pytest.raises(ConfigError) as caught:
            build()(torch.zeros(1, 1, *size))
        message = str(caught.value)
        assert f"{size[0]}×{size[1]}" in message
        assert "resample with ctct.models.grid.sample" in message
        assert "\n" not in message

    def test_saved_and_restored_gives_the_same(
        self, build: Build, images: Tensor, tmp_path: Path
    ) -> None:
        torch.manual_seed(0)
        first, second = build().eval(), build().eval()
        assert not torch.allclose(first(images), second(images), atol=1e-3)
        torch.save(first.state_dict(), tmp_path / "weights.pt")
        second.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
        torch.testing.assert_close(second(images), first(images), atol=1e-6, rtol=0)

    def test_export_equals_eager(self, build: Build, images: Tensor) -> None:
        network = build().eval()
        batch = {0: torch.export.Dim("batch", max=64)}
        exported = torch.export.export(network, (images,), dynamic_shapes=(batch,)).module()
        three = torch.cat((images, images[:1]))
        torch.testing.assert_close(exported(three), network(three), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("build", "millions"),
    [
        (UNet, 1.81),  # the U-Net of the paper
        (partial(SwinUNet, "nano", 160), 6.8),
        (partial(SwinUNet, "tiny", 224), 27.2),  # the Swin-UNet of the paper
    ],
)
def test_parameters(build: Build, millions: float) -> None:
    with torch.device("meta"):  # counts, without the memory or the time
        network = build()
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.005)


def test_unet_takes_unequal_sides() -> None:
    assert UNet()(torch.zeros(1, 1, 32, 48)).shape == (1, 4, 32, 48)


class TestSwinUNet:
    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ({"size": "huge"}, "'huge'; choose one of nano, tiny"),
            ({"grid_size": 100}, "got grid 100"),
            ({"grid_size": 160, "window": 7}, "use window 5"),
            ({"grid_size": 0}, "got grid 0"),
        ],
    )
    def test_nonsense_is_refused(self, arguments: dict[str, object], named: str) -> None:
        with pytest.raises(ConfigError) as caught:
            SwinUNet(**arguments)
        assert named in str(caught.value)

    def test_imagenet_weights_fill_the_encoder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        create, made = timm.create_model, []

        def without_download(name: str, *, pretrained: bool, **options: object) -> nn.Module:
            assert pretrained
            made.append(create(name, pretrained=False, **options))
            return made[0]

        monkeypatch.setattr(timm, "create_model", without_download)
        network = SwinUNet("tiny", SIZE, pretrained=True)
        source = made[0].state_dict()
        assert set(network.encoder.state_dict()) <= set(source)
        for name, tensor in network.encoder.state_dict().items():
            assert torch.equal(tensor, source[name]), name

    def test_no_hub_is_one_warning(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def unreachable(*_: object, **__: object) -> nn.Module:
            raise OSError("no route to host")

        monkeypatch.setattr(timm, "create_model", unreachable)
        with torch.device("meta"):
            network = SwinUNet("tiny", SIZE, pretrained=True)
        assert network.grid_size == SIZE
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "no route to host" in caplog.text

    def test_no_weights_of_the_narrow_size_is_one_warning(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with torch.device("meta"):
            SwinUNet("nano", SIZE, pretrained=True)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
