"""The web application: one page, its stream of events, and a health check."""

from collections.abc import Iterable
from importlib.resources import files
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from .board import Board
from .events import EventStream
from .guard import Guard

STATIC: Final = str(files("presence.web").joinpath("static"))


def create_app(
    board: Board, *, stream: EventStream | None = None, allow_hosts: Iterable[str] = ()
) -> Starlette:
    """The application that shows `board`.

    Args:
        board: What is shown.
        stream: Serves `/events`; by default one with the usual patience. Close it before the
            server stops, or open pages keep it waiting.
        allow_hosts: Names it answers to besides the loopback ones.
    """

    async def page(_: Request) -> Response:
        return FileResponse(f"{STATIC}/index.html", media_type="text/html; charset=utf-8")

    async def health(_: Request) -> Response:
        up = await board.answers()
        return JSONResponse(
            {"redis": "up" if up else "down", "viewers": board.sampler.viewers},
            status_code=200 if up else 503,
        )

    return Starlette(
        routes=[
            Route("/", page),
            Route("/healthz", health),
            Route("/events", stream or EventStream(board), methods=["GET"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, allow_hosts=tuple(allow_hosts))],
    )
