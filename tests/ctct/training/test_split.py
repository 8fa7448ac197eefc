from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctct.datasets.acdc import ES_FRAME, PUBLISHED_TRAINING, PUBLISHED_VALIDATION, SPACING_MM
from ctct.datasets.collection import Collection, Volume
from ctct.errors import ConfigError, InputError
from ctct.training.config import TrainingConfig
from ctct.training.split import Split, split_patients, training_data


def config(**settings: object) -> TrainingConfig:
    return TrainingConfig(data=".", **settings)


def volume(patient: str, labelled: bool = True, value: int | None = None) -> Volume:
    voxels = np.full((1, 4, 4), len(patient) if value is None else value, np.uint8)
    voxels[0, 0] = list(f"{patient:>4}"[-4:].encode()) if value is None else value
    labels = np.zeros_like(voxels)
    labels[0, 1] = range(4)
    return Volume(patient, patient, voxels, labels if labelled else None, (1, 1))


def complete(collection: Collection, patient: str) -> None:
    """Give the patient's labels every structure."""
    labels = next(v.labels for v in collection.volumes if v.patient == patient)
    assert labels is not None
    labels[0, 1] = range(4)


def plain(n: int = 20, unlabelled: int = 2) -> Collection:
    patients = [volume(f"p{i:02}") for i in range(n)]
    return Collection((*patients, *(volume(f"u{i}", False) for i in range(unlabelled))), "plain")


def acdc(*numbers: int) -> Collection:
    volumes = []
    for n in sorted(numbers):
        for frame in (4 if n == 90 else 1, ES_FRAME[n - 1]):
            one = volume(f"patient{n:03}")
            mm = SPACING_MM[n - 1]
            name = f"{one.patient}_frame{frame:02}"
            volumes.append(replace(one, name=name, voxels=one.voxels + frame, spacing_mm=(mm, mm)))
    return Collection(tuple(volumes), "acdc")


class TestPublished:
    def test_order_of_the_paper(self) -> None:
        everyone = acdc(*range(1, 101))
        split = split_patients(everyone, config(labelled=3))
        assert split.labelled == ("patient099", "patient038", "patient050")
        assert split.unlabelled[:2] == ("patient100", "patient058")
        assert len(split.unlabelled) == 67
        assert split.validation == tuple(f"patient{n:03}" for n in PUBLISHED_VALIDATION)
        assert not {"patient001"} & {*split.labelled, *split.unlabelled}  # a test patient

    def test_who_is_left_out_is_said(self) -> None:
        split = split_patients(acdc(1, 2, 8, 38, 99), config())
        assert split.left_out == ("patient001", "patient008")  # test patients
        assert split.describe() == (
            "split: the published split of ACDC; left out: patient001, patient008"
        )
        assert "no patient is left out" in split_patients(acdc(2, 38, 99), config()).describe()

    def test_its_validation_patients_never_train(self, tmp_path: Path) -> None:
        patients = acdc(2, 19, 28, 38, 50, 99)
        split = split_patients(patients, config(validation="2"))
        assert split.validation == ("patient002", "patient019")
        assert split.left_out == ("patient028",)
        (tmp_path / "names.txt").write_text("patient099")
        split = split_patients(patients, config(validation=str(tmp_path / "names.txt")))
        assert split.labelled == ("patient038", "patient050")
        assert split.left_out == ("patient002", "patient019", "patient028")
        with pytest.raises(ConfigError, match="only 3 labelled patients are available, those of"):
            split_patients(patients, config(validation="4"))

    def test_without_its_validation_patients(self) -> None:
        split = split_patients(acdc(1, 38, 50, 99), config())
        assert (split.validation, split.left_out) == (("patient099",), ("patient001",))
        assert "none is there: training patients validate" in split.method

    def test_own_patients_of_such_names_are_drawn(self) -> None:
        own = Collection(tuple(volume(f"patient{n:03}") for n in range(1, 7)), "acdc")
        split = split_patients(own, config())
        assert [*map(len, (split.labelled, split.validation, split.left_out))] == [5, 1, 0]
        assert "drawn at random with seed 0, not the published split" in split.describe()
        assert "patient001, patient002" in split.describe()

    @pytest.mark.parametrize("change", ["frame", "spacing", "one frame", "number"])
    def test_frames_and_spacing_tell_acdc(self, change: str) -> None:
        *others, last = acdc(2, 38, 99).volumes
        changed = {
            "frame": [replace(last, name="patient099_frame10")],
            "spacing": [replace(last, spacing_mm=(1.5, 1.5))],
            "one frame": [],
            "number": [last, replace(volume("patient201", value=9), name="patient201_frame01")],
        }
        collection = Collection((*others, *changed[change]), "acdc")
        split = split_patients(collection, config())
        stranger = "patient201" if change == "number" else "patient099"
        assert split.describe().startswith("split: drawn at random")
        assert f"these are not its patients: {stranger}; no patient" in split.describe()

    def test_own_scans_without_labels_change_nothing(self) -> None:
        own = volume("patient201", labelled=False)
        split = split_patients(Collection((*acdc(2, 38, 99).volumes, own), "acdc"), config())
        assert split.method == "the published split of ACDC"
        assert split.unlabelled == ("patient201",)

    def test_the_test_patients_of_the_challenge(self) -> None:
        challenge = tuple(volume(f"patient{n}") for n in range(101, 151))
        everyone = Collection((*acdc(1, 2, 38, 99).volumes, *challenge), "acdc")
        split = split_patients(everyone, config())
        assert (split.method, len(split.left_out)) == ("the published split of ACDC", 51)
        some = Collection(everyone.volumes[:-1], "acdc")  # own patients, more likely
        assert "not the published split" in split_patients(some, config()).method

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
        assert [*map(len, (split.labelled, split.unlabelled, split.validation))] == [5, 15, 2]
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


class TestFile:
    """``--split FILE``."""

    def split(self, tmp_path: Path, content: object, **settings: object) -> Split:
        path = tmp_path / "ours.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return split_patients(plain(5, 2), config(split=str(path), **settings))

    def test_all_of_train_is_labelled(self, tmp_path: Path) -> None:
        lists = {"train": ["p03", "p00", "p01"], "validation": ["p02"]}
        split = self.split(tmp_path, lists)
        assert split == Split(
            *(("p03", "p00", "p01"), ("u0", "u1"), ("p02",), ("p04",), "given by ours.json")
        )
        assert split.describe() == "split: given by ours.json; left out: p04"
        assert self.split(tmp_path, lists, labelled=1).labelled == ("p03",)
        assert self.split(tmp_path, lists, labelled=1).unlabelled == ("p00", "p01", "u0", "u1")

    def test_labelled_among_train(self, tmp_path: Path) -> None:
        lists = {"train": ["p03", "p00", "u1"], "labelled": ["p00"], "validation": ["p02"]}
        split = self.split(tmp_path, {**lists, "unlabelled": []})
        assert (split.labelled, split.unlabelled) == (("p00",), ("p03", "u1"))
        assert split.left_out == ("p01", "p04", "u0")
        with pytest.raises(ConfigError, match=r"--labelled 1: .*ours\.json lists the labelled"):
            self.split(tmp_path, lists, labelled=1)

    def test_test_patients_are_left_out(self, tmp_path: Path) -> None:
        lists = {"train": ["p03"], "validation": ["p02"], "test": ["p00", "u0"]}
        split = self.split(tmp_path, lists)
        assert (split.left_out, split.unlabelled) == (("p00", "p01", "p04", "u0"), ("u1",))
        with pytest.raises(ConfigError, match="both in train and in test: p03"):
            self.split(tmp_path, {**lists, "test": ["p03"]})

    def test_that_of_a_run(self, tmp_path: Path) -> None:
        former = split_patients(plain(5, 2), config(labelled=2))
        again = self.split(tmp_path, former.to_dict())
        assert replace(again, method=former.method) == former

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"train": ["p0"], "validation": ["p02"]}, "no such patient: p0; the data have p00, p"),
            ({"train": ["p00"], "validation": ["x.nii.gz"]}, "no such patient: x.nii.gz"),
            ({"train": ["p00"], "val": ["p02"]}, "unknown list 'val'; known are train, labelled, "),
            ({"train": ["p00"], "validation": []}, "names no validation patient"),
            ({"validation": ["p00"], "unlabelled": ["p01"]}, "names no training patient"),
            (
                {"train": ["p00", "p01"], "validation": ["p01"]},
                "both in train and in validation: p01",
            ),
            (
                {"labelled": ["p00"], "unlabelled": ["p00"], "validation": ["p02"]},
                "both in labelled and in unlabelled: p00",
            ),
            ({"train": ["p00"], "validation": ["u0"]}, "validation patients without labels: u0"),
            ({"labelled": ["u1"], "validation": ["p0"]}, "no such patient: p0"),
            ({"labelled": ["u1"], "validation": ["p00"]}, "labelled patients without labels: u1"),
            ({"train": "p00", "validation": ["p02"]}, "train must be a list of names"),
            ({"train": [0], "validation": ["p02"]}, "train must be a list of names"),
            ([{"train": ["p00"], "val": ["p02"]}], "must hold an object such as"),
            ("p00\np01\n", "cannot be read as JSON"),
        ],
    )
    def test_refused_by_name(self, tmp_path: Path, content: object, message: str) -> None:
        with pytest.raises(ConfigError) as caught:
            self.split(tmp_path, content)
        assert message in str(caught.value)

    def test_excludes_the_other_lists(self) -> None:
        with pytest.raises(ConfigError, match="--split replaces --labelled-list and --validation"):
            config(split="a.json", validation="2")


class TestPartlyLabelled:
    """Patients c0 and c1, of whom LV and RV alone were labelled."""

    def collection(self) -> Collection:
        children = [
            replace(volume(f"c{i}", value=100 + i), known=known)
            for i, known in enumerate((("LV",), ("RV",)))
        ]
        frame = replace(volume("c0", labelled=False, value=110), name="c0_t1")
        return Collection((*plain(5, 1).volumes, frame), "plain", tuple(children))

    def test_they_train_beside_the_others(self) -> None:
        for seed in range(5):
            split = split_patients(self.collection(), config(labelled=2, seed=seed))
            assert split.partly_labelled == ("c0", "c1")
            assert not {"c0", "c1"} & {*split.labelled, *split.unlabelled, *split.validation}
            without = split_patients(plain(5, 1), config(labelled=2, seed=seed))
            assert split == replace(without, partly_labelled=("c0", "c1"))

    def test_their_volumes(self) -> None:
        split = split_patients(self.collection(), config())
        data = training_data(self.collection(), split)
        assert [(v.name, v.known) for v in data.partly_labelled] == [
            *(("c0", ("LV",)), ("c1", ("RV",)))
        ]
        assert {v.known for v in (*data.labelled, *data.validation)} == {("RV", "MYO", "LV")}
        assert [v.name for v in data.unlabelled] == ["u0", "c0_t1"]

    @pytest.mark.parametrize("option", ["validation", "labelled_list"])
    def test_none_validates_or_counts_as_labelled(self, tmp_path: Path, option: str) -> None:
        names = tmp_path / "names.txt"
        names.write_text("p01\nc1\n")
        with pytest.raises(ConfigError, match="patients of --partly-labelled: c1; they are train"):
            split_patients(self.collection(), config(**{option: str(names)}))

    def test_lists_of_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "split.json"

        def split(**lists: list[str]) -> Split:
            path.write_text(json.dumps({"train": ["p03"], "validation": ["p02"], **lists}))
            return split_patients(self.collection(), config(split=str(path)))

        assert split().partly_labelled == ("c0", "c1")
        one = split(test=["c0"], unlabelled=["c1"])
        assert (one.partly_labelled, one.unlabelled) == ((), ("c1",))
        assert "c0" in one.left_out
        data = training_data(self.collection(), one)
        assert not data.partly_labelled
        assert [(v.name, v.labels) for v in data.unlabelled] == [("c1", None)]
        with pytest.raises(ConfigError, match="not of --partly-labelled: p01"):
            split(partly_labelled=["p01"])
        with pytest.raises(ConfigError, match="validation patients of --partly-labelled: c1"):
            split(validation=["c1"])

    def test_the_split_of_a_run(self, tmp_path: Path) -> None:
        former = split_patients(self.collection(), config(labelled=2))
        path = tmp_path / "split.json"
        path.write_text(json.dumps(former.to_dict()))
        again = split_patients(self.collection(), config(split=str(path)))
        assert replace(again, method=former.method) == former

    def test_the_same_scan_does_not_validate(self) -> None:
        collection = self.collection()
        split = split_patients(collection, config())
        twin = next(v for v in collection.volumes if v.patient == split.validation[0])
        child = replace(collection.partly_labelled[0], voxels=twin.voxels)
        leaking = replace(collection, partly_labelled=(child,))
        with pytest.raises(InputError, match="are the same scan; remove one"):
            training_data(leaking, split)


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
        complete(collection, split.labelled[0])
        with pytest.raises(
            InputError, match=f"{split.labelled[1]}: its labels lack {named}, which"
        ):
            training_data(collection, split)
        for patient in split.labelled:
            complete(collection, patient)
        with pytest.raises(InputError, match=f"no validation slice shows {named};"):
            training_data(collection, split)
        complete(collection, split.validation[0])
        training_data(collection, split)

    def test_a_stack_that_lacks_a_structure(self) -> None:
        def stack(name: str, values: range) -> Volume:
            one = volume("p00", value=len(name))
            labels = np.zeros((3, 4, 4), np.uint8)
            labels[0, 1, values] = values
            return replace(one, name=name, voxels=np.repeat(one.voxels, 3, 0), labels=labels)

        stacks = (stack("p00_ED", range(4)), stack("p00_ES", range(2, 4)))
        collection = Collection((*plain(5, 0).volumes[1:], *stacks), "plain")
        split = Split(("p00", "p01"), (), ("p02",))
        # The frame, although the patient's other frame shows everything.
        with pytest.raises(InputError, match="p00_ES: its labels lack RV"):
            training_data(collection, split)
        training_data(collection, replace(split, labelled=("p01",), unlabelled=("p00",)))
        # Two slices of the apex need not show it.
        apex = replace(stacks[1], voxels=stacks[1].voxels[:2], labels=stacks[1].labels[:2])
        training_data(Collection((*collection.volumes[:-1], apex), "plain"), split)

    def test_the_same_scan_on_both_sides(self, caplog: pytest.LogCaptureFixture) -> None:
        copies = Collection((*acdc(99, 38, 2).volumes[:1], *acdc(99).volumes), "acdc")
        copies = Collection(
            tuple(
                Volume(v.patient, v.name, np.zeros((1, 4, 4), np.uint8), v.labels, (1, 1))
                for v in copies.volumes
            ),
            "acdc",
        )
        with pytest.raises(
            InputError, match=r"patient002_frame01 \(validation\) and patient099_frame01 \(train"
        ):
            training_data(copies, split_patients(copies, config()))
        same = Collection((volume("a", value=1), volume("b", value=1), volume("c")), "plain")
        split = split_patients(same, config(validation="1", seed=0))
        if split.validation == ("c",):
            training_data(same, split)
            assert "a and b are the same scan, both in training" in caplog.text
