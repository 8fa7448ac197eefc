from __future__ import annotations

import doctest
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from typing import get_type_hints

import pytest

import ctct


def test_importing_ctct_loads_next_to_nothing() -> None:
    program = (
        "import sys, ctct\n"
        "heavy = {'torch', 'numpy', 'openvino', 'nibabel', 'onnxruntime'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_public_name_is_there_and_others_are_not() -> None:
    assert sorted(ctct.__all__) == dir(ctct) == sorted(ctct._HOMES)
    for name in ctct.__all__:
        assert getattr(ctct, name) is not None
    assert ctct.__version__ == version("ctct")
    assert ctct.errors.InputError.exit_code == 4
    with pytest.raises(AttributeError, match="no attribute 'lode_model'; it has Model, "):
        _ = ctct.lode_model


def test_functions_stay_callable_once_everything_is_imported() -> None:
    """A room of the same name would take the function's place as soon as it is imported."""
    program = (
        "import pkgutil, ctct, ctct.prediction.folder, ctct.evaluation.evaluate\n"
        "import ctct.exporters, ctct.cli.main\n"
        "for name in ('predict', 'evaluate', 'train', 'export', 'load_model'):\n"
        "    assert callable(getattr(ctct, name)), name\n"
        "rooms = {m.name for m in pkgutil.iter_modules(ctct.__path__)}\n"
        "assert rooms & set(ctct.__all__) == {'errors', 'labels'}, rooms\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_examples_in_docstrings_run() -> None:
    modules = {ctct, *(sys.modules[home] for home in ctct._HOMES.values() if home in sys.modules)}
    modules |= {import_module(f"ctct.api.{name}") for name in ("functions", "prediction")}
    for module in modules:
        failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
        assert not failed, module
        assert tried or module.__name__ not in ("ctct", "ctct.api.functions", "ctct.api.prediction")


@pytest.mark.parametrize("name", ["predict", "evaluate", "train", "read_study", "load_model"])
def test_types_can_be_looked_up(name: str) -> None:
    assert get_type_hints(getattr(ctct, name))["return"] is not None
