"""ONNX Runtime sends no events and keeps no identifier."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import contextlib
from models.runtimes.onnx import onnxruntime
with contextlib.suppress(Exception):
    onnxruntime.InferenceSession(b"no graph")
"""


def test_onnx_runtime_leaves_no_identifier_behind(tmp_path: Path) -> None:
    # In CI it leaves its telemetry off by itself.
    kept = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        check=False,
        capture_output=True,
        text=True,
        env={**kept, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("*onnxruntime*")) == []
