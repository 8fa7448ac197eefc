"""Who may see the page, and what each may take of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="needs the extra demo")
pytest.importorskip("bcrypt", reason="needs the extra demo")

import bcrypt
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ctct.demo import access
from ctct.demo.access import HostCheck, PasswordFile, TrustedHeader
from ctct.demo.quotas import HourlyQuota, visitor_at
from ctct.demo.settings import LOOPBACK, Quotas, ServerSettings
from ctct.errors import ConfigError

Ask = Callable[..., Any]


def client(*middleware: Middleware, address: str = "127.0.0.1") -> TestClient:
    """A client of an app that answers with the name of the user."""

    def name(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.user.display_name if "user" in request.scope else "-")

    app = Starlette(routes=[Route("/", name)], middleware=list(middleware))
    return TestClient(app, "http://127.0.0.1", client=(address, 5000))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("heart.example.org", 200), ("HEART.example.org:7860", 200), ("localhost:7860", 200)),
        *(("127.0.0.1:7860", 200), ("10.0.0.7", 200), ("[::1]:7860", 200), ("[::1]", 200)),
        *(("evil.example.org", 421), ("heart.example.org.evil", 421), ("", 421)),
        *(("127.0.0.1.evil.org:7860", 421), ("[evil]:80", 421)),
    ],
)
def test_a_host_name_that_is_not_known_is_refused(host: str, status: int) -> None:
    visitor = client(Middleware(HostCheck, hosts=("heart.example.org",)))
    assert visitor.get("/", headers={"Host": host}).status_code == status


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    hashed = bcrypt.hashpw("söcret".encode(), bcrypt.gensalt(4)).decode()
    path = tmp_path / "users"
    path.write_text(f"# those of the ward\nanna:{hashed}\n\nbob:{hashed.replace('$2b$', '$2y$')}\n")
    return path


@pytest.fixture
def visitor(passwords: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(access, "_WRONG_S", 0)
    backend = PasswordFile(passwords)
    return client(Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.refuse))


def test_a_password_opens_the_page(visitor: TestClient) -> None:
    for name in ("anna", "bob"):
        for _ in range(2):  # the second time, without bcrypt
            answer = visitor.get("/", auth=(name, "söcret".encode()))
            assert (answer.status_code, answer.text) == (200, name)


@pytest.mark.parametrize(
    "login", [("anna", "wrong"), ("carl", "söcret"), ("anna", ""), ("", ""), ("anna", "x" * 100)]
)
def test_a_wrong_password_or_name_does_not(visitor: TestClient, login: tuple[str, str]) -> None:
    answer = visitor.get("/", auth=(login[0], login[1].encode()))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!", "Basic YW5uYQ==", "Bearer x", "Basic /w=="]
)
def test_a_header_of_another_form_does_not(visitor: TestClient, header: str) -> None:
    assert visitor.get("/", headers={"Authorization": header}).status_code == 401


@pytest.mark.parametrize("content", ["", "anna\n", "anna:plain\n", "anna:$apr1$a$b\n", ":x\n"])
def test_a_file_of_another_form_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "users"
    path.write_text(content)
    with pytest.raises(ConfigError, match="htpasswd -B"):
        PasswordFile(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        PasswordFile(tmp_path / "none")


def test_a_file_made_by_htpasswd_is_taken(tmp_path: Path) -> None:
    try:
        made = ["htpasswd", "-nbB", "anna", "secret"]
        line = subprocess.run(made, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("needs htpasswd: apt-get install apache2-utils")
    (tmp_path / "users").write_text(line)
    assert PasswordFile(tmp_path / "users")._matches("anna", b"secret")


@pytest.mark.parametrize(
    ("address", "sent", "status", "who"),
    [
        ("127.0.0.1", {"X-Remote-User": "anna"}, 200, "anna"),
        ("127.0.0.1", {}, 403, ""),
        ("127.0.0.1", {"X-Remote-User": " "}, 403, ""),
        ("127.0.0.1", [("X-Remote-User", "anna"), ("X-Remote-User", "bob")], 403, ""),
        ("10.0.0.9", {"X-Remote-User": "anna"}, 403, ""),
        ("10.0.0.9", {"X-Remote-User": "anna", "X-Forwarded-For": "127.0.0.1"}, 403, ""),
    ],
)
def test_the_name_in_a_header_counts_if_a_proxy_sends_it(
    address: str, sent: Any, status: int, who: str
) -> None:
    backend = TrustedHeader("X-Remote-User", LOOPBACK)
    user = Middleware(AuthenticationMiddleware, backend=backend, on_error=backend.refuse)
    answer = client(user, address=address).get("/", headers=sent)
    assert answer.status_code == status
    assert answer.text == who or status == 403


def test_scans_have_an_hourly_limit_for_each_visitor_and_in_sum() -> None:
    now = [0.0]
    quota = HourlyQuota(Quotas(hourly=2, hourly_in_sum=3), lambda: now[0])
    assert [quota.take("anna"), quota.take("anna")] == ["", ""]
    now[0] = 600
    assert quota.take("anna") == "You have had 2 scans in an hour; come back in 50 minutes"
    assert quota.take("bob") == ""
    assert quota.take("carl").startswith("All visitors have had 3 scans in an hour")
    now[0] = 3600
    assert quota.take("anna") == ""


def test_whom_an_address_stands_for() -> None:
    assert visitor_at("10.0.0.7") != visitor_at("10.0.0.8")
    assert visitor_at("2001:db8::1") == visitor_at("2001:db8::2:1")
    assert visitor_at("2001:db8::1") != visitor_at("2001:db8:0:1::1")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"root_path": "ctct"}, "--root-path ctct: give a path"),
        ({"root_path": "/a b"}, "give a path such as /ctct"),
        ({"trusted_header": "X User"}, "give the name of a header"),
        ({"trusted_header": "X-User", "passwords": Path("users")}, "exclude each other"),
        ({"proxies": ("proxy",)}, "--proxy: 'proxy' does not appear"),
    ],
)
def test_settings_that_make_no_sense_are_an_error(settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ServerSettings(**settings)
