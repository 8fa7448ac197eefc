"""Building an engine from an ONNX file."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ctct.errors import CtctError, ModelError, RuntimeUnavailableError
from ctct.installation import how_to_install
from ctct.model_files.engine_profile import EngineProfile
from ctct.model_files.model_file import find_model, read_onnx
from ctct.model_files.sidecar import RTX, TENSORRT, EngineRecord, sidecar_path, write_engine_record
from ctct.runtimes.cuda import Gpu, current_gpu
from ctct.runtimes.tensorrt.compatibility import (
    TensorRTPackage,
    check_targets,
    load_package,
)
from ctct.runtimes.tensorrt.prepare_graph import prepare_graph
from ctct.storage import cache_folder, prepare_folder, write_atomic

log = logging.getLogger(__name__)
#: Told the steps done in a phase of the build, their total, and the phase's name. Phases nest, and
#: the calls come from another thread.
Observe = Callable[[int, int, str], object]


def build_engine(
    onnx_path: str | Path,
    engine_path: str | Path,
    profile: EngineProfile | None = None,
    targets: Sequence[str] = (),
    package: str | None = None,
    observe: Observe = lambda done, total, phase: None,
) -> EngineRecord:
    """Build an engine of the fused graph and write it and its sidecar.

    The file appears whole or not at all; Ctrl-C stops the build at its next step.

    Args:
        onnx_path: a model that ``ctct export`` wrote.
        engine_path: the file to write.
        profile: batches and slice sizes that the engine takes.
        targets: GPUs to build for, as in ("sm80", "sm89"); TensorRT-RTX only. When left out, the
            GPU of this machine, or with TensorRT-RTX any GPU since Ampere.
        package: "tensorrt" or "tensorrt_rtx"; see
            :func:`~ctct.runtimes.tensorrt.compatibility.load_package`.
        observe: told how the build goes on.

    Returns:
        The engine's record, as written to the sidecar.

    Raises:
        ModelError: the file is not a model of ctct's, or TensorRT cannot make an engine of it.
        ConfigError: a target is unknown, or this package builds for no targets.
        RuntimeUnavailableError: TensorRT is not installed, or needs a GPU that is not there.
        OutputError: the engine cannot be written.
    """
    onnx_path, engine_path, profile = Path(onnx_path), Path(engine_path), profile or EngineProfile()
    model = find_model(onnx_path)
    if not model.is_onnx:
        raise ModelError(f"{onnx_path}: not an .onnx file; make one with ctct export first")
    tensorrt = load_package(package)
    check_targets(tensorrt, targets)
    gpu = current_gpu()
    if gpu is None and not tensorrt.is_rtx:
        raise RuntimeUnavailableError(
            f"{TENSORRT}: needs the GPU it builds for, and there is no CUDA GPU or driver here; "
            f"{how_to_install('tensorrt')} brings {RTX}, which needs none"
        )
    prepare_folder(engine_path.parent)  # before minutes of work are lost for want of it
    content = prepare_graph(read_onnx(onnx_path), str(onnx_path))
    build = _Build(tensorrt, gpu, content, profile, tuple(targets), observe, str(onnx_path))
    engine, types = build.run()
    record = EngineRecord(
        engine_sha256=hashlib.sha256(engine).hexdigest(),
        model_sha256=model.sha256,
        package=tensorrt.name,
        version=tensorrt.version,
        gpu=gpu.name if gpu else "",
        capability=gpu.capability if gpu else None,
        targets=tuple(targets),
        precision=precision_of(model.description),
        profile=profile,
        types=types,
        description=model.description,
    )
    # An engine never stands beside the sidecar of another: no sidecar is better than a wrong one.
    sidecar_path(engine_path).unlink(missing_ok=True)
    write_atomic(engine_path, engine)
    try:
        write_engine_record(engine_path, record)
    except CtctError:
        engine_path.unlink(missing_ok=True)
        raise
    return record


def precision_of(description: dict[str, Any]) -> str:
    """The precision in a model's description, which its engine has too: it is strongly typed."""
    return str(description.get("precision", "fp32"))


class _Build:
    """One build, in a separate thread.

    TensorRT calls back from the thread that builds, and an exception must not pass through it. In a
    separate thread the callbacks only look at a flag, and Ctrl-C arrives in the waiting thread.
    """

    def __init__(
        self,
        package: TensorRTPackage,
        gpu: Gpu | None,
        content: bytes,
        profile: EngineProfile,
        targets: tuple[str, ...],
        observe: Observe,
        name: str,
    ) -> None:
        self._package, self._gpu = package, gpu
        self._content, self._profile, self._targets = content, profile, targets
        self._observe, self._name = observe, name
        self._stop, self._done = threading.Event(), threading.Event()
        self._complaints: list[str] = []
        self._result: tuple[bytes, dict[str, str]] | None = None
        self._error: BaseException | None = None

    def run(self) -> tuple[bytes, dict[str, str]]:
        """The engine and the types of its inputs and outputs."""
        # Not a daemon: Python must not end while TensorRT works, that would abort the process.
        worker = threading.Thread(target=self._work, name="build-engine")
        try:
            worker.start()
            # Not Thread.join: interrupted by Ctrl-C, it takes the thread for ended.
            while not self._done.wait(0.1):
                pass
        except BaseException:
            self._stop.set()
            while worker.ident is not None and not self._done.is_set():
                with contextlib.suppress(KeyboardInterrupt):  # it is stopping already
                    self._done.wait(0.1)
            raise
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise ModelError(f"{self._name}: {self._package.name} gave no engine")
        return self._result

    def _work(self) -> None:
        try:
            if not self._stop.is_set():
                self._result = self._build()
        except BaseException as error:  # raised again by run, in the waiting thread
            # Its frames hold objects of TensorRT. Left to the garbage collector, they may be freed
            # while another build starts, which holds the lock that freeing waits for.
            traceback.clear_frames(error.__traceback__)
            self._error = self._error or error
        finally:
            self._done.set()

    def _build(self) -> tuple[bytes, dict[str, str]]:
        trt = self._package.module
        logger = make_logger(trt, self._complaints)
        builder = trt.Builder(logger)
        # Strongly typed: each layer has the precision of the ONNX file. TensorRT-RTX, and TensorRT
        # since 11, have no other networks and may drop the flag.
        flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        network = builder.create_network(0 if flag is None else 1 << int(flag))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(self._content):
            reason = str(parser.get_error(0)) if parser.num_errors else self._reason()
            raise self._failed("cannot read the graph", reason)
        config = self._config(trt, builder)
        cache = TimingCache(self._package, self._gpu, config)
        engine = builder.build_serialized_network(network, config)
        if engine is None:
            if self._stop.is_set():
                raise KeyboardInterrupt
            raise self._failed("cannot build an engine", self._reason())
        cache.save(config)
        tensors = [network.get_input(i) for i in range(network.num_inputs)]
        tensors += [network.get_output(i) for i in range(network.num_outputs)]
        # A copy, because the memory of the build is freed with the builder.
        return bytes(engine), {t.name: str(trt.nptype(t.dtype)().dtype) for t in tensors}

    def _config(self, trt: Any, builder: Any) -> Any:
        config = builder.create_builder_config()
        ranges = builder.create_optimization_profile()
        for name, shapes in self._profile.shapes().items():
            ranges.set_shape(name, *shapes)
        if config.add_optimization_profile(ranges) < 0:
            raise self._failed(f"does not take {self._profile}", self._reason())
        if self._targets:
            config.num_compute_capabilities = len(self._targets)
            for i, target in enumerate(check_targets(self._package, self._targets)):
                config.set_compute_capability(target, i)
        # An attribute, because TensorRT itself holds no reference to it.
        self._monitor = make_monitor(trt, self._stop, self._observe, self._fail)
        config.progress_monitor = self._monitor
        return config

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._stop.set()

    def _reason(self) -> str:
        return self._complaints[0] if self._complaints else "no reason given"

    def _failed(self, what: str, reason: str) -> ModelError:
        line = " ".join(reason.split())
        return ModelError(f"{self._name}: {self._package} {what} ({line})")


def make_logger(trt: Any, complaints: list[str]) -> Any:
    """A TensorRT logger that writes to ours and appends errors to ``complaints``."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                complaints.append(message)
            log.debug("%s: %s", trt.__name__, message)

    return Logger()


def make_monitor(
    trt: Any, stop: threading.Event, observe: Observe, fail: Callable[[BaseException], None]
) -> Any:
    """A progress monitor that calls ``observe``, and ends the build when ``stop`` is set."""
    totals: dict[str, int] = {}

    def tell(done: int, name: str) -> None:
        try:
            observe(done, totals.get(name, done), name)
        except BaseException as error:  # must not pass through TensorRT
            fail(error)

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            totals[phase_name] = num_steps
            tell(0, phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            tell(step + 1, phase_name)
            return not stop.is_set()

        def phase_finish(self, phase_name: str) -> None:
            totals.pop(phase_name, None)

    return Monitor()


class TimingCache:
    """Times of kernels that TensorRT measured on this GPU, stored for the next build.

    TensorRT-RTX measures none. A cache that cannot be read or written only costs time.
    """

    def __init__(self, package: TensorRTPackage, gpu: Gpu | None, config: Any) -> None:
        self._path: Path | None = None
        if package.is_rtx or gpu is None:
            return
        name = f"timing-{package.version}-{gpu.target}.cache"
        self._path = cache_folder("engines") / name
        try:
            stored = self._path.read_bytes()
        except OSError:
            stored = b""
        cache = config.create_timing_cache(stored)
        # Times of another GPU or version are refused, and an empty cache replaces them.
        if cache is None or not config.set_timing_cache(cache, False):
            config.set_timing_cache(config.create_timing_cache(b""), False)

    def save(self, config: Any) -> None:
        """Store the times, with those that the build added."""
        if self._path is None:
            return
        cache = config.get_timing_cache()
        if cache is None:
            return
        try:
            prepare_folder(self._path.parent)
            write_atomic(self._path, bytes(cache.serialize()))
        except CtctError as error:
            log.warning("the times of this build are not stored: %s", error)
