"""GET /: the playground, a page of static files that uses the public API alone."""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.staticfiles import StaticFiles

FILES = Path(__file__).parents[1] / "web"
# Nothing but files of this service runs or is shown, and no text becomes markup.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def router(is_on: bool) -> APIRouter:
    """Return the routes of the page, or, where it is off, one from / to the documentation."""
    routes = APIRouter(include_in_schema=False)
    if not is_on:
        routes.add_api_route("/", _documentation)
        return routes
    files = StaticFiles(directory=FILES)

    async def file(request: Request, path: str = "index.html") -> Response:
        # Files are sent whole: a range that is none must not make an error of its own form.
        request.scope["headers"] = [
            header for header in request.scope["headers"] if header[0] != b"range"
        ]
        answer = await files.get_response(path, request.scope)
        answer.headers.update(_HEADERS)
        return answer

    routes.add_api_route("/", file)
    routes.add_api_route("/web/{path:path}", file)
    return routes


async def _documentation() -> RedirectResponse:
    return RedirectResponse("/docs")
