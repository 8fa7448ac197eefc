from __future__ import annotations

import pytest

from ctct.errors import missing_package
from ctct.installation import how_to_install


@pytest.mark.parametrize("name", ["onnx", "torch.nn", "lightning_fabric.loggers"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(name: str) -> None:
    package = name.split(".")[0]
    error = missing_package(ModuleNotFoundError(name=name), "train")
    assert str(error) == f"this needs {package}, which is not installed; {how_to_install('train')}"
    assert how_to_install("export") in str(missing_package(ModuleNotFoundError(name=name)))


@pytest.mark.parametrize("name", ["ctct.gone", "json.gone", None, ""])
def test_other_modules_belong_to_no_extra(name: str | None) -> None:
    assert missing_package(ModuleNotFoundError(name=name)) is None
