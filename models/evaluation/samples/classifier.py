"""A small classifier of real images, to judge generated ones by."""

import math
import sys

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import trange

from models.files.images import Labels, Tokens
from models.schema.errors import DataError

FEATURES = 128
STEPS, BATCH = 1500, 128
LEARNING_RATE, WEIGHT_DECAY, DROPOUT = 2e-3, 0.01, 0.3


class Classifier(nn.Module):
    """Three convolutions, two of them halving the image, and two dense layers."""

    def __init__(self, image_shape: tuple[int, int, int], vocabulary: int, classes: int) -> None:
        super().__init__()
        height, width, channels = image_shape
        self.vocabulary, self.classes = vocabulary, classes
        self.body = nn.Sequential(
            nn.Conv2d(channels, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * math.ceil(height / 4) * math.ceil(width / 4), FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(FEATURES, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[N, classes]` of tokens `[N, H, W, C]`."""
        logits: Tensor = self.head(self.embedded(images))
        return logits

    @torch.no_grad()
    def probabilities(self, images: Tokens) -> Tensor:
        """Return the probability of each class `[N, classes]`, for tokens `[N, H, W, C]`."""
        parts = torch.split(torch.from_numpy(images), BATCH)
        return torch.cat([self(part).softmax(dim=1) for part in parts])

    @torch.no_grad()
    def features(self, images: Tokens) -> Tensor:
        """Return the last layer but one, float64 `[N, FEATURES]`, for tokens `[N, H, W, C]`."""
        parts = torch.split(torch.from_numpy(images), BATCH)
        return torch.cat([self.embedded(part) for part in parts]).double()

    def embedded(self, images: Tensor) -> Tensor:
        """Return the last layer but one `[N, FEATURES]`, for tokens, or values between them, `[N,
        H, W, C]`."""
        x = 2 * (images.permute(0, 3, 1, 2).double() + 0.5) / self.vocabulary - 1
        found: Tensor = self.body(x.float())
        return found


def turned(images: Tokens) -> tuple[Tokens, Labels]:
    """Return each of the images `[N, H, W, C]` in one of several positions, and the positions
    `[N]`, by which a classifier learns features of images without classes (Gidaris et al., 2018).

    Square images are turned by quarters, others are turned over their sides.
    """
    places = np.arange(len(images)) % 4
    out = images.copy()
    square = images.shape[1] == images.shape[2]
    for place in range(1, 4):
        rows = images[places == place]
        if square:
            rows = np.rot90(rows, place, axes=(1, 2))
        else:
            rows = np.flip(rows, tuple(axis for axis in (1, 2) if place & axis))
        out[places == place] = rows
    return out, places.astype(np.int64)


def fit_classifier(images: Tokens, labels: Labels, vocabulary: int, seed: int = 0) -> Classifier:
    """Train on tokens `[N, H, W, C]` and classes `[N]`; about a minute for 28x28 on one core.

    Determined by the seed. Raises DataError unless there is a label for every image.
    """
    if len(images) != len(labels):
        raise DataError(f"{len(images)} images, {len(labels)} labels")
    _, height, width, channels = images.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Classifier((height, width, channels), vocabulary, int(labels.max()) + 1)
        optimiser = torch.optim.AdamW(
            model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
        order = np.random.Generator(np.random.PCG64(seed))
        for _ in trange(STEPS, desc="classifier", file=sys.stderr, leave=False):
            rows = order.integers(len(images), size=BATCH)
            logits = model(torch.from_numpy(images[rows]))
            loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels[rows]))
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            decay.step()
    return model.eval().requires_grad_(False)
