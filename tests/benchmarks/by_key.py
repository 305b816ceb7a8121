"""Clients with keys: each request brings an assertion, or a proof (RFC 9449), of its own."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.application.dpop_key import DpopKey
from tests.benchmarks.families import TOKEN, administrator
from tests.benchmarks.load import DPOP, Target
from tests.benchmarks.service import RunningService, token_request
from tests.waiting import eventually

CLIENT = "bench-key"
MOST_A_SECOND = 5000
"""More than any machine that this runs on would use up."""
_FORM = (
    "grant_type=client_credentials&client_assertion_type="
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)


class ClientWithKey:
    """A client with an ES256 key, registered at `service`."""

    def __init__(self, service: RunningService) -> None:
        self._service = service
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        configuration: dict[str, Any] = {
            "client_id": CLIENT,
            "scopes": ["service", "mcp"],
            "authentication": {"method": "private_key_jwt", "jwks": [{**public, "kid": "1"}]},
        }
        registered = httpx.post(
            f"{service.url}/admin/clients", headers=administrator(service), json=configuration
        )
        assert registered.status_code == 201, registered.text
        eventually(lambda: all(self._known() for _ in range(12)))

    def request(self, seconds: float) -> Target:
        """Return the request for a token, with assertions for so many seconds."""
        once = tuple(self._assertion() for _ in range(int(MOST_A_SECOND * max(2, seconds))))
        return Target(
            f"{self._service.url}{TOKEN}", "", _FORM, once=once, once_name="client_assertion"
        )

    def _known(self) -> bool:
        # A connection of its own: one that is kept stays with its worker.
        form = dict(httpx.QueryParams(_FORM)) | {"client_assertion": self._assertion()}
        return httpx.post(f"{self._service.url}{TOKEN}", data=form).status_code == 200

    def _assertion(self) -> str:
        now = int(time.time())
        claims = {"iss": CLIENT, "sub": CLIENT, "aud": self._service.url}
        return jwt.encode(
            {**claims, "iat": now, "exp": now + 240, "jti": uuid4().hex},
            self._key,
            algorithm="ES256",
            headers={"kid": "1"},
        )


def with_proofs(service: RunningService, seconds: float) -> Target:
    """Return the demo client's request for a bound token, with proofs for so many seconds."""
    target, key = token_request(service), DpopKey()
    now = datetime.now(UTC)
    count = int(MOST_A_SECOND * max(2, seconds))
    proofs = tuple(key.proof(target.url, now) for _ in range(count))
    return replace(target, once=proofs, once_name=DPOP)
