"""What every route works with."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.api.gate import Gate
from service.catalogue import Catalogue
from service.settings import Settings
from service.store.base import Store
from service.store.quotas import Quotas


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of one API process."""

    settings: Settings
    store: Store
    catalogue: Catalogue
    gate: Gate
    quotas: Quotas


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


InContext = Annotated[Context, Depends(_context)]
