"""Functions of the page in the browser, called with Node.js."""

from __future__ import annotations

import base64
import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_TYPES = {"u1": np.uint8, "f4": np.float32, "f8": np.float64}
_DRIVER = Path(__file__).with_name("browser_rules.mjs")


def need_node() -> str:
    """The path of Node.js; the test is skipped without it."""
    return shutil.which("node") or pytest.skip("needs Node.js: apt-get install nodejs")


def call_all(*calls: tuple[str, str, list[Any]]) -> list[Any]:
    """The value, or the message of the error, of each (module, function, arguments)."""
    request = [
        {"module": module, "name": name, "args": _encode(args)} for module, name, args in calls
    ]
    done = subprocess.run(
        [need_node(), str(_DRIVER)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout, object_hook=_decode)
    return [answer.get("value", answer.get("error")) for answer in answers]


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"$": value.dtype.str[1:], "base64": data}
    if isinstance(value, bytes):
        return _encode(np.frombuffer(value, np.uint8))
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    if isinstance(value, np.floating | np.integer):
        return _encode(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return {"$": str(value)}
    return value


def _decode(content: dict[str, Any]) -> Any:
    if "$" not in content:
        return content
    if "base64" not in content:
        return float(content["$"])
    return np.frombuffer(base64.b64decode(content["base64"]), _TYPES[content["$"]])
