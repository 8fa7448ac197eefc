"""Files that hosts and tools read: citation, model card, recipe, issue forms, workflows."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from ctct.weights import __file__ as weights

yaml = pytest.importorskip("yaml", reason="needs PyYAML, which the extra dev brings")

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
MODEL_CARD = Path(weights).parent / "MODEL_CARD.md"
#: Names of conda-forge that differ from those of PyPI.
CONDA_NAMES = {"isal": "python-isal"}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def test_the_citation_is_of_this_version() -> None:
    citation = load(ROOT / "CITATION.cff")
    assert citation["version"] == PROJECT["version"]
    assert citation["authors"] == PROJECT["authors"]


def test_the_model_card_begins_with_metadata() -> None:
    _, header, text = MODEL_CARD.read_text("utf-8").split("---\n", 2)
    card = yaml.safe_load(header)
    assert card["license"].upper() in PROJECT["license"]
    (result,) = card["model-index"][0]["results"]
    assert f"**{result['metrics'][0]['value']}**" in text


def test_hugging_face_reads_the_model_card() -> None:
    hub = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub, a part of timm")
    data = hub.ModelCard.load(MODEL_CARD).data  # a file, so nothing is fetched
    assert (data.library_name, data.pipeline_tag) == ("ctct", "image-segmentation")
    assert "cardiac-mri" in data.tags
    (result,) = data.eval_results
    assert (data.model_name, result.dataset_type, result.metric_type) == (
        "ctct-acdc",
        "acdc",
        "dice",
    )
    assert 0.9 < result.metric_value < 1


def split_bound(requirement: str) -> tuple[str, str]:
    """Name and version bound of a requirement, as in "numpy>=1.26" or "numpy >=1.26"."""
    name, sign, bound = requirement.partition(">=")
    return name.strip(), sign + bound


def test_the_recipe_of_conda_has_the_dependencies_of_the_package() -> None:
    recipe = load(ROOT / "conda" / "recipe.yaml")
    run = dict(map(split_bound, recipe["requirements"]["run"]))
    assert run.pop("python") == ">=${{ python_min }}"
    expected = dict(map(split_bound, PROJECT["dependencies"]))
    assert run == {CONDA_NAMES.get(name, name): bound for name, bound in expected.items()}
    context = recipe["context"]
    assert context["version"] == PROJECT["version"]
    assert f">={context['python_min']}" == PROJECT["requires-python"]


def test_the_recipe_of_conda_builds_the_same_package() -> None:
    recipe = load(ROOT / "conda" / "recipe.yaml")
    backend, bound = split_bound(PYPROJECT["build-system"]["requires"][0])
    assert recipe["requirements"]["host"][-1] == f"{backend} {bound}"
    entry_points = [f"{name} = {target}" for name, target in PROJECT["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == entry_points
    about = recipe["about"]
    assert (about["license"], about["license_file"]) == (
        PROJECT["license"],
        PROJECT["license-files"],
    )
    assert about["summary"] == PROJECT["description"]


@pytest.mark.parametrize("name", ["bug.yml", "idea.yml"])
def test_issue_forms_have_fields_with_names_of_their_own(name: str) -> None:
    fields = [f for f in load(FORMS / name)["body"] if f["type"] != "markdown"]
    names = [field["id"] for field in fields]
    assert names
    assert len(set(names)) == len(names)


def test_the_workflow_runs_what_a_change_must_pass() -> None:
    jobs = load(ROOT / ".github" / "workflows" / "checks.yml")["jobs"]
    assert {"run": ".ci/run"} in jobs["everything"]["steps"]
    assert all("timeout-minutes" in job for job in jobs.values())
