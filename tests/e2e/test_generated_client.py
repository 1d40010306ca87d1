"""openapi-python-client makes a client of /openapi.json that works as it is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx

# The generator knows no such bodies but under this name.
BINARY = (
    "application/x-npy",
    *(f"image/{name}" for name in ("png", "jpeg", "bmp", "tiff", "webp")),
)
CONFIG = {
    "post_hooks": [],
    "content_type_overrides": dict.fromkeys(BINARY, "application/octet-stream"),
}
PROGRAM = Path(__file__).with_name("generated_client.py")


def test_a_generated_client_calls_the_service(address: str, tmp_path: Path) -> None:
    document, config = tmp_path / "openapi.json", tmp_path / "config.json"
    document.write_bytes(httpx.get(f"{address}/openapi.json").content)
    config.write_text(json.dumps(CONFIG))
    generator = Path(sys.executable).with_name("openapi-python-client")
    command = [str(generator), "generate", "--path", str(document), "--config", str(config)]
    command += ["--output-path", str(tmp_path / "client"), "--fail-on-warning"]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    done = subprocess.run(
        [sys.executable, str(PROGRAM), address],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "client")},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["same"] is True
    assert all(0 < bits < 20 for bits in told["bits"])
    assert len(told["verdicts"]) == 2
    assert told["outputs"][0] == "images"
    assert told["code"] == "unknown-model"
