from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ctct.errors import ConfigError, InputError
from ctct.training.config import TrainingConfig
from ctct.training.data.collection import Collection, Volume
from ctct.training.split import (
    PUBLISHED_TRAINING,
    PUBLISHED_VALIDATION,
    split_patients,
    training_data,
)


def config(**settings: object) -> TrainingConfig:
    return TrainingConfig(data=".", **settings)


def volume(patient: str, labelled: bool = True, value: int | None = None) -> Volume:
    voxels = np.full((1, 4, 4), len(patient) if value is None else value, np.uint8)
    voxels[0, 0] = list(f"{patient:>4}"[-4:].encode()) if value is None else value
    labels = np.zeros_like(voxels)
    labels[0, 1] = range(4)
    return Volume(patient, patient, voxels, labels if labelled else None, (1, 1))


def plain(n: int = 20, unlabelled: int = 2) -> Collection:
    patients = [volume(f"p{i:02}") for i in range(n)]
    return Collection((*patients, *(volume(f"u{i}", False) for i in range(unlabelled))), "plain")


def acdc(*numbers: int) -> Collection:
    return Collection(tuple(volume(f"patient{n:03}") for n in sorted(numbers)), "acdc")


class TestPublished:
    def test_order_of_the_paper(self) -> None:
        everyone = acdc(*range(1, 101))
        split = split_patients(everyone, config(labelled=3))
        assert split.labelled == ("patient099", "patient038", "patient050")
        assert split.unlabelled[:2] == ("patient100", "patient058")
        assert len(split.unlabelled) == 67
        assert split.validation == tuple(f"patient{n:03}" for n in PUBLISHED_VALIDATION)
        assert not {"patient001"} & {*split.labelled, *split.unlabelled}  # a test patient

    def test_seventy_and_ten(self) -> None:
        assert len(set(PUBLISHED_TRAINING)) == 70
        assert len(set(PUBLISHED_VALIDATION)) == 10
        assert not set(PUBLISHED_TRAINING) & set(PUBLISHED_VALIDATION)

    @pytest.mark.real_data
    def test_is_that_of_the_data(self, request: pytest.FixtureRequest) -> None:
        path = request.config.rootpath.parent / "shared" / "acdc" / "splits.json"
        if not path.exists():
            pytest.skip(f"needs {path}")
        lists = json.loads(path.read_text())
        names = [f"patient{n:03}" for n in PUBLISHED_TRAINING]
        assert names == lists["train_in_published_order"]
        assert [f"patient{n:03}" for n in PUBLISHED_VALIDATION] == lists["validation"]


class TestOther:
    def test_a_tenth_validates_and_the_seed_draws(self) -> None:
        split = split_patients(plain(), config(labelled=5))
        assert [len(names) for names in split.to_dict().values()] == [5, 15, 2]
        assert len({*split.labelled, *split.unlabelled, *split.validation}) == 22
        assert split == split_patients(plain(), config(labelled=5))
        assert split != split_patients(plain(), config(labelled=5, seed=1))
        # More labels, the same validation: results can be compared.
        assert split.validation == split_patients(plain(), config(labelled=9)).validation

    def test_lists(self, tmp_path: Path) -> None:
        labelled, validation = tmp_path / "labelled.txt", tmp_path / "validation.txt"
        labelled.write_text("# ours\np03\n\np01\n")
        validation.write_text("p02\n")
        settings = config(labelled_list=str(labelled), validation=str(validation))
        split = split_patients(plain(), settings)
        assert (split.labelled, split.validation) == (("p03", "p01"), ("p02",))
        assert len(split.unlabelled) == 19
        validation.write_text("p03\n")
        with pytest.raises(ConfigError, match="both labelled and for validation: p03"):
            split_patients(plain(), settings)
        labelled.write_text("p03\nnobody\n")
        with pytest.raises(ConfigError, match="no such patient: nobody"):
            split_patients(plain(), settings)

    def test_number_for_validation(self) -> None:
        assert len(split_patients(plain(), config(validation="4")).validation) == 4
        with pytest.raises(ConfigError, match="only 20 labelled patients are available"):
            split_patients(plain(), config(validation="21"))

    def test_more_labelled_than_there_are(self) -> None:
        with pytest.raises(ConfigError, match="--labelled 19: there are 18 training patients"):
            split_patients(plain(), config(labelled=19))

    def test_no_labels_at_all(self) -> None:
        with pytest.raises(InputError, match="no labelled patient"):
            split_patients(plain(0), config())


class TestTrainingData:
    def test_labels_of_the_unlabelled_are_gone(self) -> None:
        collection = plain()
        split = split_patients(collection, config(labelled=5))
        data = training_data(collection, split)
        assert [len(data.labelled), len(data.unlabelled), len(data.validation)] == [5, 15, 2]
        assert all(v.labels is None for v in data.unlabelled)

    def test_frames_without_labels_of_a_labelled_patient(self) -> None:
        frame = Volume("p00", "p00_t1", np.full((1, 4, 4), 9, np.uint8), None, (1, 1))
        collection = Collection((*plain(3, 0).volumes, frame), "plain")
        split = split_patients(collection, config(validation="1", seed=0))
        data = training_data(collection, split)
        assert [v.name for v in data.unlabelled] == (
            [] if "p00" in split.validation else ["p00_t1"]
        )

    @pytest.mark.parametrize(
        ("absent", "named"),
        [([1], "RV"), ([2], "MYO"), ([3], "LV"), ([1, 3], "RV, LV"), ([1, 2, 3], "RV, MYO, LV")],
    )
    def test_a_structure_that_no_slice_shows(self, absent: list[int], named: str) -> None:
        collection = plain(5)
        for v in collection.volumes:
            if v.labels is not None:
                v.labels[np.isin(v.labels, absent)] = 0
        split = split_patients(collection, config())
        with pytest.raises(InputError, match=f"no labelled training slice shows {named};"):
            training_data(collection, split)
        first = next(v for v in collection.volumes if v.patient == split.labelled[0])
        assert first.labels is not None
        first.labels[0, 1] = range(4)  # one slice suffices
        training_data(collection, split)

    def test_the_same_scan_on_both_sides(self, caplog: pytest.LogCaptureFixture) -> None:
        copies = Collection((*acdc(99, 38, 2).volumes[:1], *acdc(99).volumes), "acdc")
        copies = Collection(
            tuple(
                Volume(v.patient, v.name, np.zeros((1, 4, 4), np.uint8), v.labels, (1, 1))
                for v in copies.volumes
            ),
            "acdc",
        )
        with pytest.raises(InputError, match=r"patient002 \(validation\) and patient099 \(train"):
            training_data(copies, split_patients(copies, config()))
        same = Collection((volume("a", value=1), volume("b", value=1), volume("c")), "plain")
        split = split_patients(same, config(validation="1", seed=0))
        if split.validation == ("c",):
            training_data(same, split)
            assert "a and b are the same scan, both in training" in caplog.text
