"""The models of the protocol: each served checkpoint in as many variants as there are kinds of
work with a form in tensors."""

from collections.abc import Iterator
from typing import NamedTuple

from service.catalogue import Catalogue, ServedModel
from service.errors import BadRequest, UnknownModel
from service.kind import AnyKind
from service.kinds import KINDS
from service.tensor_form import TensorForm

# The version by which a client asks for whatever checkpoint is served at present.
CURRENT = "1"


class Variant(NamedTuple):
    """A served checkpoint and one kind of work on it."""

    name: str
    kind: AnyKind
    form: TensorForm
    model: ServedModel

    @property
    def versions(self) -> tuple[str, ...]:
        """The version that is always there, and the checkpoint's SHA-256."""
        return CURRENT, self.model.checkpoint

    @property
    def lack(self) -> str:
        """The reason why this checkpoint cannot do this work; empty if it can."""
        try:
            self.form.check(self.model)
        except BadRequest as error:
            return error.detail
        return ""


def find(name: str, version: str | None, catalogue: Catalogue) -> Variant:
    """Return the variant of this name, `NAME` or `NAME.suffix`. Raises UnknownModel, also for a
    version that is not served, and NotReady."""
    stem, _, suffix = name.rpartition(".")
    kinds = {form.suffix: kind for kind, form in _forms()}
    served = {model.name for model in catalogue}
    if name in served or suffix not in kinds or not (stem and suffix):
        stem, suffix = name, ""
    kind = kinds[suffix]
    assert kind.tensors is not None
    found = Variant(name, kind, kind.tensors, catalogue.get(stem))
    if version is not None and version not in found.versions:
        raise UnknownModel(f"{name} has no such version; versions: {', '.join(found.versions)}")
    return found


def every(catalogue: Catalogue) -> Iterator[Variant]:
    """Yield all variants of all served checkpoints."""
    for model in catalogue:
        for kind, form in _forms():
            name = f"{model.name}.{form.suffix}" if form.suffix else model.name
            yield Variant(name, kind, form, model)


def _forms() -> Iterator[tuple[AnyKind, TensorForm]]:
    for kind in KINDS.values():
        if kind.tensors is not None:
            yield kind, kind.tensors
