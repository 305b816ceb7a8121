"""Documents of strangers, questions of auditors, manifests on disk: taken, or refused in words."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.errors import OAuthError
from application.foreign_jwt import imported, usable_keys
from application.outbound import OutboundFailed, _json_object
from application.registration.metadata import described
from application.strict_json import read_json
from domain.client_configuration import SIGNING_ALGORITHMS
from projections.as_of import UnreadableAsOf, parse_as_of
from projections.export.manifest import FORMAT, UnusableManifest, read_manifest
from projections.reports.parameters import UnusableParameter, given_values
from projections.reports.registry import REPORTS
from projections.retention.archive import read_archive
from tests.application.registration.scene import KEY, RegisteringService, a_document
from tests.builders import NOON
from tests.fuzz.mutations import ODD_VALUES, damaged, damaged_object, objects

METADATA = a_document(
    grant_types=["authorization_code", "refresh_token"],
    response_types=["code"],
    scope="openid mcp",
    token_endpoint_auth_method="private_key_jwt",
    jwks={"keys": [KEY.published]},
    dpop_bound_access_tokens=True,
    client_uri="https://client.example",
    software_id="s",
)
MANIFEST = {
    "format": FORMAT,
    "schema_version": 1,
    "issuer": "https://auth.example",
    "complete": True,
    "first_position": 1,
    "last_position": 2,
    "rows": 0,
    "bytes": 0,
    "first_recorded_at": None,
    "last_recorded_at": "2026-03-03T12:00:00Z",
    "gaps": [[1, 2]],
    "files": [],
}
MONTH = {
    "format": "grantledger month",
    "schema_version": 1,
    "issuer": "https://auth.example",
    "partition": "ledger_events_2026_01",
    "rows": 0,
    "first_position": 1,
    "last_position": 2,
    "audit_manifest_sha256": "0" * 64,
    "files": [{"path": "ledger/x", "rows": 1, "first_position": 1, "last_position": 1}],
}
MOMENTS = st.sampled_from(["2026-03-03T12:00:00Z", "-90d", "1042", "0001-01-01", "-99999d"])


@given(text=objects(METADATA), odd=st.dictionaries(st.sampled_from(sorted(METADATA)), ODD_VALUES))
def test_client_metadata(text: bytes, odd: dict[str, Any]) -> None:
    """Whatever a client says about itself is registered or an OAuthError; what is registered can be
    told back as JSON.
    """
    try:
        document = read_json(text)
    except ValueError:
        document = {**METADATA, **odd}
    if not isinstance(document, dict):
        return
    try:
        registered = asyncio.run(RegisteringService().register(**{**document, **odd}))
    except OAuthError:
        return

    told = json.dumps(described(registered.client), ensure_ascii=False).encode()
    assert b"\\u0000" not in told


@given(member=st.sampled_from(sorted(KEY.published)), odd=ODD_VALUES, data=st.data())
def test_published_keys(member: str, odd: Any, data: st.DataObject) -> None:
    """A key of others is usable, or it is none: no form of it fails."""
    near = data.draw(damaged(str(KEY.published[member])))
    for value in (odd, near):
        jwk = {**KEY.published, member: value}
        usable_keys([jwk], SIGNING_ALGORITHMS)
        for algorithm in SIGNING_ALGORITHMS:
            key = imported(jwk, algorithm)
            assert key is None or key.algorithm_name == algorithm


@given(body=damaged_object({"keys": [KEY.published], "issuer": "https://a.example"}) | st.binary())
def test_answers_of_others(body: bytes) -> None:
    """What another service answers is one JSON object that reads one way, or OutboundFailed."""
    try:
        found = _json_object(body, "a.example")
    except OutboundFailed:
        return

    assert read_json(body) == found


@given(text=MOMENTS.flatmap(damaged) | st.text(max_size=20))
def test_moments_and_positions(text: str) -> None:
    """A position of the log, a moment in UTC, or UnreadableAsOf."""
    try:
        found = parse_as_of(text, now=NOON)
    except UnreadableAsOf:
        return

    if isinstance(found, datetime):
        assert found.tzinfo is UTC
    else:
        assert 0 <= found < 2**62


@given(report=st.sampled_from(REPORTS), data=st.data())
def test_parameters_of_reports(report: Any, data: st.DataObject) -> None:
    """Values that the database takes, or UnusableParameter."""
    names = st.sampled_from([one.name for one in report.parameters] or ["none"])
    values = MOMENTS.flatmap(damaged) | st.text(max_size=9) | st.integers().map(str)
    given_ = data.draw(st.dictionaries(names, values, max_size=3))
    try:
        found = given_values(report, given_, now=NOON)
    except UnusableParameter:
        return

    assert all("\0" not in value for value in found.values() if isinstance(value, str))


@pytest.mark.parametrize(
    ("valid", "read"), [(MANIFEST, read_manifest), (MONTH, read_archive)], ids=["export", "month"]
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_manifests(valid: Any, read: Any, tmp_path: Path, data: st.DataObject) -> None:
    """What lies on disk is a manifest of ours, or UnusableManifest."""
    (tmp_path / "manifest.json").write_bytes(data.draw(damaged_object(valid)))
    try:
        read(tmp_path)
    except UnusableManifest:
        return
