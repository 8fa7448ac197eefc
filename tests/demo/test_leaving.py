"""Nothing stays on the server of a visitor who leaves, at whatever moment."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="needs the extra demo")

from ctct.demo import uploads
from ctct.demo.settings import Quotas
from ctct.demo.worker import Worker

Visit = Callable[..., Any]
Stored = Callable[[], list[Path]]


def upload(page: Any, path: Path) -> None:
    page.locator("#upload input[type=file]").set_input_files(path)


def wait_for(is_so: Callable[[], bool], page: Any = None, seconds: float = 20) -> bool:
    """Whether something comes true in time; a page's events go on meanwhile."""
    end = time.monotonic() + seconds
    while not (found := is_so()) and time.monotonic() < end:
        if page:
            page.wait_for_timeout(50)
        else:
            time.sleep(0.05)
    return found


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "ABANDONED_S", 2)


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The server reads nothing until this event is set."""
    free, run = threading.Event(), Worker.run

    def run_later(*arguments: Any, **options: Any) -> Iterator[Any]:
        free.wait(60)
        yield from run(*arguments, **options)

    monkeypatch.setattr(Worker, "run", run_later)
    yield free
    free.set()


@pytest.mark.parametrize("after_ms", [0, 100, 300])
def test_a_tab_is_closed_just_after_the_upload(
    after_ms: int, visit: Visit, stored: Stored, scan: Path, busy: threading.Event
) -> None:
    page = visit()
    upload(page, scan)
    page.wait_for_timeout(after_ms)
    page.close()
    busy.set()
    time.sleep(1)
    assert wait_for(lambda: not stored())


@pytest.mark.parametrize("leave", ["close", "reload"])
def test_a_tab_is_closed_or_reloaded_in_the_queue(
    leave: str, visit: Visit, stored: Stored, scan: Path, busy: threading.Event
) -> None:
    first, second = visit(), visit()
    upload(first, scan)
    assert wait_for(lambda: len(stored()) == 1, first)
    mine = scan.rename(scan.with_name("mine.nii.gz"))
    upload(second, mine)
    assert wait_for(lambda: "mine.nii.gz" in {path.name for path in stored()}, second)
    second.wait_for_timeout(300)  # until it is in the queue
    getattr(second, leave)()
    assert wait_for(lambda: [path.name for path in stored()] == [scan.name], first)
    busy.set()
    first.get_by_role("link", name="report.html").wait_for()
    assert stored() == []


def test_a_sample_is_reloaded_at_once(visit: Visit, stored: Stored) -> None:
    page = visit()
    page.get_by_role("button", name="Try the sample").click()
    page.reload()
    page.wait_for_timeout(500)
    assert wait_for(lambda: not stored(), page)


def test_a_second_tab_of_a_visitor_keeps_its_scan(
    visit: Visit, stored: Stored, scan: Path, busy: threading.Event
) -> None:
    first = visit()
    upload(first, scan)
    assert wait_for(lambda: len(stored()) == 1, first)
    second = first.context.new_page()
    second.goto(first.url)
    second.get_by_role("button", name="Small heart").click()
    assert wait_for(lambda: len(stored()) == 2, second)
    second.close()
    assert wait_for(lambda: [path.name for path in stored()] == [scan.name], first)
    busy.set()
    first.get_by_role("link", name="report.html").wait_for()
    assert first.locator("#answers h2").inner_text().startswith("four frames")


def test_the_page_says_why_an_upload_is_refused(
    visit: Visit, stored: Stored, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_stored", lambda *_: Counter({"others": Quotas().bytes_in_sum}))
    page = visit()
    upload(page, scan)
    page.get_by_text("too many scans wait here").wait_for()
    assert stored() == []


def test_an_upload_waits_as_long_as_its_client_does(
    visit: Visit, stored: Stored, scan: Path, url: str, busy: threading.Event
) -> None:
    httpx = pytest.importorskip("httpx")
    first = visit()
    upload(first, scan)
    assert wait_for(lambda: len(stored()) == 1, first)
    with httpx.Client(timeout=60) as client:
        client.get(url)
        with scan.open("rb") as stream:
            (path,) = client.post(f"{url}gradio_api/upload", files={"files": stream}).json()
        data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, "openvino"]
        begun = client.post(f"{url}gradio_api/call/segment", json={"data": data}).json()
        timer = threading.Timer(uploads.ABANDONED_S + 2, busy.set)
        timer.start()
        answer = client.get(f"{url}gradio_api/call/segment/{begun['event_id']}").text
    assert "event: complete" in answer
    assert wait_for(lambda: not stored(), first)
