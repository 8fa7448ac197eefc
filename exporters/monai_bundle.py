"""A MONAI bundle: the model, how MONAI runs it, and what it is.

Its layout is that of https://docs.monai.io/en/stable/mb_specification.html.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ctct.errors import OutputError
from ctct.labels import CLASSES, VALUE

#: The model in the bundle.
MODEL = Path("models", "model.onnx")
#: The versions that the bundle was tried with; later ones are expected to work.
MONAI_VERSION = "1.4.0"
REQUIRED = {"nibabel": "5.2", "onnxruntime": "1.21"}

#: Files of ``scripts``, and the packages and files of ctct that they are copies of.
SCRIPTS = {
    "network.py": ("ctct.exporters", "bundle_network.py"),
    "orientation.py": ("ctct.io", "orientation.py"),
}
_SCHEMA = "https://project-monai.github.io/schema/meta_schema_20240725.json"
_ANY_SIZE = ["*", "*", "*"]

#: Files whose names end like this are label maps.
_LABEL_MAPS = ("_gt.nii", "_gt.nii.gz", "_seg.nii", "_seg.nii.gz")
INFERENCE: dict[str, Any] = {
    "imports": ["$import sys", "$from pathlib import Path", "$import torch"],
    "bundle_root": ".",
    "dataset_dir": "$@bundle_root + '/data'",
    "output_dir": "$@bundle_root + '/eval'",
    "images": (
        "$[str(path) for path in sorted(Path(@dataset_dir).glob('**/*.nii*')) "
        f"if not path.name.endswith({_LABEL_MAPS})]"
    ),
    "device": "$'cuda' if torch.cuda.is_available() else 'cpu'",
    "network_def": {
        "_target_": "scripts.network.TrainedPair",
        "model_file": f"$@bundle_root + '/{MODEL.as_posix()}'",
        "device": "@device",
    },
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "scripts.network.check_header", "_mode_": "callable"},
            {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True},
        ],
    },
    "dataset": {
        "_target_": "Dataset",
        "data": "$[{'image': path} for path in @images]",
        "transform": "@preprocessing",
    },
    "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
    "inferer": {"_target_": "SimpleInferer"},
    "postprocessing": {
        "_target_": "SaveImaged",
        "keys": "pred",
        "output_dir": "@output_dir",
        "output_postfix": "seg",
        "output_dtype": "$torch.uint8",
        "resample": False,
        "separate_folder": False,
    },
    "evaluator": {
        "_target_": "scripts.network.Evaluator",
        "dataloader": "@dataloader",
        "network": "@network_def",
        "inferer": "@inferer",
        "postprocessing": "@postprocessing",
    },
    "initialize": ["$sys.path.insert(1, @bundle_root)"],
    "run": ["$@evaluator.run()"],
}

_README = """\
# Short-axis cardiac MRI: RV, myocardium and LV

Labels {labels} in short-axis cine MRI, slice by slice, with a CNN and a Transformer trained
together by cross teaching. Exported by ctct {version}. Research use only: not a medical device.

- Input: `image`, (batch, frames, X, Y, slices), raw intensities with their affine. Sizes and
  spacings are free; the model resamples and normalizes inside.
- Output: `pred`, of the same shape, uint8. The numbers in `channel_def` are the label values;
  other bundles for the heart number them in other orders.
- Training data: {training_data}
- License of the weights: {license}

```sh
pip install 'monai>={monai}' 'nibabel>={nibabel}' 'onnxruntime>={onnxruntime}'
python -m monai.bundle run --config_file configs/inference.json --bundle_root . \\
    --dataset_dir SCANS --output_dir LABELS
```

Every NIfTI file in `SCANS` gets a label map in `LABELS`, whose name ends in `_seg`. For a GPU,
install `onnxruntime-gpu` instead. The labels are those of the networks: `ctct predict` also looks
again at the surroundings of the heart, removes what does not belong to it, measures, and says
which results to doubt.
"""

_LICENSE = """\
models/: {license}{full_text}
scripts/: parts of ctct, Apache-2.0, https://www.apache.org/licenses/LICENSE-2.0
"""
_UNKNOWN = "not stated; ask those who trained the model"


def write_monai_bundle(
    folder: Path, model_path: Path, metadata: Mapping[str, Any], license_file: Path
) -> None:
    """Write a bundle.

    Args:
        folder: made for it.
        model_path: the ``.onnx`` file.
        metadata: the description of the model; see :mod:`ctct.runtimes.base`.
        license_file: license of the weights, which goes with them where there is such a file.

    Raises:
        OutputError: it cannot be written.
    """
    about = {
        "labels": ", ".join(f"{name} ({VALUE[name]})" for name in CLASSES[1:]),
        "version": metadata["ctct_version"],
        "training_data": metadata.get("training_data") or _UNKNOWN,
        "license": metadata.get("license") or _UNKNOWN,
        "full_text": " (see models/LICENSE)" if license_file.exists() else "",
    }
    texts = {
        "configs/metadata.json": _to_json(describe(metadata)),
        "configs/inference.json": _to_json(INFERENCE),
        "docs/README.md": _README.format(**about, monai=MONAI_VERSION, **REQUIRED),
        "LICENSE": _LICENSE.format(**about),
        "scripts/__init__.py": "",
    }
    for name, (package, source) in SCRIPTS.items():
        code = resources.files(package).joinpath(source).read_text("utf-8")
        texts[f"scripts/{name}"] = code.replace("from ctct.io.", "from scripts.")
    try:
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (folder / MODEL).parent.mkdir()
        shutil.copyfile(model_path, folder / MODEL)
        if license_file.exists():
            shutil.copyfile(license_file, (folder / MODEL).with_name("LICENSE"))
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error


def describe(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The content of metadata.json for a model of this description."""
    dice = metadata.get("validation_dice", {})
    license_ = metadata.get("license") or _UNKNOWN
    return {
        "schema": _SCHEMA,
        "version": metadata["ctct_version"],
        "changelog": {metadata["ctct_version"]: "exported by ctct"},
        "monai_version": MONAI_VERSION,
        "pytorch_version": version("torch").split("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": REQUIRED,
        "name": "Cardiac short-axis segmentation by cross teaching",
        "task": "Segmentation of RV, myocardium and LV in short-axis cardiac cine MRI",
        "description": (
            "A CNN and a Transformer trained together by cross teaching; the mean of their class "
            "probabilities labels every slice at its own resolution."
        ),
        "authors": f"those who trained the model; exported by ctct {metadata['ctct_version']}",
        "copyright": f"license of the weights: {license_}",
        "data_source": metadata.get("training_data") or _UNKNOWN,
        "data_type": "nibabel",
        "image_classes": "raw intensities; the channels are the frames of a cine",
        "pred_classes": ", ".join(f"{value} {name}" for name, value in VALUE.items()),
        "eval_metrics": {f"mean_dice_{name}": score for name, score in dice.items()},
        "intended_use": "research; not a medical device",
        "references": ["Luo et al., MIDL 2022, https://arxiv.org/abs/2112.04894"],
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "modality": "MR",
                    "num_channels": 1,
                    "spatial_shape": _ANY_SIZE,
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {"0": "frame"},
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": 1,
                    "spatial_shape": _ANY_SIZE,
                    "dtype": "uint8",
                    "value_range": [0, max(VALUE.values())],
                    "is_patch_data": False,
                    "channel_def": {str(value): name for name, value in VALUE.items()},
                }
            },
        },
    }


def _to_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
