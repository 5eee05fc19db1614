"""Serve /docs entirely from here, so that a machine without internet shows it too."""

import base64
import hashlib
import re
from importlib.resources import files
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.responses import HTMLResponse, JSONResponse

from service.http.layers.security_headers import CONTENT_SECURITY_POLICY
from service.http.scopes import READ

ADDRESS: Final = "/openapi.json"
STATIC: Final = "/docs/static"

_INLINE: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def install(app: FastAPI) -> None:
    """Add the document, the page, and its three files out of the package `fastapi-offline`."""
    page = get_swagger_ui_html(
        openapi_url=ADDRESS,
        title=app.title,
        swagger_js_url=f"{STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{STATIC}/favicon.png",
    )
    page.headers[CONTENT_SECURITY_POLICY.decode()] = _policy(bytes(page.body))

    @app.get(ADDRESS, include_in_schema=False, dependencies=[READ])
    def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())

    @app.get("/docs", include_in_schema=False, dependencies=[READ])
    def docs() -> HTMLResponse:
        return page

    app.mount(STATIC, StaticFiles(directory=str(files("fastapi_offline") / "static")))


def _policy(page: bytes) -> str:
    """What the page may do: load its own files, run its own script, ask this server.

    Swagger UI writes styles into its elements and shows pictures out of its style sheet.
    """
    scripts = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
        for script in _INLINE.findall(page)
    )
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'self'"
    )
