"""The container: every step of its Dockerfile runs, and the commands of compose.yaml work in it.

There need be no builder: the steps run in a copy of this machine's root folder that is thrown away
(an overlay, in a mount namespace). Unlike an image, it has the Python and the libraries of this
machine.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
#: What a step may be, and what each leaves for those after it.
STEPS = (
    "ARG",
    "FROM",
    "WORKDIR",
    "COPY",
    "RUN",
    "ENV",
    "VOLUME",
    "USER",
    "HEALTHCHECK",
    "ENTRYPOINT",
    "CMD",
)


def read_steps(text: str) -> list[tuple[str, str]]:
    """Name and content of each step of a Dockerfile."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(step, rest.strip()) for step, _, rest in (line.partition(" ") for line in whole)]


DOCKERFILE = read_steps((ROOT / "Dockerfile").read_text())


def commands_of_ctct() -> Iterator[list[str]]:
    for service in COMPOSE["services"].values():
        if service["image"] == "ctct":
            yield service["command"]


def options_of(command: str) -> set[str]:
    from ctct.cli.commands import load_command

    return {name for p in load_command(command).params for name in (*p.opts, *p.secondary_opts)}


def test_every_option_in_compose_yaml_exists() -> None:
    for command, *words in commands_of_ctct():
        used = {word for word in words if word.startswith("-")}
        assert used <= options_of(command), command
        assert used


def test_services_have_no_more_rights_than_they_need() -> None:
    for name in ("node", "demo"):
        service = COMPOSE["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
    for service in COMPOSE["services"].values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), port
    assert ("USER", "ctct") in DOCKERFILE


def test_files_and_volumes_in_compose_yaml_exist() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            exists = (
                (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
            )
            assert exists, volume


def test_the_archive_in_compose_yaml_knows_the_node() -> None:
    settings = json.loads((ROOT / "containers" / "orthanc.json").read_text())
    title, host, port = settings["DicomModalities"]["ctct"]
    node = COMPOSE["services"]["node"]["command"]
    assert (title, host, port) == ("CTCT", "node", 11112)  # the node's defaults, its service
    assert settings["DicomAet"] == node[node.index("--allow-ae") + 1]
    to = f"{settings['DicomAet']}@orthanc:{settings['DicomPort']}"
    assert node[node.index("--send-to") + 1] == to


def test_the_build_has_all_that_the_wheel_is_made_of() -> None:
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    recipe = (ROOT / "containers" / "ctct.def").read_text()
    copied = set(re.findall(r"^    (\S+) /src/\1$", recipe, re.MULTILINE))
    assert (
        kept
        == copied
        == {"cli", "ctct", "demo", "exporters", "LICENSE", "pyproject.toml", "README.md"}
    )
    assert {step for step, _ in DOCKERFILE} <= set(STEPS)


#: Opens the folders of this machine's Python to all users, as they are in an image.
OPEN_PYTHON = """
folder=$(python3 -c "import sys; print(sys.base_prefix)")
while [ "$folder" != / ]; do chmod a+rx "$folder"; folder=$(dirname "$folder"); done
"""

#: Makes an overlay of this machine's root folder in $1, and keeps it until its input ends.
OVERLAY = """
set -e
mount -t tmpfs -o size=12g tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
echo ready
cat
"""


class Machine:
    """A copy of this machine whose changes are thrown away."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.environment = {"PATH": os.environ["PATH"]}
        pip = {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
        self.environment |= pip
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", OVERLAY, "sh", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout and self._process.stderr
        if self._process.stdout.readline() != "ready\n":
            self.close()
            pytest.skip(f"needs root and overlays: {self._process.stderr.read().strip()}")

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)

    def enter(self, *words: str, inside: bool = True) -> list[str]:
        """The command that runs another one there."""
        enter = ["nsenter", f"--mount=/proc/{self._process.pid}/ns/mnt"]
        environment = [f"{name}={value}" for name, value in self.environment.items()]
        return [
            *enter,
            *(["chroot", str(self.root), "env", "-i", *environment] if inside else []),
            *words,
        ]

    def run(self, *words: str, inside: bool = True) -> str:
        done = subprocess.run(self.enter(*words, inside=inside), capture_output=True, text=True)
        assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    def build(self, steps: list[tuple[str, str]], source: Path) -> None:
        """Run the steps of a Dockerfile, all stages in one place."""
        folder = "/"
        for step, rest in steps:
            if step == "ARG":
                name, _, value = rest.partition("=")
                self.environment[name] = value
            elif step == "ENV":
                for name, _, value in (word.partition("=") for word in shlex.split(rest)):
                    self.environment[name] = value.replace("$PATH", self.environment["PATH"])
            elif step == "WORKDIR":
                folder = rest
                self.run("mkdir", "-p", folder)
            elif step == "COPY" and rest == ". .":
                self.run("cp", "-r", f"{source}/.", f"{self.root}{folder}", inside=False)
            elif step == "RUN":
                self.run("sh", "-c", f"cd {folder} && {rest}")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which all steps of the Dockerfile have run, and whose root is read-only."""
    for program in ("unshare", "nsenter", "setpriv"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program} of util-linux")
    source = tmp_path_factory.mktemp("source")
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line[:1] == "!":
            path = ROOT / line[1:]
            (shutil.copytree if path.is_dir() else shutil.copy)(path, source / line[1:])
    one = Machine(tmp_path_factory.mktemp("machine"))
    try:
        one.run("rm", "-rf", "/tmp/pip", "/src", "/wheels", "/opt/ctct", "/data")
        one.build(DOCKERFILE, source)
        one.run("sh", "-c", OPEN_PYTHON)
        for folder in ("/tmp", "/data"):
            one.run("mount", "-t", "tmpfs", "tmpfs", f"{one.root}{folder}", inside=False)
        one.run("chown", "ctct:ctct", "/data")
        one.run("chmod", "1777", "/tmp")
        one.run("mount", "-o", "remount,ro", str(one.root), inside=False)
        yield one
    finally:
        one.close()


def as_user(machine: Machine, *words: str) -> list[str]:
    """A command as the user of the image, without capabilities."""
    rights = ("--reuid=ctct", "--regid=ctct", "--clear-groups", "--no-new-privs")
    return machine.enter("setpriv", *rights, "--bounding-set=-all", "--inh-caps=-all", *words)


def runs(machine: Machine, check: list[str], command: list[str], seconds: float = 240) -> str:
    """What a service of compose.yaml prints until its health check passes."""
    log = Path(f"/tmp/ctct-container-{os.getpid()}.log")
    with log.open("w") as stream:
        process = subprocess.Popen(as_user(machine, "ctct", *command), stdout=stream, stderr=stream)
    try:
        end = time.monotonic() + seconds
        while subprocess.run(as_user(machine, *check), capture_output=True).returncode:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(1)
        return log.read_text()
    finally:
        process.terminate()
        process.wait(60)
        log.unlink()


@pytest.mark.slow
def test_the_image_segments_and_nothing_else_can_be_written(machine: Machine) -> None:
    for command in (
        ["sample", "/data/sample", "--frames", "2"],
        ["predict", "/data/sample", "-o", "/data/out"],
    ):
        done = subprocess.run(as_user(machine, "ctct", *command), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    for folder in ("/", "/opt/ctct", "/usr", "/etc"):
        done = subprocess.run(as_user(machine, "touch", f"{folder}/x"), capture_output=True)
        assert done.returncode != 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["node", "demo"])
def test_a_service_of_compose_yaml_becomes_healthy(machine: Machine, name: str) -> None:
    service: dict[str, Any] = COMPOSE["services"][name]
    (check,) = (rest for step, rest in DOCKERFILE if step == "HEALTHCHECK")
    words = json.loads(check[check.index("[") :])
    if "healthcheck" in service:
        words = service["healthcheck"]["test"][1:]
    assert words[0] == "python3"
    printed = runs(machine, words, service["command"])
    assert "Traceback" not in printed


@pytest.mark.slow
def test_the_archive_of_compose_yaml_sends_a_cine_and_gets_results(tmp_path: Path) -> None:
    node_support = pytest.importorskip("node_support")
    port = node_support.free_port()
    settings = json.loads((ROOT / "containers" / "orthanc.json").read_text())
    title, _, _ = settings["DicomModalities"]["ctct"]
    own = {"DicomModalities": {"ctct": [title, "127.0.0.1", port]}}
    own |= {"LuaScripts": [str(ROOT / "containers" / "orthanc.lua")], "StableAge": 2}
    with node_support.orthanc(tmp_path / "orthanc", **own) as archive:
        to = f"{settings['DicomAet']}@127.0.0.1:{archive.dicom_port}"
        options = ("--send-to", to, "--allow-ae", settings["DicomAet"])
        with node_support.running_node(tmp_path / "node", *options, port=port):
            cine = node_support.write_heart(tmp_path / "cine", "1.2.840.70")
            assert node_support.storescu(cine, archive.dicom_port, called="ORTHANC").returncode == 0
            node_support.wait_for(lambda: len(archive.instances("SEG")) == 6, 900)
