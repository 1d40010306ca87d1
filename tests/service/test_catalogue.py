"""What is served, by name and by checkpoint."""

import pytest

from models.schema.manifest import Manifest
from models.schema.mulan import MulanConfig
from service.catalogue import Catalogue
from service.errors import NotReady, UnknownModel

CONFIG = MulanConfig(image_shape=(4, 3, 1), vocabulary=17, width=8, depth=1, groups=4)


def manifest(name: str, sha256: str) -> Manifest:
    return Manifest.model_validate(
        {"name": name, "config": CONFIG.model_dump(), "sha256": sha256 * 64, "parameters": 1}
    )


def test_results_of_a_checkpoint_are_told_when_another_has_its_name() -> None:
    catalogue = Catalogue()
    old, new = ((manifest("digits", sha), "cpu", None) for sha in "ab")
    catalogue.replace([old])
    # While they are exchanged both are served, and then the new one alone.
    for served in ([old, new], [new], [new]):
        catalogue.replace(served)
        assert catalogue.get("digits").checkpoint == "b" * 64
        assert len(catalogue) == 1
        assert catalogue.by_checkpoint("a" * 64).manifest == old[0]


def test_what_was_unloaded_is_unknown_and_its_results_are_told() -> None:
    catalogue = Catalogue()
    catalogue.replace([(manifest("digits", "a"), "cpu", None)])
    catalogue.replace([], unloaded=["digits"])
    with pytest.raises(UnknownModel):
        catalogue.get("digits")
    assert catalogue.by_checkpoint("a" * 64).name == "digits"


def test_who_is_gone_is_told_from_who_never_was() -> None:
    catalogue = Catalogue()
    catalogue.replace([(manifest("digits", "a"), "cpu", None)])
    catalogue.replace([])
    with pytest.raises(NotReady, match="no worker serves 'digits' at the moment"):
        catalogue.get("digits")
    assert catalogue.by_checkpoint("a" * 64).name == "digits"
    with pytest.raises(UnknownModel):
        catalogue.get("letters")
    with pytest.raises(NotReady):
        catalogue.by_checkpoint("c" * 64)
