"""Files in object storage, on the web and in zips by their URLs, through fsspec."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ctct.errors import CtctError, InputError, OutputError, RuntimeUnavailableError
from ctct.installation import how_to_install

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
#: Packages for kinds of storage that the extra does not bring.
_PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs"}
_KNOWN = "s3://, gs://, az://, https:// or zip://"
_TIMES = ("LastModified", "last_modified", "updated", "mtime")
_VERSIONS = ("ETag", "etag", "md5Hash", "content_md5", "CRC")


@dataclass(frozen=True)
class RemoteFile:
    """A file that a listing tells of.

    Attributes:
        path: in its storage.
        below: path below what was listed; "" for the file itself.
        bytes: its size; 0 where not known.
        mtime_ns: when it was written, with a hash of its version in the place of fractions of a
            second; 0 where neither is known.
        md5: of its content; "" where not known.
    """

    path: str
    below: str
    bytes: int
    mtime_ns: int
    md5: str = ""

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.rstrip("/").rpartition("/")[2]


def is_url(place: object) -> bool:
    """Whether a text is a URL and no path."""
    return isinstance(place, str) and bool(_URL.match(place))


def url_below(url: str, below: str) -> str:
    """The URL of what lies below another one, also in a chain as ``zip://a::s3://b/c.zip``.

    >>> url_below("zip://::s3://b/c.zip", "p1/x.nii")
    'zip://p1/x.nii::s3://b/c.zip'
    """
    if not below:
        return url
    head, chain, rest = url.partition("::")
    return f"{head}{'' if head.endswith('/') else '/'}{below}{chain}{rest}"


@contextmanager
def naming(url: str) -> Iterator[None]:
    """Turn errors of a storage into one line that names the URL and the remedy.

    Raises:
        InputError: it is not there, or may not be read.
        OutputError: the disk for what is fetched is full.
        RuntimeUnavailableError: a package is not installed.
    """
    try:
        yield
    except CtctError:
        raise
    except ImportError as error:
        raise RuntimeUnavailableError(f"{url}: {_missing(url)}") from error
    except FileNotFoundError as error:
        raise InputError(f"{url}: no such bucket, folder or file") from error
    except PermissionError as error:
        raise InputError(
            f"{url}: access denied ({_first_line(error)}); check the credentials and their rights"
        ) from error
    except Exception as error:  # each storage has errors of its own
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise OutputError(f"{error.filename or url}: the disk is full", True) from error
        if "Credential" in type(error).__name__:
            raise InputError(
                f"{url}: no credentials; set them up as for the storage's own tools "
                "(AWS_PROFILE, AWS_ACCESS_KEY_ID …)"
            ) from error
        if isinstance(error, ValueError) and "rotocol" in str(error):
            raise InputError(f"{url}: not a URL that can be read; give {_KNOWN}") from error
        raise InputError(f"{url}: cannot be read ({_first_line(error)})") from error


def _missing(url: str) -> str:
    package = _PACKAGES.get(url.partition("://")[0].lower())
    other = f"; pip install {package}" if package else ""
    return f"reading it needs fsspec; {how_to_install('storage')}{other}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def open_storage(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it.

    Raises:
        InputError: there is no such kind of URL.
        RuntimeUnavailableError: its package is not installed.
    """
    with naming(url):
        import fsspec

        system, path = fsspec.core.url_to_fs(url)
        system.invalidate_cache()
        return system, str(path).rstrip("/")


def list_below(url: str) -> tuple[list[RemoteFile], list[str]]:
    """The files that lie directly in a folder, and its folders; a file itself has ``below`` "".

    Raises:
        InputError: there is no such place, or it cannot be read.
        RuntimeUnavailableError: a package is not installed.
    """
    system, root = open_storage(url)
    with naming(url):
        found = [system.info(root)] if _is_page(system, url) else system.ls(root, detail=True)
        files = [_file(e, root) for e in found if e["type"] != "directory"]
        folders = [str(e["name"]).rstrip("/") for e in found if e["type"] == "directory"]
        below = [folder[len(root) :].strip("/") for folder in folders]
        files = [_with_size(system, file) for file in files if file.below or len(found) == 1]
        return sorted(files, key=lambda f: f.below), sorted(filter(None, below))


def list_all(url: str) -> list[RemoteFile]:
    """All files in a folder and below it, or the file itself; see :func:`list_below`."""
    system, root = open_storage(url)
    with naming(url):
        is_file = _is_page(system, url)
        found = [system.info(root)] if is_file else list(system.find(root, detail=True).values())
        files = [_file(entry, root) for entry in found if entry["type"] != "directory"]
        files = [_with_size(system, f) for f in files if f.below or len(files) == 1]
        return sorted(files, key=lambda file: file.below)


def find_file(url: str) -> RemoteFile:
    """The file that a URL is of."""
    system, root = open_storage(url)
    with naming(url):
        return _file(system.info(root), root)


def download(url: str, files: Sequence[RemoteFile], folder: Path) -> list[Path]:
    """Fetch files into a folder, with the times of the listing.

    Args:
        url: of the storage.
        files: as a listing of it has them.
        folder: where they go, under their paths below what was listed.

    Returns:
        Where they are.

    Raises:
        InputError: one is gone, or cannot be read, or has another size.
    """
    system, _ = open_storage(url)
    paths = [folder / (file.below or file.name) for file in files]
    with naming(url):
        for parent in {path.parent for path in paths}:
            parent.mkdir(parents=True, exist_ok=True)
        system.get([file.path for file in files], [str(path) for path in paths])
        for file, path in zip(files, paths, strict=True):
            size = path.stat().st_size
            if file.bytes and size != file.bytes:
                raise InputError(
                    f"{url}: {file.name} has {size} bytes in place of {file.bytes}; it was cut "
                    "short, or written meanwhile"
                )
            os.utime(path, ns=(file.mtime_ns, file.mtime_ns))
    return paths


def _file(entry: dict[str, Any], root: str) -> RemoteFile:
    path = str(entry["name"])
    below = path[len(root) :].strip("/") if path.startswith(root) else path.rpartition("/")[2]
    return RemoteFile(path, below, int(entry.get("size") or 0), _version(entry), _md5(entry))


def _md5(entry: dict[str, Any]) -> str:
    """The MD5 of a file, which S3 gives as its ETag unless it was uploaded in parts."""
    tag = str(entry.get("ETag") or "").strip('"')
    return tag if re.fullmatch(r"[0-9a-f]{32}", tag) else ""


def _is_page(system: Any, url: str) -> bool:
    """Whether a URL of the web is that of a file: those of folders end in a slash."""
    return "http" in getattr(system, "protocol", ()) and not url.partition("::")[0].endswith("/")


def _with_size(system: Any, file: RemoteFile) -> RemoteFile:
    """The file; a listing of a web page tells no sizes, the file itself does."""
    if file.bytes or "http" not in getattr(system, "protocol", ()):
        return file
    entry = system.info(file.path)
    return RemoteFile(file.path, file.below, int(entry.get("size") or 0), _version(entry))


def _version(entry: dict[str, Any]) -> int:
    written = next((entry[name] for name in _TIMES if entry.get(name)), 0)
    if isinstance(written, str):
        written = datetime.fromisoformat(written)
    seconds = written.timestamp() if isinstance(written, datetime) else float(written)
    version = next((str(entry[name]) for name in _VERSIONS if entry.get(name)), "")
    fraction = int(hashlib.sha256(version.encode()).hexdigest()[:12], 16) % 10**9
    return int(seconds) * 10**9 + (fraction if version else 0)
