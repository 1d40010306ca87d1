"""MULAN's networks, schedule and bound in plain NumPy, float64, `[rows, H, W, C]`.

A second implementation, written from the official specification and sharing nothing with
`models`: parameters are named and laid out as in the official Flax tree.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_softmax, softmax


@dataclass(frozen=True)
class Shape:
    """The numbers that a network of the family is built from."""

    image: tuple[int, int, int] = (32, 32, 3)
    vocabulary: int = 256
    width: int = 64
    depth: int = 2
    encoder_depth: int = 2
    attention: bool = False
    latent: int = 50
    k: int = 15
    gamma: tuple[float, float] = (-13.3, 5.0)
    fourier: tuple[int, ...] = (6, 7)
    groups: int = 32
    hidden: int = 3072
    patch: int = 1

    def leaves(self):
        """Shape of every parameter by its official path."""
        height, wide, channels = self.image
        n, p, total = self.width, self.patch**2, height * wide * channels
        inputs = channels * (1 + 2 * len(self.fourier)) * p
        found = {}

        def dense(path, inside, outside):
            found.update({f"{path}/kernel": (inside, outside), f"{path}/bias": (outside,)})

        def conv(path, inside, outside):
            found.update({f"{path}/kernel": (3, 3, inside, outside), f"{path}/bias": (outside,)})

        def norm(path, size):
            found.update({f"{path}/scale": (size,), f"{path}/bias": (size,)})

        def res(path, inside):
            norm(f"{path}/GroupNorm_0", inside)
            conv(f"{path}/conv1", inside, n)
            found[f"{path}/cond_proj/kernel"] = (4 * n, n)
            norm(f"{path}/GroupNorm_1", n)
            conv(f"{path}/conv2", n, n)
            if inside != n:
                dense(f"{path}/nin_shortcut", inside, n)

        def attn(path):
            norm(f"{path}/GroupNorm_0", n)
            for part in ("q", "k", "v", "proj_out"):
                dense(f"{path}/{part}", n, n)

        networks = (
            ("encoder_model", self.encoder_depth, 1, 1),
            ("score_model", self.depth, self.latent, channels * p),
        )
        for root, depth, conditions, outside in networks:
            dense(f"{root}/dense0", n + conditions, 4 * n)
            dense(f"{root}/dense1", 4 * n, 4 * n)
            conv(f"{root}/conv_in", inputs, n)
            ways = [("down", depth, n)]
            if root == "score_model":
                ways.append(("up", depth + 1, 2 * n))
            for way, blocks, inside in ways:
                for i in range(blocks):
                    res(f"{root}/{way}.block_{i}", inside)
                    if self.attention:
                        attn(f"{root}/{way}.attn_{i}")
            res(f"{root}/mid.block_1", n)
            attn(f"{root}/mid.attn_1")
            res(f"{root}/mid.block_2", n)
            norm(f"{root}/GroupNorm_0", n)
            conv(f"{root}/conv_out", n, outside)
        dense("encoder_model/dense_layer_final", height * wide // p, self.latent)
        dense("gamma/dense_1", self.latent, self.hidden)
        dense("gamma/dense_2", self.hidden, self.hidden)
        for part in "abc":
            dense(f"gamma/dense_out_{part}", self.hidden, total)
        return found


def swish(x):
    return x * expit(x)


class NumpyMulan:
    """`leaves` maps official paths to arrays."""

    def __init__(self, shape, leaves):
        self.shape = shape
        self.leaves = {path: np.asarray(value, np.float64) for path, value in leaves.items()}

    # Layers

    def dense(self, path, x):
        return x @ self.leaves[f"{path}/kernel"] + self.leaves.get(f"{path}/bias", 0.0)

    def conv(self, path, x):
        kernel, (_, height, width, _) = self.leaves[f"{path}/kernel"], x.shape
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        out = self.leaves[f"{path}/bias"]
        for dy in range(3):
            for dx in range(3):
                out = out + padded[:, dy : dy + height, dx : dx + width] @ kernel[dy, dx]
        return out

    def norm(self, path, x):
        grouped = x.reshape(*x.shape[:3], self.shape.groups, -1)
        mean = grouped.mean((1, 2, 4), keepdims=True)
        variance = np.square(grouped - mean).mean((1, 2, 4), keepdims=True)
        white = ((grouped - mean) / np.sqrt(variance + 1e-6)).reshape(x.shape)
        return white * self.leaves[f"{path}/scale"] + self.leaves[f"{path}/bias"]

    def res(self, path, x, c):
        h = self.conv(f"{path}/conv1", swish(self.norm(f"{path}/GroupNorm_0", x)))
        h = h + self.dense(f"{path}/cond_proj", c)[:, None, None]
        h = self.conv(f"{path}/conv2", swish(self.norm(f"{path}/GroupNorm_1", h)))
        widens = f"{path}/nin_shortcut/kernel" in self.leaves
        return h + (self.dense(f"{path}/nin_shortcut", x) if widens else x)

    def attn(self, path, x):
        h = self.norm(f"{path}/GroupNorm_0", x).reshape(len(x), -1, x.shape[-1])
        q, k, v = (self.dense(f"{path}/{part}", h) for part in "qkv")
        weights = softmax(np.einsum("bqc,bkc->bqk", q, k) / np.sqrt(x.shape[-1]), axis=-1)
        mixed = np.einsum("bqk,bkc->bqc", weights, v)
        return x + self.dense(f"{path}/proj_out", mixed).reshape(x.shape)

    # Networks

    def features(self, z):
        """Fourier features, then space to depth: (channel, row, column) of the patch."""
        w = 2 * np.pi * 2.0 ** np.array(self.shape.fourier)
        angles = (z[..., None] * w).reshape(*z.shape[:3], -1)
        h, p = np.concatenate([z, np.sin(angles), np.cos(angles)], axis=-1), self.shape.patch
        rows, height, width, channels = h.shape
        h = h.reshape(rows, height // p, p, width // p, p, channels).transpose(0, 1, 3, 5, 2, 4)
        return h.reshape(rows, height // p, width // p, channels * p * p)

    def embed(self, t):
        half = self.shape.width // 2
        rates = np.exp(-np.arange(half) * np.log(10000) / (half - 1))
        angles = 1000 * np.asarray(t)[:, None] * rates
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)

    def block(self, root, way, i, x, c):
        h = self.res(f"{root}/{way}.block_{i}", x, c)
        return self.attn(f"{root}/{way}.attn_{i}", h) if self.shape.attention else h

    def trunk(self, root, depth, z, t, conditions):
        c = np.concatenate([self.embed(t), conditions], axis=1)
        c = swish(self.dense(f"{root}/dense1", swish(self.dense(f"{root}/dense0", c))))
        h = self.conv(f"{root}/conv_in", self.features(z))
        stack = [h]
        for i in range(depth):
            h = self.block(root, "down", i, h, c)
            stack.append(h)
        h = self.res(f"{root}/mid.block_1", h, c)
        h = self.res(f"{root}/mid.block_2", self.attn(f"{root}/mid.attn_1", h), c)
        return h, c, stack

    def score(self, z, g, e):
        root, p = "score_model", self.shape.patch
        low, high = self.shape.gamma
        h, c, stack = self.trunk(root, self.shape.depth, z, (g - low) / (high - low), e)
        for i in range(self.shape.depth + 1):
            h = self.block(root, "up", i, np.concatenate([h, stack.pop()], axis=-1), c)
        out = self.conv(f"{root}/conv_out", swish(self.norm(f"{root}/GroupNorm_0", h)))
        rows, height, width, _ = out.shape
        out = out.reshape(rows, height, width, z.shape[-1], p, p).transpose(0, 1, 4, 2, 5, 3)
        return out.reshape(z.shape) + z

    def encode(self, x):
        root, nothing = "encoder_model", np.zeros(len(x))
        h, _, _ = self.trunk(root, self.shape.encoder_depth, x, nothing, nothing[:, None])
        h = self.conv(f"{root}/conv_out", swish(self.norm(f"{root}/GroupNorm_0", h)))
        return self.dense(f"{root}/dense_layer_final", swish(h.reshape(len(x), -1)))

    def gamma(self, e, t):
        """Gamma and its time derivative, `[rows, H, W, C]`, at one time per row."""
        h = swish(self.dense("gamma/dense_2", swish(self.dense("gamma/dense_1", e))))
        a, b = (self.dense(f"gamma/dense_out_{part}", h) for part in "ab")
        c = 1e-3 + np.logaddexp(0, self.dense("gamma/dense_out_c", h))
        t, (low, high) = np.asarray(t, np.float64)[:, None], self.shape.gamma

        def integral(t):
            third = (b**2 + 2 * a * c) * t**3 / 3
            return a**2 * t**5 / 5 + third + a * b * t**4 / 2 + b * c * t**2 + c**2 * t

        end, image = integral(1.0), (-1, *self.shape.image)
        gamma = low + (high - low) * integral(t) / end
        slope = (high - low) * (a * t**2 + b * t + c) ** 2 / end
        return gamma.reshape(image), slope.reshape(image)

    # Bound

    def elbo(self, tokens, e, logits, t, eps_0, eps, kind):
        """Reconstruction, prior, diffusion and latent terms, `[rows]` in nats."""
        low, high = self.shape.gamma
        bins = 2 * (np.arange(self.shape.vocabulary) + 0.5) / self.shape.vocabulary - 1
        x = bins[tokens]
        gamma, slope = self.gamma(e, t)
        alpha, sigma = np.sqrt(expit(-gamma)), np.sqrt(expit(gamma))
        z = alpha * x + sigma * eps
        out = self.score(z, gamma.mean((1, 2, 3)), e)
        if kind == "epsilon":
            diffusion = slope * (eps - out) ** 2
        else:
            v = alpha * eps - sigma * x
            if kind == "velocity-from-epsilon":
                out = -np.exp(gamma / 2) * z + np.sqrt(1 + np.exp(gamma)) * out
            diffusion = alpha**2 * slope * (v - out) ** 2
        near = (x + np.exp(low / 2) * eps_0)[..., None] - bins
        log_p = log_softmax(-0.5 * (near * np.exp(-low / 2)) ** 2, axis=-1)
        reconstruction = -np.take_along_axis(log_p, tokens[..., None], -1)[..., 0]
        variance = expit(high)
        prior = 0.5 * (expit(-high) * x**2 + variance - np.log(variance) - 1)
        log_q = log_softmax(logits, axis=1)
        latent = (np.exp(log_q) * (log_q + np.log(self.shape.latent))).sum(1)
        terms = (reconstruction, prior, 0.5 * diffusion)
        return *(term.reshape(len(x), -1).sum(1) for term in terms), latent
