"""Outputs of the official implementation, and its random weights made again by their rule.

The folder's own README describes every array; its sections are cited below.
"""

import json
import os
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.checkpoints import flax_names
from models.network.mulan import Mulan
from models.schema.mulan import MulanConfig

REPOSITORY = Path(__file__).parents[2]
CASES = ("vel_e64", "eps_e64", "vfe_e64", "attn_e64", "deg_e32")
ELBO_CASES = ("vel_e64", "eps_e64", "vfe_e64", "attn_e64")


def golden_folder() -> Path:
    """Where the arrays are: GOLDEN_ARRAYS, or a folder that lies beside the repository."""
    default = REPOSITORY.parent / "shared" / "golden"
    return Path(os.environ.get("GOLDEN_ARRAYS", default))


class Case:
    """One configuration of the official model: its inputs, weights and outputs."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.papers: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
        inputs = name if name in ("attn_e64", "deg_e32") else "vel_e64"
        with np.load(folder / f"inputs_{inputs}.npz") as stored:
            self.inputs = dict(stored)
        with np.load(folder / f"{name}.npz") as stored:
            self.outputs = dict(stored)
        if inputs == "vel_e64" != name:
            # Cases of the same weights and inputs share what does not depend on the prediction.
            own = {_base(key) for key in self.outputs}
            with np.load(folder / "vel_e64.npz") as stored:
                shared = {key: stored[key] for key in stored if _base(key) not in own}
            self.outputs |= shared

    @property
    def config(self) -> MulanConfig:
        official = self.papers["model_config"]
        epsilon = self.papers["vdm_type"] == "mulan_epsilon"
        velocity = "velocity-from-epsilon" if official["velocity_from_epsilon"] else "velocity"
        return MulanConfig(
            width=official["sm_n_embd"],
            depth=official["sm_n_layer"],
            encoder_depth=official["forward_n_layer"],
            attention=official["with_attention"],
            parameterisation="epsilon" if epsilon else velocity,
        )

    @cached_property
    def leaves(self) -> dict[str, NDArray[np.float32]]:
        """The weights by official path (section 2)."""
        return {leaf["path"]: self._leaf(leaf) for leaf in self.papers["params"]}

    def model(self, dtype: torch.dtype) -> Mulan:
        with torch.device("meta"):
            model = Mulan(self.config)
        model.load_state_dict(flax_names.state_dict(self.leaves), assign=True)
        return model.to(dtype).eval().requires_grad_(False)

    def expected(self, name: str) -> NDArray[Any]:
        """An output as computed in float64: stored whole, or as a difference from float32."""
        if f"{name}__f64" in self.outputs:
            return self.outputs[f"{name}__f64"]
        if f"{name}__d64" in self.outputs:
            return self.outputs[name].astype(np.float64) + self.outputs[f"{name}__d64"]
        return self.outputs[name]

    def in_float64(self, name: str) -> bool:
        """Whether an output was recorded as computed in float64."""
        stored = self.outputs.keys() & {f"{name}__f64", f"{name}__d64"}
        return bool(stored) or self.outputs[name].dtype == np.float64

    def _leaf(self, leaf: dict[str, Any]) -> NDArray[np.float32]:
        gains, path, shape = self.papers["weights"]["gains"], leaf["path"], tuple(leaf["shape"])
        parent, kind = path.split("/")[-2:]
        seed = zlib.crc32((self.papers["weights"]["salt"] + path).encode())
        assert seed == leaf["crc32_seed"], path
        draws = np.random.Generator(np.random.PCG64(seed))
        value = draws.standard_normal(shape, dtype=np.float32)
        if kind == "scale":
            value = np.float32(1) + value * np.float32(0.05)
        elif kind == "bias":
            value *= np.float32(0.05)
        else:
            gain = gains["default"]
            if path.startswith("gamma/"):
                gain = gains["gamma"]
            elif parent == "dense_layer_final":
                gain = gains["logit"]
            elif parent in ("dense0", "dense1", "cond_proj"):
                gain = gains["cond"]
            value *= np.float32(gain / np.sqrt(np.prod(shape[:-1])))
        if path == "score_model/conv_in/kernel":
            value[:, :, 3:] *= np.float32(gains["fourier"])
        if path == "score_model/dense0/kernel":
            half = self.papers["model_config"]["sm_n_embd"] // 2
            omega = 1000 * 10000.0 ** (-np.arange(half) / (half - 1))
            damping = np.minimum(1, gains["temb_cut"] / omega).astype(np.float32)
            value[: 2 * half] *= np.tile(damping, 2)[:, None]
        np.testing.assert_array_equal(value.ravel()[:4], np.float32(leaf["first4"]), path)
        return value


class Reference:
    """A case, and its model in one precision."""

    def __init__(self, folder: Path, name: str, dtype: torch.dtype) -> None:
        self.case = Case(folder, name)
        self.dtype = dtype
        self.model = self.case.model(dtype)

    def images(self, name: str) -> Tensor:
        """An input of the case, `[..., C, H, W]`, in the model's precision."""
        return to_chw(self.case.inputs[name], self.dtype)

    def latents(self, name: str) -> Tensor:
        """Latents that the case records, in the model's precision."""
        return torch.from_numpy(self.case.outputs[name]).to(self.dtype)

    def times(self, t: float, rows: int) -> Tensor:
        return torch.full((rows,), float(t), dtype=torch.float64)

    def check(
        self, name: str, actual: NDArray[Any] | Tensor, index: Any = ..., single: float = 1e-4
    ) -> None:
        """Fail unless `actual` is the output `name` (at `index`), relative to its largest value: to
        1e-9 where both are float64, else to `single`."""
        expected = self.case.expected(name)
        scale = float(np.abs(expected).max())
        expected = expected[index]
        actual = actual.numpy(force=True) if isinstance(actual, Tensor) else actual
        assert actual.shape == expected.shape
        error = float(np.abs(actual.astype(np.float64) - expected).max()) / scale
        doubles = self.dtype == torch.float64 and self.case.in_float64(name)
        limit = 1e-9 if doubles else single
        assert error <= limit, f"{self.case.name} {name}: relative error {error:.2e} > {limit:.0e}"


def _base(key: str) -> str:
    return key.removesuffix("__f64").removesuffix("__d64")


def to_chw(array: NDArray[Any], dtype: torch.dtype) -> Tensor:
    """`[..., H, W, C]` as a tensor `[..., C, H, W]`."""
    return torch.from_numpy(np.moveaxis(array, -1, -3).copy()).to(dtype)


def to_hwc(tensor: Tensor) -> NDArray[Any]:
    """`[..., C, H, W]` as an array `[..., H, W, C]`."""
    return np.moveaxis(tensor.numpy(force=True), -3, -1)
