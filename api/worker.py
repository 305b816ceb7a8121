"""What runs in each API process: settings from the environment, one Service, one application."""

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping

from litestar.types import ASGIApp

from api.app import create_app
from api.composition import Service
from api.direct import Direct
from api.logging_setup import configure_logging
from api.parent_process import when_parent_ends
from api.token_endpoint import token_endpoints
from api.tracing import traces_wanted
from application.ledger.ledger import Ledger
from application.settings import Settings, load_settings


def application() -> ASGIApp:
    """Return the application of a worker."""
    return composed(lambda _: {})


def composed(beside: Callable[[Service], Mapping[str, ASGIApp]]) -> ASGIApp:
    """Return the same with what `beside` makes, by path, next to its own direct endpoints."""
    settings = load_settings()
    # Before traces, which name themselves in the lines of the handlers that there are.
    configure_logging(settings.log_level, settings.log_format)
    traces = traces_wanted(os.environ)
    if traces is None:
        service = service_of_worker(settings)
        plain: Mapping[str, ASGIApp] = {**token_endpoints(service), **beside(service)}
        return Direct(create_app(service), plain, begin=service.log.epoch.begin)
    service = service_of_worker(settings, traces.ledger)
    direct: Mapping[str, ASGIApp] = {
        **token_endpoints(service, traces.endpoint),
        **beside(service),
    }
    app = Direct(create_app(service), direct, begin=service.log.epoch.begin)
    return traces.around(app, direct.keys())


def service_of_worker(settings: Settings, ledger: type[Ledger] = Ledger) -> Service:
    """Return the Service of this process, on a log of that kind. `serve` has put the effective
    settings into the environment, the database URL of the embedded server included.
    """
    _calm_collector()
    _end_with_parent()
    if settings.database_url is None:
        raise RuntimeError("a worker is started by `grantledger serve`, which names its database")
    return Service(settings, settings.database_url.get_secret_value(), ledger=ledger)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        when_parent_ends(parent.pid, lambda: os.kill(os.getpid(), signal.SIGTERM))


def _calm_collector() -> None:
    """Collect garbage seldom: a request leaves next to none in cycles, and the default runs through
    every client in memory some hundred times a second (measured: 4% of the CPU).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
