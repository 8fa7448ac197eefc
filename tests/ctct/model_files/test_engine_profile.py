from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from ctct.errors import ConfigError
from ctct.model_files.engine_profile import EngineProfile, batch_parts


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"batch": (0, 1, 2)}, r"--batch 0,1,2: give MIN,OPT,MAX as whole numbers with 1 <= MIN"),
        ({"batch": (4, 2, 8)}, "--batch 4,2,8"),
        ({"batch": (1, 8, 4)}, "--batch 1,8,4"),
        ({"batch": (1, 2)}, "--batch 1,2:"),
        ({"size": (16, 256, 512)}, r"--size 16,256,512: .* 32 <= MIN"),
        ({"size": (32, 256.5, 512)}, "--size 32,256.5,512"),
    ],
)
def test_nonsense_is_refused_by_the_flag_it_came_from(ranges: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EngineProfile(**ranges)


def test_a_profile_survives_json() -> None:
    profile = EngineProfile((2, 3, 5), (64, 96, 160))
    assert EngineProfile.from_json(json.loads(json.dumps(asdict(profile)))) == profile


def test_shapes_of_the_inputs() -> None:
    assert EngineProfile((1, 4, 9), (32, 100, 200)).shapes() == {
        "slices": [(1, 1, 32, 32), (4, 1, 100, 100), (9, 1, 200, 200)],
        "spacing_mm": [(1, 2), (4, 2), (9, 2)],
    }


@pytest.mark.parametrize(
    ("size", "holds"),
    [((64, 64), True), ((128, 64), True), ((63, 100), False), ((100, 129), False)],
)
def test_both_sides_of_a_slice_count(size: tuple[int, int], holds: bool) -> None:
    assert EngineProfile(size=(64, 96, 128)).holds(size) is holds


@pytest.mark.parametrize(
    ("size", "wider"),
    [
        ((100, 100), (64, 96, 128)),  # held already
        ((100, 129), (64, 96, 160)),
        ((50, 160), (32, 96, 160)),
        ((33, 600), (32, 96, 608)),
    ],
)
def test_widened_to_the_next_32_pixels(size: tuple[int, int], wider: tuple[int, ...]) -> None:
    profile = EngineProfile((1, 2, 4), (64, 96, 128)).widened(size)
    assert profile == EngineProfile((1, 2, 4), wider)  # type: ignore[arg-type]
    assert profile.holds(size)


@pytest.mark.parametrize(
    ("count", "largest", "parts"),
    [
        (5, 8, [slice(0, 5)]),
        (8, 8, [slice(0, 8)]),
        (17, 8, [slice(0, 8), slice(8, 16), slice(16, 17)]),
        (0, 8, []),
    ],
)
def test_batches_are_split(count: int, largest: int, parts: list[slice]) -> None:
    assert batch_parts(count, largest) == parts
