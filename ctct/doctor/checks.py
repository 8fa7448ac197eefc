"""The checks: one line each, with a remedy where something is missing.

The libraries are imported within the checks: one that is missing or broken is a line, too.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ctct.doctor.self_test import deviations, run_self_test
from ctct.installation import how_to_install, how_to_repair

if TYPE_CHECKING:
    from packaging.requirements import Requirement

#: "missing" is what only some commands need; with an error, ``ctct predict`` does not work.
State = Literal["ok", "missing", "warning", "error"]
#: Extras for work on ctct itself.
_FOR_DEVELOPERS = ("dev", "docs", "test")
#: Extras that have another name now.
_FORMER_NAMES = ("dicom-seg",)
#: A folder with less space than this gets a warning.
MIN_FREE_BYTES = 2**30
#: A self-test that takes longer gets a warning.
MAX_SELF_TEST_S = 10.0


@dataclass(frozen=True)
class Check:
    """What was found on one topic.

    Attributes:
        topic: such as "Python" or "extra dicom".
        state: see :data:`State`.
        found: in words.
        remedy: what to do; empty where there is nothing to do.
    """

    topic: str
    state: State
    found: str
    remedy: str = ""


def examine() -> Iterator[Check]:
    """All checks, the self-test last."""
    for topic, check in CHECKS.items():
        try:
            yield from check()
        except Exception as error:
            found = f"cannot be examined ({type(error).__name__}: {error})"
            yield Check(topic, "error", found, how_to_repair())


def check_versions() -> Iterator[Check]:
    """Python and ctct."""
    yield Check("Python", "ok", f"{platform.python_version()}, {platform.platform()}")
    yield Check("ctct", "ok", f"{version('ctct')}, in {Path(__file__).parents[1]}")


def check_dependencies() -> Iterator[Check]:
    """The packages that every command needs."""
    for requirement in requirements_of(""):
        found = installed(requirement.name)
        if not found:
            yield Check(requirement.name, "error", "not installed", how_to_install())
        elif not requirement.specifier.contains(found, prereleases=True):
            needs = f"{found}, ctct needs {requirement.specifier}"
            yield Check(requirement.name, "warning", needs, how_to_install())
        else:
            yield Check(requirement.name, "ok", found)


def check_conflicts() -> Iterator[Check]:
    """Packages that get in each other's way."""
    if installed("onnxruntime") and installed("onnxruntime-gpu"):
        yield Check(
            "onnxruntime",
            "warning",
            "installed beside onnxruntime-gpu, whose files it overwrites: there may be no GPU",
            "pip uninstall -y onnxruntime onnxruntime-gpu; " + how_to_install("gpu"),
        )


def check_runtimes() -> Iterator[Check]:
    """The installed runtimes, the GPUs, and what ``--runtime auto`` takes."""
    from ctct.errors import CtctError
    from ctct.runtimes.choose import resolve
    from ctct.runtimes.machine import Machine, installed_version

    machine = Machine()
    for name in machine.runtimes:
        yield Check(f"runtime {name}", "ok", installed_version(name))
    yield Check("CUDA GPUs", "ok", str(machine.gpu_count))
    try:
        plan = resolve(machine=machine)
    except CtctError as error:
        yield Check("--runtime auto", "error", str(error))
    else:
        reason = f"{plan.runtime} on {plan.device} ({plan.reason})"
        yield Check("--runtime auto", "ok", reason)
        if machine.gpu_count and plan.device == "cpu":
            yield Check("GPU", "missing", "not used by ctct predict", how_to_install("gpu"))


def check_extras() -> Iterator[Check]:
    """The extras, and which of their packages are missing."""
    for extra in metadata("ctct").get_all("Provides-Extra") or ():
        if extra in (*_FOR_DEVELOPERS, *_FORMER_NAMES):
            continue
        needed = requirements_of(extra)
        missing = [f"{each.name}{each.specifier}" for each in needed if not _satisfied(each)]
        if missing:
            found = f"without {', '.join(missing)}"
            yield Check(f"extra {extra}", "missing", found, how_to_install(extra))
        else:
            yield Check(f"extra {extra}", "ok", ", ".join(each.name for each in needed))


def check_folders() -> Iterator[Check]:
    """Whether the cache and the folder for temporary files can be written to."""
    from ctct.storage import cache_folder

    cache = cache_folder("doctor").parent
    yield _check_folder("cache", cache, "set CTCT_CACHE to a folder of yours")
    temporary = Path(tempfile.gettempdir())
    yield _check_folder("temporary files", temporary, "set TMPDIR to another folder")


def check_self_test() -> Iterator[Check]:
    """Whether the bundled model gives the right numbers here."""
    outcome = run_self_test()
    if "error" in outcome:
        yield Check("self-test", "error", outcome["error"], how_to_repair())
    elif wrong := deviations(outcome["indices"]):
        remedy = f"trust no results of this machine; {how_to_repair()}"
        yield Check("self-test", "error", "; ".join(wrong), remedy)
    else:
        slow = outcome["seconds"] > MAX_SELF_TEST_S
        volume, fraction = (outcome["indices"][name] for name in ("LVEDV (mL)", "LVEF (%)"))
        found = (
            f"EDV {volume:.1f} mL and EF {fraction:.1f} % as expected, "
            f"{outcome['runtime']} on {outcome['device']}, {outcome['seconds']:.1f} s"
        )
        remedy = "other programs may be using the processor" if slow else ""
        yield Check("self-test", "warning" if slow else "ok", found, remedy)


#: Every check, by the topic that it has when it fails itself.
CHECKS: dict[str, Callable[[], Iterator[Check]]] = {
    "versions": check_versions,
    "dependencies": check_dependencies,
    "conflicts": check_conflicts,
    "runtimes": check_runtimes,
    "extras": check_extras,
    "folders": check_folders,
    "self-test": check_self_test,
}


def requirements_of(extra: str) -> list[Requirement]:
    """What an extra brings on this machine, its own extras included; "" is every installation."""
    from packaging.requirements import Requirement

    found: dict[str, Requirement] = {}
    for line in requires("ctct") or ():
        requirement = Requirement(line)
        marker = requirement.marker
        base = marker is None or marker.evaluate({"extra": ""})
        if not (base if not extra else not base and marker and marker.evaluate({"extra": extra})):
            continue
        if requirement.name == "ctct":
            for other in sorted(requirement.extras):
                found |= {each.name: each for each in requirements_of(other)}
        else:
            found[requirement.name] = requirement
    return list(found.values())


def installed(package: str) -> str:
    """The version of an installed package; empty without it."""
    try:
        return version(package) or ""
    except PackageNotFoundError:
        return ""


def _satisfied(requirement: Requirement) -> bool:
    found = installed(requirement.name)
    return bool(found) and requirement.specifier.contains(found, prereleases=True)


def _check_folder(topic: str, folder: Path, remedy: str) -> Check:
    """Whether a file can be written in a folder, and how much space there is."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"ctct")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return Check(topic, "warning", f"{folder} cannot be written to ({reason})", remedy)
    found = f"{folder}, {free / 2**30:.1f} GiB free"
    if free < MIN_FREE_BYTES:
        return Check(topic, "warning", found, f"make room, or {remedy}")
    return Check(topic, "ok", found)
