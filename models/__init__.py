"""MULAN diffusion models: their mathematics in torch, without HTTP and without Redis."""

import os

# ONNX Runtime sends events to its maker and keeps an identifier in the home folder unless this is
# set before it is first imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
