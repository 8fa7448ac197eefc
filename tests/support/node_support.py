"""A node, an Orthanc and dcmtk's tools as processes of their own, on free ports of loopback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_support import image, save

from ctct.synthetic import synthetic_cine

ORTHANC = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(condition: Callable[[], Any], seconds: float = 60, what: str = "") -> Any:
    """The first true value of ``condition``; the test fails where none comes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"did not happen within {seconds} s: {what or condition}")


def heart(study: str, phases: int = 6, places: int = 5, **changes: Any) -> list[Any]:
    """The images of a synthetic heart as one DICOM series, in which ctct finds the heart."""
    cine, _ = synthetic_cine(seed=0, frames=phases, slices=places)
    images = []
    for t in range(phases):
        for z in range(places):
            one = image(t, z, series=f"{study}.1", StudyInstanceUID=study, **changes)
            pixels = np.clip(cine.voxels[t, z], 0, 30000).astype(np.int16)
            one.Rows, one.Columns = pixels.shape
            one.PixelData = pixels.tobytes()
            one.PixelSpacing = [f"{mm:.4f}" for mm in cine.spacing_mm]
            one.FrameOfReferenceUID = f"{study}.2"
            one.SOPInstanceUID = f"{study}.1.{t * places + z + 1}"
            one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
            one.PatientBirthDate, one.PatientSex = "19501231", "F"
            one.AccessionNumber, one.ReferringPhysicianName = "", ""
            images.append(one)
    return images


def write_heart(folder: Path, study: str, phases: int = 6, places: int = 5, **changes: Any) -> Path:
    """A folder with the files of :func:`heart`."""
    for number, one in enumerate(heart(study, phases, places, **changes)):
        save(one, folder / f"IM{number:04}.dcm")
    return folder


def said(command: list[str]) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout


@cache
def dcmtk_tool(name: str) -> str:
    """Path of a program of dcmtk; pynetdicom installs others of the same names."""
    for folder in os.get_exec_path():
        tool = shutil.which(name, path=folder)
        if tool and "dcmtk" in said([tool, "--version"]):
            return tool
    pytest.skip(f"needs {name} of dcmtk: apt-get install dcmtk")


def storescu(
    folder: Path, port: int, *options: str, called: str = "CTCT", calling: str = "SENDER"
) -> subprocess.CompletedProcess[str]:
    """Send all files of a folder by dcmtk's storescu."""
    tool = dcmtk_tool("storescu")
    return subprocess.run(
        [
            *(tool, "-aet", calling, "-aec", called, *options, "+sd", "+r"),
            *("127.0.0.1", str(port), str(folder)),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )


@dataclass
class Orthanc:
    """An archive that runs.

    Attributes:
        dicom_port: for C-STORE; its AE title is ORTHANC.
        http_port: for its own interface and for DICOMweb.
    """

    dicom_port: int
    http_port: int

    @property
    def web(self) -> str:
        """URL of its DICOMweb service."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def ask(self, path: str, body: Any = None) -> Any:
        """GET, or POST where there is a body; the answer's JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def instances(self, modality: str = "") -> list[dict[str, str]]:
        """Study, series and instance UIDs and modality of all instances of a modality."""
        query = {"Level": "Instance", "Expand": True, "Query": {}}
        found = []
        for series in self.ask("/tools/find", query | {"Level": "Series"}):
            tags = series["MainDicomTags"]
            if modality and tags["Modality"] != modality:
                continue
            study = self.ask(f"/studies/{series['ParentStudy']}")["MainDicomTags"]
            found += [
                {
                    "study": study["StudyInstanceUID"],
                    "modality": tags["Modality"],
                    "series": tags["SeriesInstanceUID"],
                    "instance": instance,
                }
                for instance in series["Instances"]
            ]
        return found


@contextmanager
def orthanc(folder: Path, node_port: int | None = None, **settings: Any) -> Iterator[Orthanc]:
    """An Orthanc with its data in ``folder``, which knows a node on a port as "ctct"."""
    if not Path(ORTHANC).exists() or not PLUGIN.exists():
        pytest.skip("needs orthanc and orthanc-dicomweb")
    archive = Orthanc(free_port(), free_port())
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": "ORTHANC",
        "DicomPort": archive.dicom_port,
        "HttpPort": archive.http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "ConcurrentJobs": 1,
        "MaximumStorageSize": 1000,
        "Plugins": [str(PLUGIN)],
        "DicomModalities": {"ctct": ["CTCT", "127.0.0.1", node_port]} if node_port else {},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    } | settings
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen(
            [ORTHANC, str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder
        )
    try:
        wait_for(lambda: _answers(archive) or process.poll() is not None, 30, "Orthanc answers")
        assert process.poll() is None, (folder / "orthanc.log").read_text()[-2000:]
        yield archive
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(archive: Orthanc) -> bool:
    try:
        return bool(archive.ask("/system"))
    except (OSError, urllib.error.URLError):
        return False


@dataclass
class NodeProcess:
    """``ctct node`` or ``ctct watch`` in a process of its own, which can be killed.

    Attributes:
        folder: the node's.
        arguments: of the command line.
        port: for C-STORE.
        status_port: for /health and /metrics.
        log: file with what it printed, of all starts.
    """

    folder: Path
    arguments: Sequence[object]
    log: Path
    port: int = 0
    status_port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it and wait until it can be used."""
        stream = self.log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ctct", *map(str, self.arguments)],
            stdout=stream,
            stderr=stream,
            cwd=self.folder.parent,
            env=os.environ | {"PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"},
        )
        wait_for(lambda: self.is_healthy() or self.has_ended, 600, "the node is healthy")
        assert not self.has_ended, self.log.read_text()[-3000:]

    @property
    def has_ended(self) -> bool:
        """Whether the process is no more."""
        return self.process is not None and self.process.poll() is not None

    def ask(self, path: str) -> tuple[int, str]:
        """Status and content of a page of the node; 0 while there is none."""
        try:
            url = f"http://127.0.0.1:{self.status_port}{path}"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def is_healthy(self) -> bool:
        """Whether /health says so."""
        return self.ask("/health")[0] == 200

    def metric(self, name: str) -> float:
        """The value of a line of /metrics; 0 where it has none."""
        for line in self.ask("/metrics")[1].splitlines():
            if line.startswith(f"ctct_node_{name} "):
                return float(line.split()[-1])
        return 0

    def count(self, state: str) -> int:
        """How many studies are in a state."""
        return int(self.metric(f'queued_studies{{state="{state}"}}'))

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ask it to end."""
        if self.process and not self.has_ended:
            self.process.terminate()
            self.process.wait(timeout=60)


@contextmanager
def running_node(folder: Path, *arguments: object, port: int = 0) -> Iterator[NodeProcess]:
    """``ctct node`` with its data in ``folder`` and a short quiet time, started."""
    port, status_port = port or free_port(), free_port()
    command = ["node", folder, "--port", port, "--status-port", status_port, "--quiet", 1]
    node = NodeProcess(
        folder, [*command, *arguments], folder.with_suffix(".log"), port, status_port
    )
    try:
        node.start()
        yield node
    finally:
        node.stop()
