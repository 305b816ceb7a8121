"""Health, readiness, metrics, the OpenAPI document and the page that explains errors."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from api.error_page import explained_codes
from api.metrics import forget_dead_processes
from application.errors import OAuthError
from tests.http.live import Live


def test_readiness_names_every_part(live: Live) -> None:
    """Database, writer, key and the lag of each projection."""
    answer = live.http.get("/readyz").json()

    assert live.http.get("/healthz").text == "ok\n"
    assert answer["ready"] is answer["database"] is answer["writer"] is True
    assert answer["signing_key"] is True
    assert set(answer["projections"]) == {
        "audit_trail",
        "client_last_used",
        "sessions",
        "delegations",
        "forged_tokens",
    }


def test_metrics_parse_and_count_requests_of_all_workers(live: Live) -> None:
    """What Prometheus scrapes is well-formed, and whoever is asked answers for both workers."""
    before = _issued(live.http)
    for _ in range(20):
        live.token()
    families = text_string_to_metric_families(live.http.get("/metrics").text)
    metrics = {family.name for family in families}

    assert _issued(live.http) - before >= 20
    assert {
        "grantledger_requests",
        "grantledger_request_seconds",
        "grantledger_ledger_available",
        "grantledger_projection_lag_seconds",
    } <= metrics


def _issued(http: httpx.Client) -> float:
    for family in text_string_to_metric_families(http.get("/metrics").text):
        for sample in family.samples:
            if sample.name == "grantledger_requests_total" and sample.labels == {
                "endpoint": "token",
                "outcome": "ok",
            }:
                return float(sample.value)
    return 0.0


def test_the_openapi_document_describes_the_oauth_endpoints(live: Live) -> None:
    """Form bodies with examples, answers with schemas, and the errors that may come."""
    document = live.http.get("/schema/openapi.json").json()

    for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke"):
        operation = document["paths"][path]["post"]
        form = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
        assert form["required"]
        assert all(member["description"] for member in form["properties"].values())
        assert {"200", "400", "401", "413", "503"} <= set(operation["responses"])
    token = document["paths"]["/oauth/token"]["post"]["responses"]["200"]
    assert "access_token" in token["content"]["application/json"]["schema"]["required"]
    assert "/admin/clients/{client_id}" in document["paths"]


def test_every_error_code_is_explained(live: Live) -> None:
    """error_uri leads to a page with the code in it, without a script and in no frame."""
    response = live.http.get("/errors")
    codes = {error.code for error in _all(OAuthError) if hasattr(error, "code")}

    assert explained_codes() == codes
    for code in codes:
        assert f'id="{code}"' in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert "<script" not in response.text


def _all(kind: type[OAuthError]) -> list[type[OAuthError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _all(child))]


def test_unknown_paths_and_methods_are_clear_errors(live: Live) -> None:
    """404 and 405 in the one form of this service, never a stack trace."""
    missing = live.http.get("/nowhere")
    wrong = live.http.delete("/admin/clients")

    assert missing.status_code == 404
    assert missing.json()["error"] == "not_found"
    assert wrong.status_code == 405
    assert "GET" in wrong.headers["allow"]


def test_what_dead_workers_said_of_themselves_counts_no_more(tmp_path: Path) -> None:
    """A worker that died while its log was away would be the least available one for ever."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    kinds = ("gauge_livemin", "gauge_livesum", "counter")
    for name in (f"{kind}_{pid}.db" for kind in kinds for pid in (dead.pid, os.getpid())):
        (tmp_path / name).touch()
    forget_dead_processes(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}

    assert left == {
        f"counter_{dead.pid}.db",  # what was counted was counted
        *(f"{kind}_{os.getpid()}.db" for kind in kinds),
    }
