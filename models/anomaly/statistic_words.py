"""The statistics of verdicts in words, for people who did not read how they are computed.

Torch-free.
"""

import re

_QUARTERS = ("first", "second", "third", "last")
_OCTAVES = ("coarsest", "second coarsest", "second finest", "finest")
_WORDS = {
    "codec_bits": "Detail: length as a lossless WebP.",
    "defect": "The place that looks most like a defect.",
    "excess_bits": "What the model needs beyond the image's detail.",
    "latent_mass": "Confidence in the image's noise schedule.",
    "log_det": "Change of volume on the way to noise.",
    "log_prior": "Likelihood of the noise that the image becomes.",
    "log_px_given_z": "Likelihood of the image.",
    "normality": "Distance of the image's noise from normal noise.",
    "outside": "What the main patterns of good images leave over.",
    "rarity": "Rarity of the image as a whole.",
    "typicality": "Distance of the likelihood from that of good images.",
}
_NUMBERED = {
    "level": "Noise seen in the image itself at noise level {number}, the cleanest being 1.",
    "denoising": "Surprise when noise is removed, {quarter} quarter of the noise levels.",
    "path_curvature": "Bends of the way to noise, {quarter} quarter.",
    "path_rate": "Length of the way to noise, {quarter} quarter.",
    "spectrum": "Power of the image's noise, {octave} octave.",
}


def in_words(name: str) -> str:
    """Return a sentence on a statistic. Raises KeyError for one that is not known."""
    if name in _WORDS:
        return _WORDS[name]
    match = re.fullmatch(r"(\w+)_(\d+)", name)
    if match is None:
        raise KeyError(name)
    words, number = _NUMBERED[match[1]], int(match[2])
    part = (number - 1) % len(_QUARTERS)
    return words.format(number=number, quarter=_QUARTERS[part], octave=_OCTAVES[part])
