"""What runs the fused graph: OpenVINO, ONNX Runtime, TensorRT or PyTorch."""

from __future__ import annotations

import os
import sys

# OpenVINO and ONNX Runtime report their use to their makers unless told otherwise before they are
# imported. Where patients' scans are read nothing is sent anywhere.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
