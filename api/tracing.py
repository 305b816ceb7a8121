"""Whether this deployment wants OpenTelemetry traces, by the variables that OpenTelemetry names.

Nothing of OpenTelemetry is imported here: where nobody wants traces, or nobody installed what makes
them, a request runs through the same code as if there were none (api.spans).
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from application.settings import SettingsError

if TYPE_CHECKING:
    from api.spans import Traces

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
_NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def are_wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether a collector is named, or the exporter `otlp`, and traces are not turned off.

    OpenTelemetry, "Environment Variable Specification" and "OTLP Exporter Configuration".
    """
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    return exporter != "" or any(environment.get(name) for name in ENDPOINTS)


def require_traces(environment: Mapping[str, str]) -> None:
    """Raise SettingsError where traces are wanted that cannot be had, with what to do about it."""
    if not are_wanted(environment):
        return
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter not in ("", "otlp"):
        raise SettingsError("OTEL_TRACES_EXPORTER: only otlp and none are known here")
    for name in _PROTOCOLS:
        if environment.get(name, _PROTOCOL) != _PROTOCOL:
            raise SettingsError(f"{name}: only {_PROTOCOL} is known here")
    if not all(map(_installed, _NEEDED)):
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT: traces need the optional part otel:"
            " pip install 'grantledger[otel]', or OTEL_SDK_DISABLED=true"
        )


def traces_wanted(environment: Mapping[str, str]) -> "Traces | None":
    """Return what makes the traces of this process, None where nobody wants them.

    Raises SettingsError as `require_traces` does.
    """
    require_traces(environment)
    if not are_wanted(environment):
        return None
    from api.spans import Traces  # noqa: PLC0415  # needs what only the optional part brings

    return Traces(environment)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it is a part of
        return False
