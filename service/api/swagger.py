"""GET /docs: Swagger UI, whose files are served here, so that it works without the internet.

The files are those of the package fastapi-offline, of whose code nothing is used.
"""

from importlib.resources import as_file, files
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse

router = APIRouter(include_in_schema=False)

_STATIC = files("fastapi_offline") / "static"
# The files have no version in their names, and change with the package.
_CACHED = {"Cache-Control": "max-age=3600"}

Asset = Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"]


@router.get("/docs")
async def docs() -> HTMLResponse:
    """The page, which reads /openapi.json."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="MULAN",
        swagger_js_url="/docs/assets/swagger-ui-bundle.js",
        swagger_css_url="/docs/assets/swagger-ui.css",
        swagger_favicon_url="/docs/assets/favicon.png",
    )


@router.get("/docs/assets/{name}")
async def asset(name: Annotated[Asset, Path()]) -> FileResponse:
    """One file of the page."""
    with as_file(_STATIC / name) as path:
        return FileResponse(path, headers=_CACHED)
