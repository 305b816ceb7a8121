"""Asking a client for a token by client_credentials, a minute and a bit after noon."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from domain.access_token import AccessToken
from domain.client import Client
from domain.issuance import DeploymentPolicy
from domain.principal import Principal
from tests.builders import NOON, POLICY, SIGNING, a_principal, a_request, later, stream_id

API = "https://api.example"
HERE, THERE = "https://a.example", "https://b.example"
OWNER = a_principal(roles=("user",))
ADMIN = a_principal(roles=("admin", "user"))
TOKEN_ID = stream_id(NOON)
ISSUED_AT = NOON + timedelta(seconds=61.75)
ISSUING = replace(later(1), occurred_at=ISSUED_AT)


def issue(
    client: Client,
    *,
    owner: Principal | None = None,
    policy: DeploymentPolicy = POLICY,
    **wishes: Any,
) -> AccessToken:
    """Ask `client` for a token."""
    return client.issue_token(
        a_request(token_id=TOKEN_ID, **wishes),
        grant_type="client_credentials",
        owner=owner,
        policy=policy,
        signing=SIGNING,
        provenance=ISSUING,
    )
