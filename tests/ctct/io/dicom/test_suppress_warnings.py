"""Warnings that quote a header are suppressed while it is read, and no others."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import pytest

pytest.importorskip("pydicom")
from dicom_support import write_cine
from pydicom.uid import UID

from ctct.cases.read import read_study
from ctct.io.dicom.suppress_warnings import suppress_pydicom_warnings


def warned() -> list[str]:
    """The messages of a warning of pydicom and of another one."""
    with warnings.catch_warnings(record=True) as said:
        UID("1.02", 1)  # 1: warn
        warnings.warn("another matter", stacklevel=1)
    return [str(one.message).split(":")[0] for one in said]


def test_a_header_with_invalid_values_gives_no_warning(tmp_path: Path) -> None:
    odd = {"StudyInstanceUID": "1.02", "PatientBirthDate": "1950"}
    with warnings.catch_warnings(action="ignore"):
        write_cine(tmp_path, change=lambda t, z: odd)
    with warnings.catch_warnings(action="error"):
        assert read_study(tmp_path).frames == 8


def test_the_last_thread_to_leave_restores_the_filters() -> None:
    with warnings.catch_warnings(action="always"):
        before = list(warnings.filters)
        entered, leave = threading.Event(), threading.Event()

        def other() -> None:
            with suppress_pydicom_warnings:
                entered.set()
                leave.wait()

        thread = threading.Thread(target=other)
        assert warned() == ["Invalid value for VR UI", "another matter"]
        with suppress_pydicom_warnings:
            thread.start()
            entered.wait()
            assert warned() == ["another matter"]
        assert warned() == ["another matter"]  # the other is still reading
        leave.set()
        thread.join()
        assert warnings.filters == before
        assert warned() == ["Invalid value for VR UI", "another matter"]
