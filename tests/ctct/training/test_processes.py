"""Processes that torchrun starts, on one node or on two, train as those of ``--devices 2``."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from node_support import free_port
from safetensors.torch import load_file

from ctct.training.processes import is_first_process

#: The first row of metrics.csv is that of step 50.
OPTIONS = (
    *("--device", "cpu", "--precision", "fp32", "--networks", "unet,unet", "--grid-size", "32"),
    *("--batch", "4", "--labelled", "1", "--warm-up", "0", "--validate-every", "50"),
    *("--heart-crop-size", "0"),
)


def start(*command: object) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        **{"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def start_nodes(nodes: int, processes: int, *command: object) -> list[subprocess.Popen[str]]:
    """A torchrun for each node."""
    options = (
        *(f"--nnodes={nodes}", f"--nproc-per-node={processes}", "--master-addr=127.0.0.1"),
        *(f"--master-port={free_port()}", "--rdzv-conf=timeout=60"),
    )
    return [
        start("torch.distributed.run", *options, f"--node-rank={rank}", "-m", "ctct", *command)
        for rank in range(nodes)
    ]


def finish(*processes: subprocess.Popen[str]) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of each."""
    try:
        said = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(processes, said, strict=True)]


def losses(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return [row | {"steps_per_s": ""} for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize(("nodes", "processes"), [(2, 1), (1, 2)])
def test_processes_of_torchrun_are_those_of_devices(
    nodes: int, processes: int, acdc: Path, tmp_path: Path
) -> None:
    command = ("train", acdc, *OPTIONS, "--steps", 100)
    ours, theirs = tmp_path / "torchrun", tmp_path / "devices"
    said = finish(*start_nodes(nodes, processes, *command, "-o", ours))
    ((code, out, err),) = finish(start("ctct", *command, "-o", theirs, "--devices", 2))
    assert [code for code, *_ in said] == [0] * nodes, said[0]
    assert code == 0, err
    assert len(losses(ours)) == 2
    assert losses(ours) == losses(theirs)
    expected = load_file(theirs / "model.safetensors")
    for name, tensor in load_file(ours / "model.safetensors").items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-6, rtol=0, msg=name)
    # One process speaks for all.
    for text, log in ((out, err), ("".join(s[1] for s in said), "".join(s[2] for s in said))):
        assert [line.split(":")[0] for line in text.splitlines()] == [
            f"validation Dice, {name}" for name in ("cnn", "transformer", "ensemble")
        ]
        assert log.count("step 50/100: labelled") == 1
        assert log.count("for validation, on cpu") == 1


@pytest.mark.slow
def test_one_node_that_is_told_to_end_stops_the_run_which_then_continues(
    acdc: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    first, second = start_nodes(2, 1, "train", acdc, *OPTIONS, "--steps", 4000, "-o", run)
    until = time.monotonic() + 120
    while not (run / "model.safetensors").exists() and time.monotonic() < until:
        time.sleep(0.1)
    second.send_signal(signal.SIGTERM)
    said = finish(first, second)
    assert all(code for code, *_ in said)
    assert "stopped at step" in said[0][2]
    step = int(said[0][2].partition("stopped at step ")[2].split()[0])
    assert 50 <= step < 4000
    again = ("train", "--resume", "-o", run, "--device", "cpu", "--steps", step + 10)
    (code, out, err), (code_2, out_2, _) = finish(*start_nodes(2, 1, *again))
    assert (code, code_2, out_2) == (0, 0, ""), err
    assert out.count("validation Dice") == 3


@pytest.mark.parametrize(
    ("variables", "is_first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0"}, True),
        ({"LOCAL_RANK": "1"}, False),
        ({"TORCHELASTIC_RUN_ID": "a", "RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"TORCHELASTIC_RUN_ID": "a", "RANK": "4", "LOCAL_RANK": "0"}, False),
        ({"RANK": "4"}, True),  # somebody else's
    ],
)
def test_one_process_speaks_for_all(
    variables: dict[str, str], is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() is is_first
