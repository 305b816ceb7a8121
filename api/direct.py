"""The endpoints that a token passes on its way, reached without the framework in between.

The framework routes, keeps its own state and handles exceptions for everything it is asked. These
endpoints parse and answer for themselves and let no exception out (api.oauth_endpoint), so that all
of it is for nothing: 30 to 50 microseconds a request, more than a tenth of a token.
"""

from collections.abc import Callable, Mapping

from litestar.types import ASGIApp, Receive, Scope, Send


class Direct:
    """The ASGI application of a process: `endpoints` by their paths, and `rest` for all others.

    `begin` is called as each request begins, in its own context.
    """

    def __init__(
        self,
        rest: ASGIApp,
        endpoints: Mapping[str, ASGIApp],
        *,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._rest = rest
        self._endpoints = endpoints
        self._begin = begin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the events of the process's life are the framework's."""
        path = ""
        if scope["type"] == "http":  # type: ignore[comparison-overlap]
            path = scope["path"]
            self._begin()
        await self._endpoints.get(path, self._rest)(scope, receive, send)
