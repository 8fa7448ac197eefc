"""Names of studies and images in logs, the queue and folders: hashes of their UIDs."""

from __future__ import annotations

import hashlib
from pathlib import Path


def hash_uid(uid: str) -> str:
    """16 hexadecimal digits; the same as ``ctct predict --name-from study`` names a case.

    >>> hash_uid("1.2")
    '77ac319bfe1979e2'
    """
    return hashlib.sha256(uid.encode()).hexdigest()[:16]


def hash_file(path: Path) -> str:
    """32 hexadecimal digits of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:32]
