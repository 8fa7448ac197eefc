"""The page that needs no server of ctct: it runs the model in the browser.

esbuild bundles the sources in ``browser`` with the packages of its ``package.json``, which npm
fetches once into a folder of the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ctct.demo.editing import table_columns
from ctct.demo.samples import FIRST, sample_file
from ctct.errors import ConfigError, ModelError, RuntimeUnavailableError
from ctct.measurement.predicted_dice import MODELS
from ctct.measurement.rv_base import MODEL
from ctct.model_files.model_file import ModelFile, find_model
from ctct.storage import cache_folder, prepare_folder, write_atomic

SCRIPTS = ("page", "worker", "runner_wasm", "runner_webgpu")
#: ONNX Runtime for each script that runs the networks.
RUNTIMES = {
    "wasm": "ort-wasm-simd-threaded.wasm",
    "webgpu": "ort-wasm-simd-threaded.asyncify.wasm",
}
#: Packages whose code is part of the page.
BUNDLED = ("onnxruntime-web", "fflate", "dicom-parser")

_MAX_INSTALL_S, _MAX_BUNDLE_S = 900, 120
_ESBUILD = Path("esbuild", "bin", "esbuild")
#: Modules that ONNX Runtime imports where it does not run in a browser.
_ONLY_IN_NODE = ("fs", "module", "path", "worker_threads")


def write_static_page(
    folder: Path, model: str | Path = "default", node_modules: Path | None = None
) -> None:
    """Write all files of the page into a folder.

    Args:
        folder: made if it is missing; files of the same names are replaced.
        model: an ``.onnx`` file or "default"; the file for heart crops beside it is used, too.
        node_modules: folder of the npm packages; None to have npm fetch them once.

    Raises:
        ConfigError: ``node_modules`` lacks a package, or has another version.
        ModelError: the model is missing, or is no ONNX file.
        RuntimeUnavailableError: Node.js or npm is missing, or npm cannot fetch the packages.
    """
    found = find_model(model)
    if not found.is_onnx:
        raise ModelError(f"{found.path}: browsers run ONNX files only; give one, or 'default'")
    packages = fetch_packages() if node_modules is None else node_modules
    check_packages(packages)
    prepare_folder(folder)
    with resources.as_file(resources.files("ctct.demo")) as package:
        sources, tools = package / "browser", package / "templates" / "tools.css"
        bundle([sources / "src" / f"{name}.js" for name in SCRIPTS], packages, folder)
        for path in (*(sources / n for n in ("index.html", "page.css")), tools):
            shutil.copyfile(path, folder / path.name)
    models = {"whole": found} | ({"heart": found.heart_crop} if found.heart_crop else {})
    for part in models.values():
        shutil.copyfile(part.path, folder / part.path.name)
    for name in RUNTIMES.values():
        shutil.copyfile(packages / "onnxruntime-web" / "dist" / name, folder / name)
    write_atomic(folder / "LICENSES.txt", _licenses(packages).encode())
    write_atomic(folder / "sample.nii.gz", sample_file(FIRST)[1])
    write_atomic(folder / "manifest.json", json.dumps(_manifest(folder, models)).encode())


def package_versions() -> dict[str, str]:
    """The expected version of every npm package."""
    return dict(_read_package()["dependencies"]) | dict(_read_package()["devDependencies"])


def check_packages(node_modules: Path) -> None:
    """Check that a folder has the expected packages.

    Raises:
        ConfigError: one is missing or has another version.
    """
    for name in (*BUNDLED, "esbuild"):
        expected = package_versions()[name]
        try:
            content = json.loads((node_modules / name / "package.json").read_text("utf-8"))
        except (OSError, ValueError):
            content = {}
        if content.get("version") != expected:
            raise ConfigError(
                f"{node_modules}: {name} {expected} is expected, found "
                f"{content.get('version', 'none')}; run npm install --ignore-scripts in a folder "
                f"with {resources.files('ctct.demo') / 'browser' / 'package.json'} and give its "
                "node_modules"
            )


def fetch_packages() -> Path:
    """The folder of the npm packages, which npm fetches if they are not there yet.

    Raises:
        RuntimeUnavailableError: npm is missing or fails.
    """
    content = json.dumps(_read_package())
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    folder = cache_folder("browser") / digest
    packages = folder / "node_modules"
    try:
        check_packages(packages)
        return packages
    except ConfigError:
        prepare_folder(folder)
    write_atomic(folder / "package.json", content.encode())
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")
    remedy = (
        "install Node.js with npm and go online once, or copy the packages from a machine that "
        "has them and give --node-modules"
    )
    _run("npm", ["install", *options], folder, _MAX_INSTALL_S, remedy)
    return packages


def bundle(scripts: Sequence[Path], packages: Path, folder: Path) -> None:
    """Write each script, with all that it imports, as a file of the same name into a folder.

    Raises:
        RuntimeUnavailableError: Node.js is missing or fails.
    """
    arguments = [
        str((packages / _ESBUILD).resolve()),
        *map(str, scripts),
        *("--bundle", "--minify", "--format=esm", "--target=es2022", "--legal-comments=none"),
        *("--log-level=error", f"--outdir={folder.resolve()}"),
        *(f"--external:{name}" for name in _ONLY_IN_NODE),
    ]
    environment = {"NODE_PATH": str(packages.resolve())}
    _run("node", arguments, folder, _MAX_BUNDLE_S, "install Node.js 18 or later", environment)


def _run(
    program: str,
    arguments: list[str],
    folder: Path,
    max_s: float,
    remedy: str,
    environment: dict[str, str] | None = None,
) -> None:
    """Run a program; its last words are in the error if it fails."""
    path = shutil.which(program)
    if path is None:
        raise RuntimeUnavailableError(
            f"ctct demo --static needs {program}, which is not here; {remedy}"
        )
    try:
        subprocess.run(
            [path, *arguments],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            check=True,
            capture_output=True,
            text=True,
            timeout=max_s,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip()[-500:]
        raise RuntimeUnavailableError(f"{program} failed; {remedy}\n{said}") from error


def _manifest(folder: Path, models: dict[str, ModelFile]) -> dict[str, Any]:
    """What the page fetches, with sizes and digests; grids of the graphs, the fitted rules."""

    def entry(name: str) -> dict[str, Any]:
        content = (folder / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        return {"path": name, "bytes": len(content), "sha256": digest}

    runtimes = {name: entry(file) for name, file in RUNTIMES.items()}
    parts = {
        name: {"file": entry(model.path.name), "grid": model.description["grid"]}
        for name, model in models.items()
    }
    files = [*runtimes.values(), *(part["file"] for part in parts.values())]
    dice_models = {structure: asdict(model) for structure, model in MODELS.items()}
    return {
        "files": files,
        "models": parts,
        "runtimes": runtimes,
        "diceModels": dice_models,
        "baseModel": asdict(MODEL),
        "version": version("ctct"),
        "tables": table_columns(),
    }


def _licenses(packages: Path) -> str:
    """The names, versions and licence texts of the bundled packages."""
    texts = []
    for name in BUNDLED:
        files = sorted((packages / name).glob("LICEN[CS]E*"))
        described = json.loads((packages / name / "package.json").read_text("utf-8"))
        head = f"{name} {described['version']}, {described.get('license', '')}"
        texts += [head, "\n".join(file.read_text("utf-8", "replace") for file in files), ""]
    return "\n".join(texts)


def _read_package() -> dict[str, Any]:
    path = resources.files("ctct.demo") / "browser" / "package.json"
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content
