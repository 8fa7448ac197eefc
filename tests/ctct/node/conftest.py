"""The parts of a node without its threads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytest.importorskip("pydicom")

from ctct.node.audit import Audit
from ctct.node.metrics import Metrics
from ctct.node.queue import Queue
from ctct.node.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "node")


@pytest.fixture
def queue(spool: Spool) -> Queue:
    return Queue(spool.root / "queue.sqlite")


@pytest.fixture
def audit(spool: Spool) -> Audit:
    return Audit(spool.root / "audit")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and certificates of "node" and "sender", for localhost and 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words: object) -> None:
        try:
            subprocess.run(
                ["openssl", *map(str, words)], cwd=folder, check=True, capture_output=True
            )
        except FileNotFoundError:
            pytest.skip("needs openssl")

    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 2)
    openssl(*new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority")
    for name in ("node", "sender"):
        openssl(
            *(*new, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"),
            *("-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
        )
    return folder
