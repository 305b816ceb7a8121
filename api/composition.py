"""The composition root: one process's parts, wired once, started and stopped in order."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from urllib.parse import urlsplit

import psycopg
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from api import metrics
from api.client_certificate import thumbprint_of
from api.own_resource import OwnResourceServer
from api.read_models import ReadModels
from api.registration_parts import (
    disable_unused_clients,
    metadata_documents,
    registration_rules,
)
from application.audit_reading import AuditReadingRecorder
from application.authorization.device import DevicePace
from application.certificate_authorities import load_authorities
from application.certificate_clients import CertificateClients
from application.client_assertions import ClientAssertions
from application.client_keys import ClientKeys
from application.clock import RandomIds, SystemClock
from application.denials import DenialRecorder
from application.derived_tokens import DerivedTokens
from application.directory import LogDirectory
from application.dpop import DpopProofs
from application.dpop_nonces import DpopNonces
from application.forged_tokens import ForgedTokenRecorder
from application.key_material import load_private_key
from application.ledger.key_store import WrappedKeys
from application.ledger.ledger import Ledger
from application.ledger.link import Link
from application.ledger.log_loss import LossRecorder
from application.ledger.schema import migrate
from application.one_time_values import OneTimeValues
from application.outbound import Outbound
from application.people.credentials import Credentials
from application.people.passkeys import Passkeys
from application.people.passwords import Passwords
from application.people.throttle import LoginThrottle
from application.people.upstream import UpstreamProvider, upstream_of
from application.ports import Ids
from application.present_authority import PresentAuthority
from application.profiles import FAPI2
from application.rate_limits import Counter, RateLimits
from application.sealing import Sealing
from application.secret_keys import MasterKeyMismatch
from application.secrets_file import load_secret_keys
from application.settings import Settings
from application.side_tables import SideTables
from application.token_keys import TokenKeys
from application.trusted_issuers import TrustedIssuers
from application.turns import Turns
from application.usage import UsageRecorder
from application.used_names import UsedNames
from application.windows_in_memory import MemoryWindows
from application.windows_in_postgresql import PostgresWindows, postgres_windows
from domain.recorded import escaped
from domain.signing_key import KeyState, SigningKey
from projections.alarms import Alarm, unreadable_streams
from projections.session import open_session

_log = logging.getLogger(__name__)

PROTECTED_RESOURCE_PATH = "/.well-known/oauth-protected-resource"

DENIAL_SECONDS = 1.0
KEYS_SECONDS = 30.0
METRICS_SECONDS = 1.0
PARTITIONS_SECONDS = 3600.0
SWEEP_SECONDS = 300.0
UNUSED_SECONDS = 3600.0
PENDING_SECONDS = 1800
"""How long a login or consent page may stay open."""


class Service:
    """Everything that routes and commands work with. Use as an asynchronous context manager."""

    def __init__(
        self, settings: Settings, database_url: str, *, ledger: type[Ledger] = Ledger
    ) -> None:
        self.settings = settings
        self.database_url = database_url
        self.catalogue = settings.catalogue()
        self.policy = settings.policy(self.catalogue)
        self.details = settings.authorization_details()
        self.peppers, self.master_keys = load_secret_keys(settings)
        self.auth_methods = frozenset(settings.client_auth_methods)
        self.jwks_max_age = settings.jwks_max_age
        self.clock = SystemClock()
        self.ids = RandomIds()
        self.log = ledger(database_url)
        process = escaped(f"{socket.gethostname()}:{os.getpid()}")
        self.directory = _directory(self.log, database_url, ids=self.ids, process=process)
        self.key_store = WrappedKeys(Link(database_url, name="keys", epoch=self.log.epoch))
        self.read_models = ReadModels(database_url)
        self.keys = TokenKeys(issuer=settings.issuer_url, algorithms=settings.signing_algorithms)
        self.minter = self.verifier = self.keys
        self.derived = DerivedTokens(self.peppers)
        self.turns = Turns()
        self.session_lifetime = timedelta(seconds=settings.session_lifetime)
        self.side_tables = SideTables(database_url, epoch=self.log.epoch)
        self.one_time = OneTimeValues(self.side_tables)
        self.used = UsedNames(self.side_tables)
        self.nonces = DpopNonces(self.peppers, seconds=settings.dpop_nonce_seconds)
        self.proofs = DpopProofs(
            self.used, self.nonces, algorithms=settings.verification_algorithms
        )
        self.authority = PresentAuthority(self.log, self.directory, self.catalogue)
        self.resource_server, self.userinfo_server = self._resource_servers()
        own = MemoryWindows(self.clock)
        self.shared_windows: PostgresWindows | None = postgres_windows(
            settings, database_url, self.clock
        )
        self.rate_limits = RateLimits(
            settings,
            Counter(self.clock, own, self.shared_windows),
            own=Counter(self.clock, own),
        )
        self.pace = DevicePace(self.one_time)
        self.pending = Sealing(self.peppers, purpose="pending request", seconds=PENDING_SECONDS)
        self.credentials = Credentials(self.side_tables)
        self.passwords = Passwords(self.credentials, self.peppers)
        self.throttle = LoginThrottle(self.side_tables, self.peppers)
        self.passkeys = Passkeys(
            self.credentials,
            self.one_time,
            rp_id=urlsplit(settings.issuer_url).hostname or "",
            rp_name="Grantledger",
            origin="{0.scheme}://{0.netloc}".format(urlsplit(settings.issuer_url)),
        )
        outbound = Outbound(private_hosts=settings.outbound_private_hosts)
        of_clients = Outbound(private_hosts=settings.client_private_hosts, of_strangers=True)
        self.registration = registration_rules(settings, self.catalogue, outbound)
        self.documents = metadata_documents(settings)
        self.trusted = TrustedIssuers(self.directory, outbound, issuer=settings.issuer_url)
        self.assertions = ClientAssertions(
            self.directory,
            outbound,
            self.used,
            audiences=settings.client_assertion_audiences,
            algorithms=settings.verification_algorithms,
            one_audience=settings.profile == FAPI2,
            of_strangers=of_clients,
        )
        self.certificates = CertificateClients(
            self.directory,
            ClientKeys(outbound, of_clients),
            load_authorities(settings.client_ca_file),
        )
        self.upstream: UpstreamProvider | None = upstream_of(settings, self.one_time)
        self._make_recorders(process)
        self._private: dict[str, PrivateKeyTypes] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._keys_changed = asyncio.Event()

    def _make_recorders(self, process: str) -> None:
        self.denials = DenialRecorder(log=self.log, clock=self.clock, ids=self.ids, process=process)
        self.usage = UsageRecorder(log=self.log, clock=self.clock, ids=self.ids, process=process)
        self.audit_reading = AuditReadingRecorder(
            log=self.log, clock=self.clock, ids=self.ids, process=process
        )
        self.forgeries = ForgedTokenRecorder(
            log=self.log, clock=self.clock, ids=self.ids, process=process
        )

    async def __aenter__(self) -> "Service":
        await self.log.__aenter__()
        self.directory.on_keys = self._keys_changed.set
        self.directory.on_read_anew = self._read_anew
        try:
            await self.directory.start()
            self._keys_changed.clear()
            await self.load_keys()
        except BaseException:
            await self._close()
            raise
        counting = float(self.settings.counting_seconds)
        self._tasks = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("denials", self._every(DENIAL_SECONDS, self.denials.flush)),
                ("forged tokens", self._every(DENIAL_SECONDS, self.forgeries.flush)),
                ("usage", self._every(counting, self.usage.flush)),
                (
                    "audit reading",
                    self._every(counting, self.audit_reading.flush, sooner=self.audit_reading.much),
                ),
                ("keys", self._follow_keys()),
                ("metrics", self._every(METRICS_SECONDS, self.tell_of_process)),
                ("sweep", self._every(SWEEP_SECONDS, self._sweep)),
                (
                    "unused clients",
                    self._every(UNUSED_SECONDS, lambda: disable_unused_clients(self)),
                ),
                ("partitions", self._every(PARTITIONS_SECONDS, self._ensure_partitions)),
            )
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self.log.epoch.begin()
        await self.denials.flush(everything=True)
        await self.forgeries.flush(everything=True)
        await self.usage.flush()
        await self.audit_reading.close()
        await self._close()

    async def _close(self) -> None:
        await self.read_models.close()
        await self.side_tables.close()
        if self.shared_windows is not None:
            await self.shared_windows.close()
        await self.directory.close()
        await self.key_store.close()
        await self.log.__aexit__()

    def _resource_servers(self) -> tuple[OwnResourceServer, OwnResourceServer]:
        settings = self.settings
        metadata_url = f"{settings.issuer_url}{PROTECTED_RESOURCE_PATH}"
        return (
            self._resource_server(settings.management_audience, metadata_url),
            # Its tokens may name another resource alone: record and scope tell which they are.
            self._resource_server(None, None),
        )

    def _resource_server(self, audience: str | None, metadata_url: str | None) -> OwnResourceServer:
        settings = self.settings
        return OwnResourceServer(
            self,
            audience,
            self.keys,
            url=settings.issuer_url,
            proofs=self.proofs,
            certificate_of=lambda connection: thumbprint_of(connection.scope, settings),
            now=self.clock.now,
            metadata_url=metadata_url,
            authority=self.authority,
        )

    async def alarms(self) -> Sequence[Alarm]:
        """Return the alarms that stand: what the log shows, and what cannot be read of it here.

        Raises LedgerUnavailable.
        """
        found = await self.read_models.alarms()
        return [*found, *unreadable_streams(self.directory.unreadable())]

    async def load_keys(self) -> None:
        """Unwrap the private keys that are new and sign and verify with what is current.

        A private key that cannot be had keeps nothing else from taking effect: a key that was
        revoked must verify nothing, whatever else is wrong. Raises LedgerUnavailable, and
        ValueError where the master key does not open a key.
        """
        self._use_keys()  # before anything is waited for
        try:
            await self._unwrap_new(list(self.directory.keys()))
        finally:
            self._use_keys()

    def _use_keys(self, known: Iterable[SigningKey] | None = None) -> None:
        # By the directory of this moment, whatever was recorded while a private key was fetched.
        present = self.directory.keys() if known is None else known
        self.keys.update(present, self._private, now=self.clock.now())

    async def _unwrap_new(self, known: Sequence[SigningKey]) -> None:
        missing = {
            key.kid for key in known if key.state in (KeyState.GENERATED, KeyState.ACTIVE)
        } - self._private.keys()
        mismatch: MasterKeyMismatch | None = None
        for wrapped in await self.key_store.get(missing) if missing else ():
            try:
                private = self.master_keys.unwrap(wrapped)
            except MasterKeyMismatch as error:
                mismatch = error  # the others are wanted all the same
            else:
                self._private[wrapped.kid] = load_private_key(private)
        if mismatch is not None:
            raise mismatch

    async def _read_anew(self, keys: Iterable[SigningKey]) -> None:
        """Forget what was made from a log that went back, and make it from what is left.

        Raises LedgerUnavailable.
        """
        self._private.clear()
        self.trusted.forget()
        known = list(keys)
        try:
            await self._unwrap_new(known)
        except MasterKeyMismatch as error:  # whatever else is there signs and verifies
            _log.error("a signing key could not be loaded: %r", error)
        finally:
            self._use_keys(known)

    async def _follow_keys(self) -> None:
        while True:
            # A retired key leaves the set by time, so look again even when nothing changed.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._keys_changed.wait(), KEYS_SECONDS)
            self._keys_changed.clear()
            try:
                await self.load_keys()
            except Exception as error:
                # LedgerUnavailable, a key that does not open, or anything: it is tried again.
                _log.error("the signing keys could not be loaded: %r", error)
                await asyncio.sleep(1)
                self._keys_changed.set()

    async def tell_of_process(self) -> None:
        """Put into the metrics what this process alone knows."""
        writer = self.log.writer
        metrics.LEDGER_AVAILABLE.set(writer.available)
        metrics.DIRECTORY_AGE.set(self.directory.age)
        metrics.COMMITS.set(writer.counts.commits)
        metrics.EVENTS.set(writer.counts.events)
        metrics.LOST_ANSWERS.set(writer.counts.lost)

    async def _sweep(self) -> None:
        await self.one_time.sweep(now=self.clock.now())
        await self.throttle.sweep(now=self.clock.now())
        if self.shared_windows is not None:
            await self.shared_windows.sweep()

    async def _ensure_partitions(self) -> None:
        now = self.clock.now()

        def work() -> None:
            with open_session(self.database_url, name="partitions") as connection:
                migrate(connection, now=now)

        with suppress(psycopg.OperationalError):
            await asyncio.to_thread(work)

    async def _every(
        self,
        seconds: float,
        work: Callable[[], Awaitable[None]],
        *,
        sooner: asyncio.Event | None = None,
    ) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for((sooner or asyncio.Event()).wait(), seconds)
            self.log.epoch.begin()
            try:
                await work()
            except Exception:
                # A background duty must outlive one failure of it.
                _log.exception("a background duty failed")


def _directory(log: Ledger, database_url: str, *, ids: Ids, process: str) -> LogDirectory:
    """Return the directory of `log`, whose connection leads all others."""
    link = Link(database_url, name="directory", epoch=log.epoch, leads=True)
    losses = LossRecorder(link, log.mapper, log.epoch, ids=ids, process=process)
    return LogDirectory(link, log.mapper, log.epoch, losses)
