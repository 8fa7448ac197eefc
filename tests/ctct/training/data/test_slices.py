from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ctct.datasets.collection import Volume
from ctct.errors import InputError
from ctct.labels import LV, MYO, RV, VALUE
from ctct.models.grid import NetworkGrid, sample
from ctct.training.data.slices import Heart, SliceSet, labelled_hearts


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def identity(n: int) -> Tensor:
    return torch.eye(2, 3).expand(n, 2, 3)


def volume(
    patient: str = "a", size: tuple[int, int] = (40, 36), spacing_mm: tuple[float, float] = (1, 1)
) -> Volume:
    """Two slices whose only bright pixels are those of the LV, an ellipse off the center."""
    rows, columns = np.indices(size)
    radius = np.hypot(rows - size[0] / 2 - 3, (columns - size[1] / 2 + 2) / 1.5)
    labels = np.select([radius < 5, radius < 8], [3, 2], 0).astype(np.uint8)
    labels = np.repeat(labels[None], 2, 0)
    return Volume(patient, f"{patient}_x", np.uint8(200) * (labels == 3), labels, spacing_mm)


def test_every_slice_is_drawn_once_before_any_comes_again() -> None:
    slices = SliceSet([volume("a"), volume("b")])
    assert len(slices) == 4
    assert slices.names == ["a_x slice 0", "a_x slice 1", "b_x slice 0", "b_x slice 1"]
    order = generator()
    numbers = torch.cat([slices.draw(3, order) for _ in range(8)]).reshape(6, 4)  # six epochs
    assert numbers.sort(1).values.tolist() == [[0, 1, 2, 3]] * 6
    assert len({tuple(epoch) for epoch in numbers.tolist()}) > 1
    again = SliceSet([volume("a"), volume("b")])
    assert torch.equal(again.draw(24, generator()).reshape(6, 4), numbers)


def test_nothing_to_take_slices_from() -> None:
    with pytest.raises(InputError, match="no volume"):
        SliceSet([])


def test_the_native_grid_changes_nothing() -> None:
    # 40 × 36 pixels of 1 mm lie in rows 12 to 51 and columns 14 to 49 of 64 of 1 mm.
    native = volume()
    grid = NetworkGrid(64, 1.0)
    images, labels = SliceSet([native]).sample(torch.tensor([1, 0]), grid, identity(2))
    assert labels is not None
    assert (images.shape, labels.shape) == ((2, 1, 64, 64), (2, 64, 64))
    inner = (slice(12, 52), slice(14, 50))
    np.testing.assert_array_equal(labels[:, *inner], native.labels)
    np.testing.assert_allclose(images[:, 0, *inner], native.voxels, atol=1e-2)
    labels[:, *inner] = 0
    assert labels.eq(0).all()


def test_the_sampling_rule_of_inference() -> None:
    # The flat store gives what grid_sample gives, for slices of different size and spacing.
    volumes = [volume("a", (30, 32), (1.3, 1.1)), volume("b", (44, 36), (1.2, 0.9))]
    c, s = 1.3 * math.cos(0.4), 1.3 * math.sin(0.4)
    transform = torch.tensor([[c, -s, 4.0], [s, c, -6.0]]).expand(2, 2, 3)
    grid = NetworkGrid(64, 1.1)
    found, _ = SliceSet(volumes).sample(torch.tensor([0, 2]), grid, transform)
    for image, one in zip(found, volumes, strict=True):
        expected = sample(
            torch.from_numpy(one.voxels[:1, None]).float(),
            torch.tensor([one.spacing_mm]),
            (64, 64),
            torch.full((1, 2), 1.1),
            transform[:1],
        )
        torch.testing.assert_close(image, expected[0], atol=0.05, rtol=0)


def test_labels_stay_on_the_image() -> None:
    # Turned 25°, made 1.3 times smaller, moved: the image is bright, above half, just where
    # the label is LV, for its edge is shared with one other class only.
    c, s = 1.3 * math.cos(math.radians(25)), 1.3 * math.sin(math.radians(25))
    transform = torch.tensor([[[c, -s, 4.0], [s, c, -6.0]]])
    slices = SliceSet([volume(spacing_mm=(1.2, 1.7))])
    images, labels = slices.sample(torch.tensor([0]), NetworkGrid(64, 1.1), transform)
    assert labels is not None
    assert labels.eq(3).sum() > 50
    assert torch.equal(images[:, 0] > 100, labels == 3)


def test_without_labels() -> None:
    one = volume()
    slices = SliceSet([Volume("a", "x", one.voxels, None, (1, 1))])
    assert slices.sample(torch.tensor([0]), NetworkGrid(64, 1.0), identity(1))[1] is None


def test_the_nearest_pixel() -> None:
    # Pixels of 2 mm on a grid of 1 mm: grid pixel i of 64 lies at (i - 31.5) mm, and pixel j of 4
    # at (2 j - 3) mm. So grid pixels 28 to 35 show pixels 0, 0, 1, 1, 2, 2, 3, 3.
    rows = np.arange(4, dtype=np.uint8)[None, :, None].repeat(4, 2)  # (1, 4, 4)
    slices = SliceSet([Volume("a", "x", 60 * rows, rows, (2, 2))])
    images, labels = slices.sample(torch.tensor([0]), NetworkGrid(64, 1.0), identity(1), True)
    assert labels is not None
    assert images[0, 0, 27:37, 32].tolist() == [0, 0, 0, 60, 60, 120, 120, 180, 180, 0]
    assert labels[0, 27:37, 32].tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 0]


def test_a_slice_stretched_to_the_grid() -> None:
    # 16 × 32 pixels fill all of 32 × 32, so that each row appears twice.
    rows = np.arange(16, dtype=np.uint8)[None, :, None].repeat(32, 2)
    slices = SliceSet([Volume("a", "x", rows, None, (0.7, 3))])
    grid = NetworkGrid(32, 1.5, stretch=True)
    images, _ = slices.sample(torch.tensor([0]), grid, identity(1), nearest=True)
    assert images[0, 0, :, 5].tolist() == [n // 2 for n in range(32)]
    # 32 pixels of 1.5 mm along both sides; as acquired, 16 · 0.7 and 32 · 3 mm
    torch.testing.assert_close(
        slices.field_mm(torch.tensor([0]), grid), torch.tensor([[48.0, 48.0]])
    )
    extent_mm = slices.field_mm(torch.tensor([0]), NetworkGrid(32, 1.5))
    torch.testing.assert_close(extent_mm, torch.tensor([[11.2, 96.0]]))


def square(
    patient: str, structure: str, column: int, known: tuple[str, ...] | None = None
) -> Volume:
    """Two slices of 41 × 41 pixels of 1 mm; from the middle row on, 10 × 10 pixels of it."""
    labels = np.zeros((2, 41, 41), np.uint8)
    labels[:, 20:30, column : column + 10] = VALUE[structure]
    return Volume(patient, f"{patient}_{structure}", labels, labels, (1, 1), known or (structure,))


def test_what_is_unknown_of_each_slice() -> None:
    volumes = [square("a", LV, 0), square("a", RV, 0), square("b", RV, 0, (RV, LV)), volume("c")]
    slices = SliceSet(volumes)
    rows = ([False, True, True, False], [False, False, True, True], [False, False, True, False])
    assert slices.unknown.tolist() == [row for row in (*rows, [False] * 4) for _ in range(2)]


def test_where_the_heart_of_a_partly_labelled_patient_lies() -> None:
    """In the middle of what is labelled, and of unknown size, until the networks find it."""
    slices = SliceSet([square("a", RV, 5), square("a", LV, 25), volume("b")])
    assert slices.to_search == {"a"}
    # Rows 20 to 29 lie from -0.5 to 9.5 mm; columns 5 to 14 and 25 to 34 from -15.5 to 14.5 mm.
    assert slices.center_mm[:4].tolist() == [[4.5, -0.5]] * 4
    assert slices.extent_mm[:4].isnan().all()
    of_b = slices.center_mm[4:].tolist(), slices.extent_mm[4:].tolist()
    slices.set_hearts({"a": Heart(3.0, 1.0, 44.0), "b": Heart(9.0, 9.0, 9.0)})
    assert slices.center_mm[:4].tolist() == [[3.0, 1.0]] * 4
    assert slices.extent_mm[:4].tolist() == [44.0] * 4
    assert (slices.center_mm[4:].tolist(), slices.extent_mm[4:].tolist()) == of_b  # all labelled
    slices.set_hearts({})  # not found any more
    assert slices.center_mm[0].tolist() == [4.5, -0.5]
    assert slices.extent_mm[:4].isnan().all()


def test_a_heart_that_several_stacks_label_together_needs_no_search() -> None:
    stacks = [square("a", RV, 5), square("a", MYO, 15), square("a", LV, 25)]
    assert not SliceSet(stacks).to_search
    assert labelled_hearts(stacks)["a"].extent_mm == 30


def test_where_the_heart_lies() -> None:
    # 9 × 9 pixels of 2 × 1 mm, whose middle is pixel (4, 4). In one frame rows 1 to 3 and columns
    # 5 to 7, in the other rows 2 to 5 and column 6: rows 1 to 5, columns 5 to 7 in all.
    frames = []
    for rows, columns in ((slice(1, 4), slice(5, 8)), (slice(2, 6), slice(6, 7))):
        labels = np.zeros((2, 9, 9), np.uint8)
        labels[1, rows, columns] = 1
        frames.append(Volume("a", f"a_{rows.start}", labels, labels, (2, 1)))
    nothing = np.zeros((1, 9, 9), np.uint8)
    others = [Volume("b", "b", nothing, nothing, (1, 1)), Volume("c", "c", nothing, None, (1, 1))]
    # The longer side: 5 rows of 2 mm.
    assert labelled_hearts([*frames, *others]) == {"a": Heart(-2.0, 2.0, 10.0)}
    assert SliceSet([others[1]]).found_hearts is None  # nothing is known yet
    slices = SliceSet([*frames, others[0]])
    assert slices.center_mm.tolist() == [[-2.0, 2.0]] * 4 + [[0.0, 0.0]]
    assert slices.extent_mm[:4].tolist() == [10.0] * 4
    assert slices.extent_mm[4].isnan()
