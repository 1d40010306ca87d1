"""The official outputs, for the tests marked `golden`; without their folder these fail."""

import pytest
import torch
from golden import Reference, golden_folder


@pytest.fixture(scope="session")
def golden_root():
    folder = golden_folder()
    if not (folder / "vel_e64.npz").exists():
        pytest.fail(f"no golden arrays in {folder}; set GOLDEN_ARRAYS", pytrace=False)
    return folder


@pytest.fixture(scope="session")
def reference(golden_root, request):
    """The `Reference` of a case's name and a precision, given as an indirect parameter."""
    name, precision = request.param.split("-")
    return Reference(golden_root, name, getattr(torch, precision))
