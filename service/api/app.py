"""The API as one ASGI application."""

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from service.api import (
    anomalies,
    documentation,
    events,
    health,
    jobs,
    likelihoods,
    models,
    problem,
    samples,
)
from service.api.context import Context
from service.api.middleware import Authentication, BodyLimit, RequestId


def create_app(context: Context) -> FastAPI:
    """Routes, problems and middleware around `context`. Starts nothing."""
    app = FastAPI(
        title="MULAN",
        version=documentation.VERSION,
        summary=documentation.SUMMARY,
        description=documentation.DESCRIPTION,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context = context
    settings = context.settings
    guarded = ("/v1", "/docs", "/openapi.json") if settings.private_docs else ("/v1",)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes)
    app.add_middleware(Authentication, digests=settings.api_keys, guarded=guarded)
    app.add_middleware(RequestId)
    problem.install(app)
    for module in (samples, likelihoods, anomalies, jobs, events, models, health):
        app.include_router(module.router)
    app.add_api_route("/", _home, include_in_schema=False)
    documentation.install(app, keys=bool(settings.api_keys))
    return app


async def _home() -> RedirectResponse:
    return RedirectResponse("/docs")
