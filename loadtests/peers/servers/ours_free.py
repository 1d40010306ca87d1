"""The command `mulan` on networks that answer at once."""

from typing import Any

import service.loading
from loadtests.peers.core import FreeDenoiser
from models.rows.denoiser import Denoiser
from service.cli import main
from service.rows import Served


def served(denoiser: Denoiser, *others: Any) -> Served:
    """Return what a worker serves, with a free network."""
    return Served(FreeDenoiser(denoiser), *others)


if __name__ == "__main__":
    setattr(service.loading, "Served", served)  # noqa: B010
    main()
