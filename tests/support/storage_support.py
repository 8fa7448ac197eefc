"""A real S3 server on this machine."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class Bucket:
    """A bucket of a server, and what is in it."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name

    def url(self, path: str = "") -> str:
        """The URL of an object or a prefix."""
        return f"s3://{self.name}/{path}".rstrip("/")

    def put(self, folder: Path, prefix: str = "") -> None:
        """Upload all files of a folder."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                key = f"{prefix}{path.relative_to(folder).as_posix()}"
                self.client.put_object(Bucket=self.name, Key=key, Body=path.read_bytes())

    def list_keys(self, prefix: str = "") -> list[str]:
        """The names of all objects."""
        found = self.client.list_objects_v2(Bucket=self.name, Prefix=prefix)
        return [entry["Key"] for entry in found.get("Contents", ())]

    def read(self, key: str) -> bytes:
        """The content of an object."""
        content: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content


@contextmanager
def s3_server(patch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A server with an empty bucket, which the environment names."""
    for package in ("s3fs", "moto.server", "boto3"):
        pytest.importorskip(package, reason="needs the extra storage and moto")
    import boto3
    from moto.server import ThreadedMotoServer

    patch.setenv("AWS_ACCESS_KEY_ID", "someone")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTP_PROXY", "http_proxy"):
        patch.delenv(name, raising=False)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    try:
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        name = f"cohort-{uuid.uuid4().hex[:8]}"
        client.create_bucket(Bucket=name)
        yield Bucket(client, name)
    finally:
        server.stop()
