"""Official parameter names and layouts, by example; tests/reference loads whole networks."""

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, linear

from models.checkpoints import flax_names


@pytest.mark.parametrize(
    ("official", "ours"),
    [
        ("encoder_model/dense_layer_final/kernel", "encoder.dense_out.weight"),
        ("encoder_model/GroupNorm_0/scale", "encoder.norm_out.weight"),
        ("encoder_model/conv_in/bias", "encoder.trunk.conv_in.bias"),
        ("encoder_model/conv_out/kernel", "encoder.conv_out.weight"),
        ("encoder_model/down.block_3/conv1/kernel", "encoder.trunk.down.3.res.conv1.weight"),
        ("score_model/dense0/kernel", "score.trunk.dense0.weight"),
        ("score_model/GroupNorm_0/bias", "score.norm_out.bias"),
        ("score_model/conv_out/bias", "score.conv_out.bias"),
        ("score_model/down.block_12/GroupNorm_0/scale", "score.trunk.down.12.res.norm1.weight"),
        ("score_model/up.block_12/GroupNorm_1/bias", "score.up.12.res.norm2.bias"),
        ("score_model/up.block_0/nin_shortcut/kernel", "score.up.0.res.shortcut.weight"),
        ("score_model/up.block_0/cond_proj/kernel", "score.up.0.res.cond_proj.weight"),
        ("score_model/up.attn_2/GroupNorm_0/scale", "score.up.2.attn.norm.weight"),
        ("score_model/down.attn_2/q/bias", "score.trunk.down.2.attn.q.bias"),
        ("score_model/mid.block_1/conv2/kernel", "score.trunk.mid1.conv2.weight"),
        ("score_model/mid.attn_1/GroupNorm_0/bias", "score.trunk.mid_attn.norm.bias"),
        ("score_model/mid.block_2/GroupNorm_0/bias", "score.trunk.mid2.norm1.bias"),
        ("gamma/dense_out_a/kernel", "gamma.dense_out_a.weight"),
        ("gamma/dense_2/bias", "gamma.dense_2.bias"),
    ],
)
def test_names(official, ours):
    assert flax_names.rename(official) == ours


def random_array(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def test_dense_kernels_map_inputs_to_outputs():
    kernel, x = random_array(5, 7), random_array(2, 5)
    weight = flax_names.convert("gamma/dense_1/kernel", kernel)
    np.testing.assert_allclose(linear(torch.from_numpy(x), weight), x @ kernel)


def test_shortcuts_become_pointwise_convolutions():
    kernel, x = random_array(5, 7), random_array(2, 4, 4, 5)
    weight = flax_names.convert("score_model/up.block_0/nin_shortcut/kernel", kernel)
    out = conv2d(torch.from_numpy(x).permute(0, 3, 1, 2), weight).permute(0, 2, 3, 1)
    np.testing.assert_allclose(out, x @ kernel)


def test_convolution_kernels_keep_their_orientation():
    kernel, x = random_array(3, 3, 2, 4), np.zeros((1, 5, 5, 2))
    x[0, 2, 3, 1] = 1.0
    weight = flax_names.convert("score_model/conv_in/kernel", kernel)
    out = conv2d(torch.from_numpy(x).permute(0, 3, 1, 2), weight, padding=1)[0]
    # Cross-correlation: the output one row above sees the input in its kernel's last row.
    np.testing.assert_allclose(out[:, 1, 3], kernel[2, 1, 1])
    np.testing.assert_allclose(out[:, 2, 4], kernel[1, 0, 1])
