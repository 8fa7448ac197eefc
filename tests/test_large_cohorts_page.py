"""The Slurm script and the Kubernetes job of the docs: their form, and run as local processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests_support import write_scan

yaml = pytest.importorskip("yaml", reason="needs the extra docs")
jsonschema = pytest.importorskip("jsonschema")

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "large-cohorts.md"

#: The part of batch/v1 Job that an indexed job needs, as the reference of its API describes it.
JOB: dict[str, Any] = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "batch/v1"},
        "kind": {"const": "Job"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["completionMode", "completions", "template"],
            "properties": {
                "completionMode": {"const": "Indexed"},
                "completions": {"type": "integer", "minimum": 1},
                "parallelism": {"type": "integer", "minimum": 1},
                "backoffLimitPerIndex": {"type": "integer", "minimum": 0},
                "podFailurePolicy": {"type": "object", "required": ["rules"]},
                "template": {
                    "type": "object",
                    "required": ["spec"],
                    "properties": {
                        "spec": {
                            "type": "object",
                            "required": ["restartPolicy", "containers"],
                            "properties": {
                                # backoffLimitPerIndex and podFailurePolicy allow no other.
                                "restartPolicy": {"const": "Never"},
                                "terminationGracePeriodSeconds": {"type": "integer", "minimum": 30},
                                "containers": {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": {"type": "object", "required": ["name", "image"]},
                                },
                            },
                        }
                    },
                },
            },
        },
    },
}


def block(marker: str) -> str:
    found = re.search(rf"<!-- {marker} -->\n```\w+\n(.*?)\n```", PAGE.read_text("utf-8"), re.S)
    assert found
    return found[1] + "\n"


def test_the_kubernetes_job_is_one() -> None:
    job = yaml.safe_load(block("kubernetes"))
    jsonschema.validate(job, JOB)
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert f"/{spec['completions']} " in container["args"][0]  # each shard has its pod
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["template"]["spec"]["volumes"]}


def test_the_slurm_script_is_one() -> None:
    script = block("slurm")
    assert script.startswith("#!/bin/bash\n")
    options = re.findall(r"(?m)^#SBATCH --([a-z-]+)", script)
    assert {"array", "cpus-per-task", "mem", "time", "signal", "requeue"} <= set(options)
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with an index of three scans, and ctct on the path."""
    pytest.importorskip("pyarrow", reason="needs the extra cohort")
    for number in range(3):
        write_scan(tmp_path / "in" / f"c{number}.nii")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "ctct"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ctct "$@"\n')
    command.chmod(0o755)
    assert run(tmp_path, ["ctct", "index", "in", "-o", "cohort.parquet"]).returncode == 0
    return tmp_path


def run(folder: Path, command: list[str], **variables: object) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        **{name: str(value) for name, value in variables.items()},
    }
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def check_whole(folder: Path) -> None:
    assert len(list((folder / "results").glob("*_seg.nii.gz"))) == 3
    done = run(folder, ["ctct", "report", "results", "--parquet"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 measured")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="scripts for a shell")
def test_the_slurm_script_runs(place: Path) -> None:
    (place / "job.sh").write_text(block("slurm"))
    for task in (1, 2):
        numbers = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": 2}
        done = run(place, ["bash", "job.sh"], **numbers)
        assert done.returncode == 0, done.stderr
    assert (place / "2.prom").exists()
    check_whole(place)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="scripts for a shell")
def test_the_kubernetes_job_runs(place: Path) -> None:
    job = yaml.safe_load(block("kubernetes"))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (script,) = container["args"]
    count = job["spec"]["completions"]
    for index in (0, 1):
        command = [*container["command"], script.replace(f"/{count} ", "/2 ")]
        done = run(place, command, JOB_COMPLETION_INDEX=index)
        assert done.returncode == 0, done.stderr
    check_whole(place)
