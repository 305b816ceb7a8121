"""What runs in each API process: settings from the environment, one Service, one application."""

import gc

from litestar import Litestar

from api.app import create_app
from api.composition import Service
from api.logging_setup import configure_logging
from application.settings import load_settings


def application() -> Litestar:
    """Return the application of a worker. `serve` has put the effective settings into the
    environment, the database URL of the embedded server included.
    """
    settings = load_settings()
    configure_logging(settings.log_level)
    _calm_collector()
    if settings.database_url is None:
        raise RuntimeError("a worker is started by `grantledger serve`, which names its database")
    return create_app(Service(settings, settings.database_url.get_secret_value()))


def _calm_collector() -> None:
    """Collect garbage seldom: a request leaves next to none in cycles, and the default runs through
    every client in memory some hundred times a second (measured: 4% of the CPU).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
