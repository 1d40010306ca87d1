"""The command `mulan` on a network that answers at once."""

import service.loading
from loadtests.peers.core import FreeDenoiser
from service.cli import main

if __name__ == "__main__":
    setattr(service.loading, "warm_up", lambda model, _: FreeDenoiser(model))  # noqa: B010
    main()
