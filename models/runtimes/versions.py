"""Names of the builds on which the bytes of a result depend."""

import torch


def torch_version(device: torch.device) -> str:
    """Return torch's version with the instruction set that it uses on `device`, as
    `torch-2.13.0-avx512` or `torch-2.13.0-sm90`."""
    version = f"torch-{torch.__version__.partition('+')[0]}"
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"{version}-sm{major}{minor}"
    return f"{version}-{torch.backends.cpu.get_cpu_capability().lower()}"
