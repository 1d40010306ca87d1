"""Every kind of work that is served: one folder each, and one line here."""

from importlib import import_module

from service.kind import AnyKind


def _kind(name: str) -> AnyKind:
    kind: AnyKind = import_module(f"{__name__}.{name}").KIND
    return kind


KINDS: dict[str, AnyKind] = {
    name: _kind(name)
    for name in (
        "samples",
        "likelihoods",
        "anomalies",
        "schedules",
    )
}
