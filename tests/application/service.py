"""The parts that use cases are handed, put together from fakes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from application.client_authentication import AuthenticatedClient
from application.derived_tokens import DerivedTokens
from application.forged_tokens import ForgedTokenRecorder
from application.key_material import public_jwk
from application.outbound import Outbound
from application.present_authority import PresentAuthority
from application.rate_limit_settings import RateLimitSettings
from application.rate_limits import Counter, RateLimits
from application.request_context import RequestContext
from application.secret_keys import MasterKeys, Peppers, SecretKey
from application.token_keys import TokenKeys
from application.trusted_issuers import TrustedIssuers
from application.turns import Turns
from application.windows_in_memory import MemoryWindows
from domain.client import Client
from domain.client_configuration import AUTHENTICATION_METHODS
from domain.issuance import DeploymentPolicy
from domain.permissions import Catalogue
from domain.provenance import Origin, Provenance
from domain.signing_key import SigningKey
from tests.application.fakes import (
    FakeClock,
    MemoryDirectory,
    MemoryKeyStore,
    MemoryLog,
    PatientDevices,
    SequentialIds,
)
from tests.builders import CATALOGUE, NOON, POLICY

ISSUER = "https://auth.example"
OLD_PEPPER = SecretKey("pepper-0", b"o" * 32)
PEPPER = SecretKey("pepper-1", b"p" * 32)
MASTER_KEY = SecretKey("master-1", b"m" * 32)
ORIGIN = Origin(address="address-hash", user_agent="agent-hash")


@dataclass
class FakeService:
    """Everything that a use case may ask of its service."""

    log: MemoryLog = field(default_factory=MemoryLog)
    clock: FakeClock = field(default_factory=FakeClock)
    ids: SequentialIds = field(default_factory=SequentialIds)
    key_store: MemoryKeyStore = field(default_factory=MemoryKeyStore)
    keys: TokenKeys = field(default_factory=lambda: TokenKeys(issuer=ISSUER, algorithms=("ES256",)))
    peppers: Peppers = field(default_factory=lambda: Peppers([PEPPER, OLD_PEPPER]))
    master_keys: MasterKeys = field(default_factory=lambda: MasterKeys([MASTER_KEY]))
    policy: DeploymentPolicy = POLICY
    jwks_max_age: int = 300
    catalogue: Catalogue = CATALOGUE

    auth_methods: frozenset[str] = frozenset(AUTHENTICATION_METHODS)
    session_lifetime: timedelta = timedelta(hours=12)
    pace: PatientDevices = field(default_factory=PatientDevices)

    def __post_init__(self) -> None:
        self.directory = MemoryDirectory(self.log)
        self.trusted = TrustedIssuers(self.directory, Outbound(), issuer=ISSUER)
        self.derived = DerivedTokens(self.peppers)
        self.turns = Turns()
        self.authority = PresentAuthority(self.log, self.directory, self.catalogue)
        self.forgeries = ForgedTokenRecorder(
            log=self.log, clock=self.clock, ids=self.ids, process="p-1"
        )
        self.limit()

    @property
    def minter(self) -> TokenKeys:
        """What signs."""
        return self.keys

    @property
    def verifier(self) -> TokenKeys:
        """What tells our tokens from others."""
        return self.keys

    def limit(self, **settings: Any) -> None:
        """Change how often costly things may be asked for."""
        counter = Counter(self.clock, MemoryWindows(self.clock))
        self.rate_limits = RateLimits(RateLimitSettings(**settings), counter, own=counter)

    def with_policy(self, **settings: Any) -> None:
        """Change the policy of the deployment."""
        self.policy = replace(self.policy, **settings)


def a_signing_key(
    private: PrivateKeyTypes,
    algorithm: str,
    *,
    generated_at: datetime = NOON,
    activated_at: datetime | None = NOON,
) -> SigningKey:
    """Return the key whose private half is `private`; it signs unless `activated_at` is None."""
    kid, jwk = public_jwk(private, algorithm)
    key = SigningKey.generate(
        kid=kid, algorithm=algorithm, public_jwk=jwk, provenance=Provenance(generated_at, "req_1")
    )
    if activated_at is not None:
        key.activate(Provenance(activated_at, "req_1"))
    return key


def token_keys(private_keys: Mapping[str, PrivateKeyTypes], *algorithms: str) -> TokenKeys:
    """Return keys that sign with `private_keys`, given by algorithm; `algorithms` are offered."""
    known = {
        algorithm: a_signing_key(private_keys[algorithm], algorithm) for algorithm in algorithms
    }
    keys = TokenKeys(issuer=ISSUER, algorithms=algorithms)
    keys.update(
        known.values(), {key.kid: private_keys[name] for name, key in known.items()}, now=NOON
    )
    return keys


def authenticated(client: Client) -> AuthenticatedClient:
    """Return `client` as one that proved who it is."""
    return AuthenticatedClient(client, "client_secret_basic", "secret-1")


def context(moment: datetime = NOON) -> RequestContext:
    """Return the circumstances of a request at `moment`."""
    return RequestContext(Provenance(moment, "req_7", "00-trace"), ORIGIN)
