"""The API as one ASGI application."""

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from service.api import (
    documentation,
    events,
    health,
    jobs,
    metrics,
    models,
    playground,
    problem,
    repository,
    swagger,
    waiting,
)
from service.api.body_limit import BodyLimit
from service.api.context import Context
from service.api.gate import Gate
from service.api.methods import Head
from service.api.middleware import Authentication, Refusal, RequestId
from service.api.observing import Observation
from service.api.open_inference import routes as open_inference
from service.kinds import KINDS
from service.settings import Settings


def create_app(context: Context) -> FastAPI:
    """Routes, problems and middleware around `context`. Starts nothing."""
    app = FastAPI(
        title="MULAN",
        version=documentation.VERSION,
        summary=documentation.SUMMARY,
        description=documentation.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.context, app.state.gate = context, context.gate
    app.state.registry = context.metrics.registry
    settings = context.settings
    guarded = ("/v1", problem.OPEN_INFERENCE, *private(settings))
    app.add_middleware(
        BodyLimit, limit=settings.max_body_bytes, most_held=settings.max_pending_body_bytes
    )
    app.add_middleware(
        Authentication, digests=settings.api_keys, guarded=guarded, open=open_inference.OPEN
    )
    app.add_middleware(Refusal)
    app.add_middleware(RequestId)
    problem.install(app)
    routers = [waiting.router(kind) for kind in KINDS.values()]
    modules = (jobs, events, models, repository, open_inference, health, metrics, swagger)
    routers += [module.router for module in modules]
    routers.append(playground.router(settings.playground))
    for router in routers:
        app.include_router(router)
    documentation.install(app, keys=bool(settings.api_keys))
    routes = [*app.routes, *(route for router in routers for route in router.routes)]
    app.state.routes = routes
    app.add_middleware(Head, routes=routes)
    app.add_middleware(
        Observation, metrics=context.metrics.http, tracing=context.tracing, routes=routes
    )
    return app


def create_monitor(settings: Settings, gate: Gate, registry: CollectorRegistry) -> FastAPI:
    """The HTTP side of a worker: whether it lives, whether it is ready, and its metrics."""
    app = FastAPI(title="MULAN worker", openapi_url=None, redirect_slashes=False)
    app.state.gate, app.state.registry = gate, registry
    app.add_middleware(Authentication, digests=settings.api_keys, guarded=private(settings))
    app.add_middleware(Refusal)
    app.add_middleware(RequestId)
    problem.install(app)
    for module in (health, metrics):
        app.include_router(module.router)
    app.state.routes = [*health.router.routes, *metrics.router.routes]
    app.add_middleware(Head, routes=app.state.routes)
    return app


def private(settings: Settings) -> tuple[str, ...]:
    """Paths outside /v1 and /v2 that ask for a key."""
    docs = ("/docs", "/openapi.json") if settings.private_docs else ()
    return (*docs, "/metrics") if settings.private_metrics else docs
