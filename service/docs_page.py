"""The home of /docs, served whole from here: a machine without internet shows it too."""

from importlib.resources import files
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.responses import HTMLResponse

STATIC: Final = "/docs/static"


def install(app: FastAPI) -> None:
    """Add the page and its three files, out of the package `fastapi-offline`."""
    page = get_swagger_ui_html(
        openapi_url=app.openapi_url or "",
        title=app.title,
        swagger_js_url=f"{STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{STATIC}/favicon.png",
    )

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return page

    app.mount(STATIC, StaticFiles(directory=str(files("fastapi_offline") / "static")))
