"""The networks that a configuration asks for."""

from models.network.diffusers_unet import DiffusersUnet
from models.network.mulan import Mulan
from models.network.network import Network
from models.schema.architectures import AnyConfig
from models.schema.mulan import MulanConfig


def build(config: AnyConfig) -> Network:
    """Return the networks of `config` with untrained weights, on torch's default device.

    Raises MissingExtraError where an architecture needs a package that is not installed.
    """
    return Mulan(config) if isinstance(config, MulanConfig) else DiffusersUnet(config)
