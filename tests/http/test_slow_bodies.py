"""A body that never ends is given up, at pages and at JSON endpoints as at those of tokens."""

import asyncio
from typing import Any

import httpx
import pytest
from litestar import Litestar, Request, Response, post

from api.app import _JsonRequest
from application.errors import InvalidRequest


class HastyRequest(_JsonRequest):
    """A request whose body has little time."""

    body_seconds = 0.05


@post("/{how:str}")
async def read(request: Request[Any, Any, Any]) -> None:
    """Read the body in one of the ways that handlers have."""
    await getattr(request, request.path_params["how"])()


def _refused(_: Request[Any, Any, Any], error: InvalidRequest) -> Response[str]:
    return Response(error.description, status_code=400)


async def _never_ending() -> Any:
    yield b"a="
    await asyncio.Event().wait()


@pytest.mark.parametrize("how", ["body", "json", "form"])
async def test_a_body_that_never_ends_is_given_up(how: str) -> None:
    """However a handler reads it: nobody holds a request open for longer than that."""
    app: Any = Litestar(
        [read],
        request_class=HastyRequest,
        exception_handlers={InvalidRequest: _refused},
    )
    form = {"content-type": "application/x-www-form-urlencoded"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:
        answered = await http.post(f"/{how}", content=_never_ending(), headers=form)

    assert (answered.status_code, answered.text) == (400, "the body did not arrive in time")
