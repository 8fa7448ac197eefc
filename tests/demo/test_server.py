"""The server as others on the network meet it: slow, strange, or through a proxy."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests_support import write_scan

pytest.importorskip("gradio", reason="needs the extra demo")
pytest.importorskip("bcrypt", reason="needs the extra demo")

import bcrypt
import httpx

from ctct.demo import connections

Connect = Callable[[], socket.socket]


@pytest.fixture
def connect(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Connect to the page's server, whose patience is short."""
    monkeypatch.setattr(connections, "HEADERS_S", 1.0)
    monkeypatch.setattr(connections, "SILENCE_S", 1.0)
    opened = []

    def call() -> socket.socket:
        parts = urlsplit(url)
        opened.append(socket.create_connection((parts.hostname, parts.port), timeout=30))
        return opened[-1]

    yield call
    for one in opened:
        one.close()


def read_all(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: lo"])
def test_a_request_without_all_its_headers_is_ended(connect: Connect, sent: bytes) -> None:
    connection = connect()
    connection.sendall(sent)
    assert read_all(connection) == b""


def test_headers_that_come_one_by_one_are_no_way_around_it(connect: Connect) -> None:
    connection = connect()
    connection.sendall(b"GET / HTTP/1.1\r\n")
    begun = time.monotonic()
    with pytest.raises(OSError):  # a reset or a broken pipe
        while time.monotonic() - begun < 20:
            connection.sendall(b"X-A: b\r\n")
            time.sleep(0.2)


def test_an_upload_that_stops_is_ended_and_leaves_nothing(
    connect: Connect, url: str, stored: Callable[[], list[Path]]
) -> None:
    connection = connect()
    head = (
        "POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
        'Content-Disposition: form-data; name="files"; filename="scan.nii"\r\n\r\n'
    )
    connection.sendall(head.encode() + b"v" * 5000)
    assert b" 408 " in read_all(connection).split(b"\r\n")[0]
    assert stored() == []
    assert httpx.get(url).status_code == 200


def test_every_answer_has_the_headers_of_security(url: str) -> None:
    for path, host in (("", "localhost"), ("config", "localhost"), ("none", "x"), ("", "evil.org")):
        headers = httpx.get(url + path, headers={"Host": host}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert httpx.get(url, headers={"Host": "evil.org"}).status_code == 421


def test_nothing_passes_the_queue_by(url: str) -> None:
    for path in ("run/segment", "api/segment"):
        answer = httpx.post(f"{url}gradio_api/{path}", json={"data": [None, "openvino"]})
        assert answer.status_code == 404


@contextmanager
def running_demo(folder: Path, *arguments: object) -> Iterator[str]:
    """``ctct demo`` in a process of its own; its address."""
    with (folder / "demo.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ctct", "demo", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
        )
    assert process.stdout
    try:
        yield process.stdout.readline().split()[0]
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def nginx(folder: Path, upstream: str, *lines: str) -> Iterator[str]:
    """A proxy that serves ``upstream`` under the path ``/ctct``; the address of that."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        pytest.skip("needs nginx: apt-get install nginx-light")
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"""
        daemon off;
        {"user root;" if os.getuid() == 0 else ""}
        pid {folder}/nginx.pid;
        error_log {folder}/error.log;
        events {{}}
        http {{
          access_log off;
          client_body_temp_path {folder}/body;
          proxy_temp_path {folder}/proxy;
          fastcgi_temp_path {folder}/fastcgi;
          uwsgi_temp_path {folder}/uwsgi;
          scgi_temp_path {folder}/scgi;
          server {{
            listen 127.0.0.1:{port};
            location /ctct/ {{
              proxy_pass {upstream};
              proxy_http_version 1.1;
              proxy_buffering off;
              proxy_read_timeout 1h;
              client_max_body_size 300m;
              proxy_set_header Host $host:$server_port;
              proxy_set_header X-Forwarded-For $remote_addr;
              proxy_set_header X-Forwarded-Proto $scheme;
              {" ".join(lines)}
            }}
          }}
        }}
        """
    )
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        for _ in range(100):
            with closing(socket.socket()) as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://localhost:{port}/ctct/"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_behind_nginx_under_a_path_with_the_user_in_a_header(
    tmp_path: Path, browser: Any, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    from gradio_client import Client, handle_file

    options = ("--root-path", "/ctct", "--trusted-header", "X-Remote-User", "--max-scans", 2)
    with (
        running_demo(tmp_path, "--port", free_port(), *options) as upstream,
        nginx(tmp_path, upstream, "proxy_set_header X-Remote-User anna;") as address,
    ):
        assert httpx.get(upstream).status_code == 403
        page = browser.new_page()
        page.goto(address)
        page.locator("#upload input[type=file]").set_input_files(scan)
        page.get_by_role("link", name="report.html").wait_for(timeout=120_000)
        page.get_by_text("The same from the command line").click()
        assert address in page.locator("#commands").inner_text()
        client = Client(address, verbose=False)
        answer = client.predict(handle_file(scan), api_name="/segment")
        assert answer["name"] == "four frames"
        with pytest.raises(Exception, match="429"):
            client.predict(handle_file(scan), api_name="/segment")
        page.get_by_role("button", name="Small heart").click()
        page.get_by_text("You have had 2 scans in an hour").wait_for(timeout=60_000)
        page.close()


@pytest.mark.slow
def test_a_password_is_asked_for_and_a_program_can_send_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: Any
) -> None:
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    from gradio_client import Client, handle_file

    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(5)).decode()
    (tmp_path / "users").write_text(f"anna:{hashed}\n")
    scan = tmp_path / "cine.nii.gz"
    write_scan(scan, (40, 36, 3, 2))
    with running_demo(tmp_path, "--port", free_port(), "--auth", tmp_path / "users") as url:
        for path in ("", "config", "gradio_api/info", "theme.css", "none"):
            assert httpx.get(url + path).status_code == 401, path
        client = Client(url, verbose=False, httpx_kwargs={"auth": ("anna", "secret")})
        answer = client.predict(handle_file(scan), api_name="/segment")
        assert answer["name"] == "cine"
        context = browser.new_context(http_credentials={"username": "anna", "password": "secret"})
        page = context.new_page()
        page.goto(url)
        page.get_by_role("button", name="Try the sample").click()
        page.get_by_role("link", name="report.html").wait_for(timeout=120_000)
        context.close()
