"""The score network in ONNX Runtime, by the graphs in a checkpoint's folder."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime import (
    InferenceSession,
    OrtAllocatorType,
    OrtArenaCfg,
    OrtMemoryInfo,
    OrtMemType,
    OrtValue,
    SessionOptions,
)
from torch import Tensor

from models.network.network import Network
from models.runtimes.runtime import Precision
from models.runtimes.versions import torch_version
from models.schema.architectures import architecture_of, parse_config
from models.schema.errors import UnavailableRuntimeError
from models.schema.graphs import CONFIG_KEY, GRAPH_VERSION, GRAPHS, SERVED, VERSION_KEY
from models.schema.mulan import MulanConfig
from models.schema.regular import read_regular

MOST_BYTES = 16 << 20
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntime:
    """The graphs of one checkpoint on its model's device, which take as many rows as there are.

    The weights are those of the verified `model`; a graph holds none. Raises
    UnavailableRuntimeError where the graphs are missing, of another version or architecture, or
    where ONNX Runtime cannot use the device. It takes as many `threads` as torch if they are
    left out.
    """

    name = "onnx"
    precision: Precision = "float32"
    # Its kernels treat each row alike in calls of every size.
    least = 1

    def __init__(self, model: Network, folder: Path, threads: int | None = None) -> None:
        self.device, self.config = model.device, model.config
        if not isinstance(model.config, MulanConfig):
            kind = architecture_of(model.config)
            raise UnavailableRuntimeError(f"there are no graphs of {kind} networks")
        self._threads = threads or torch.get_num_threads()
        self._weights = {
            f"score.{name}": _value(weight.detach())
            for name, weight in model.score.named_parameters()
        }
        digest = hashlib.sha256()
        self._score, self._score_vjp = (
            self._session(folder / GRAPHS / f"{name}.onnx", digest) for name in SERVED
        )
        self.version = (
            f"onnxruntime-{onnxruntime.__version__}-graphs-{digest.hexdigest()[:8]}"
            f"-{torch_version(self.device)}"
        )

    def score(self, x: Tensor, network_time: Tensor, latent: Tensor) -> Tensor:
        out = torch.empty_like(x)
        self._run(
            self._score,
            {"x": x, "network_time": network_time, "latent": latent},
            {"prediction": out},
        )
        return out

    def score_and_pull(
        self, x: Tensor, network_time: Tensor, latent: Tensor, cotangents: Tensor
    ) -> tuple[Tensor, Tensor]:
        given = {"x": x, "network_time": network_time, "latent": latent, "cotangents": cotangents}
        out, pulled = torch.empty_like(x), torch.empty_like(cotangents)
        self._run(self._score_vjp, given, {"prediction": out, "pulled": pulled})
        return out, pulled

    def _run(
        self, session: InferenceSession, given: dict[str, Tensor], found: dict[str, Tensor]
    ) -> None:
        """Run a graph on tensors where they are; the results are written into `found`."""
        taken = {name: tensor.detach().contiguous() for name, tensor in given.items()}
        binding = session.io_binding()
        for bind, tensors in ((binding.bind_input, taken), (binding.bind_output, found)):
            for name, tensor in tensors.items():
                bind(
                    name, self.device.type, self.device.index or 0, _numpy_type(tensor),
                    tuple(tensor.shape), tensor.data_ptr(),
                )  # fmt: skip
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()
        session.run_with_iobinding(binding)

    def _session(self, path: Path, digest: "hashlib._Hash") -> InferenceSession:
        try:
            content = read_regular(path, MOST_BYTES)
        except OSError as error:
            raise UnavailableRuntimeError(
                f"{path}: {error.strerror}; `mulan models graphs` makes the graphs"
            ) from error
        digest.update(content)
        options = SessionOptions()
        options.intra_op_num_threads = self._threads
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        # Threads that spin between calls take the processor from the rest of a tick.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.use_deterministic_compute = True
        # Its plan of which results share memory takes most of a session's start, and saves no time.
        options.enable_mem_reuse = False
        _share_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.add_external_initializers(list(self._weights), list(self._weights.values()))
        provider = PROVIDERS[self.device.type]
        exact = (
            {}
            if self.device.type == "cpu"
            else {
                "device_id": self.device.index or 0,
                "use_tf32": 0,
                "cudnn_conv_algo_search": "DEFAULT",
            }
        )
        try:
            session = InferenceSession(content, options, providers=[(provider, exact)])
        except Exception as error:
            raise UnavailableRuntimeError(f"{path}: {error}") from error
        self._check(session, path, provider)
        return session

    def _check(self, session: InferenceSession, path: Path, provider: str) -> None:
        if session.get_providers()[0] != provider:
            raise UnavailableRuntimeError(
                f"ONNX Runtime {onnxruntime.__version__} does not run on {self.device.type} here; "
                "install onnxruntime-gpu in place of onnxruntime (the extra `gpu`), and the CUDA "
                "that it is made for"
            )
        said = session.get_modelmeta().custom_metadata_map
        if said.get(VERSION_KEY) != str(GRAPH_VERSION):
            raise UnavailableRuntimeError(
                f"{path}: the graph is not of version {GRAPH_VERSION}; "
                "`mulan models graphs` makes it anew"
            )
        if parse_config(said.get(CONFIG_KEY, "")) != self.config:
            raise UnavailableRuntimeError(f"{path}: the graph is of another architecture")


@cache
def _share_memory() -> None:
    """Let all sessions of the process take results from one arena on the host, which grows by what
    is asked for. One arena for each session would hold the largest call of each."""
    place = OrtMemoryInfo("Cpu", OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, OrtMemType.DEFAULT)
    no_limit, as_requested, default = 0, 1, -1
    onnxruntime.create_and_register_allocator(
        place, OrtArenaCfg(no_limit, as_requested, default, default)
    )


def _numpy_type(tensor: Tensor) -> np.dtype[Any]:
    """Return the type by its own name, because a graph refuses a wrong one only if it is told."""
    return np.dtype(str(tensor.dtype).removeprefix("torch."))


def _value(tensor: Tensor) -> OrtValue:
    return OrtValue.ortvalue_from_numpy(np.ascontiguousarray(tensor.cpu().numpy()))
