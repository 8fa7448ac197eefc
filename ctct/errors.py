"""ctct's own errors, each with the exit code of the command line.

Every message is one line that names the value received and the remedy.
"""

from __future__ import annotations

from ctct.installation import how_to_install

EXIT_INTERNAL = 1
EXIT_USAGE = 2
EXIT_SOME_FAILED = 3
EXIT_INTERRUPTED = 130
EXIT_STOPPED = 143


class CtctError(Exception):
    """Base of all errors that a user can cause or correct.

    Attributes:
        with_options: the message for the command line, where it differs from that for Python.
    """

    exit_code = EXIT_INTERNAL
    with_options = ""


class ConfigError(CtctError):
    """An option or a setting has an invalid value."""

    exit_code = EXIT_USAGE


class InputError(CtctError):
    """A file, array or folder cannot be used."""

    exit_code = 4


class OutputError(CtctError):
    """A result cannot be written.

    Attributes:
        everywhere: whether no other file can be written either, as on a full or read-only disk.
    """

    exit_code = EXIT_USAGE

    def __init__(self, message: str, everywhere: bool = False) -> None:
        super().__init__(message)
        self.everywhere = everywhere


class RuntimeUnavailableError(CtctError):
    """The requested runtime or device is not available on this machine."""

    exit_code = 5


class StoppedError(CtctError):
    """Stopped by SIGTERM, as when a node is taken away; the same command continues."""

    exit_code = EXIT_STOPPED


class ParityError(CtctError):
    """The outputs of an exported model differ from those of the trained one."""

    exit_code = 6


class ModelError(CtctError):
    """A model file is missing, damaged or not made by ctct."""

    exit_code = 7


#: Packages that the extras "train" and "export" bring beyond a base install.
_EXTRA_PACKAGES = (
    *("torch", "torchvision", "timm", "safetensors", "segmentation_models_pytorch"),
    *("lightning_fabric", "matplotlib", "onnx", "onnxscript", "onnxruntime", "nncf", "ml_dtypes"),
)


def missing_package(
    error: ModuleNotFoundError, extra: str = "export"
) -> RuntimeUnavailableError | None:
    """The error to raise where a package of an extra is not installed; None for other modules.

    Args:
        error: of the import.
        extra: "train" or "export", which brings all packages of "train" too.
    """
    package = (error.name or "").split(".")[0]
    if package not in _EXTRA_PACKAGES:
        return None
    return RuntimeUnavailableError(
        f"this needs {package}, which is not installed; {how_to_install(extra)}"
    )
