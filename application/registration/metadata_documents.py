"""Clients that are known by the URL of a document about themselves
(draft-ietf-oauth-client-id-metadata-document).

1. The deployment has them, and the client_id is such a URL (domain.metadata_url).
2. Where the client is not known yet, it may become so at this endpoint: only where requests begin.
3. A client that somebody disabled is not asked about: that stays.
4. The document is fetched as from strangers (application.outbound): https, public addresses, no
   redirects, 5 KiB ("recommended maximum"); kept by its headers within bounds, failures are not. A
   client that is known goes on as it is recorded while its document cannot be had, and waits for
   nobody else's fetch. Where its host says that the document is gone, it begins nothing new.
5. Its `client_id` "MUST match the URL of the document", it holds no secret, and the client
   authenticates by nothing that is shared: none, or private_key_jwt.
6. It is vetted like a registration, and acts for people alone: whoever can publish a document must
   not get anything in its own name.
7. The client is recorded, or what changed of it, with the digest of the document.

Whatever fails, the caller reads one text: it names the URL, and must not learn what we reach.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

from application.administration.deciding import decide_as_holder
from application.errors import OAuthError, TemporarilyUnavailable, UnusableDocument
from application.kept import Kept
from application.ledger.errors import Conflict
from application.outbound import (
    Outbound,
    OutboundError,
    OutboundFailed,
    OutboundGone,
    OutboundRefused,
)
from application.ports import Directory
from application.recently_used import RecentlyUsed
from application.registration.metadata import DEFAULT_GRANT_TYPES, NONE
from application.registration.policy import Limits
from application.registration.registering import RegistrationService, begun, by
from application.registration.replacing import replace_metadata
from application.registration.vetting import Application, vetted
from domain.client import Client
from domain.client_configuration import (
    AUTHORIZATION_CODE,
    DEVICE_CODE,
    PRIVATE_KEY_JWT,
    REFRESH_TOKEN,
    ClientConfiguration,
    Registration,
)
from domain.metadata_url import host_of, is_metadata_url
from domain.provenance import Provenance

MAX_BYTES = 5 * 1024
STALE = timedelta(hours=1)
PAUSE = timedelta(seconds=5)
"""After a failure: nobody makes us ask more often."""
KEPT = 1000
"""Documents in memory; one that was dropped is fetched again."""
SYSTEM = "system"
_GRANTS = (AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE)
_METHODS = (NONE, PRIVATE_KEY_JWT)
_SECRETS = ("client_secret", "client_secret_expires_at")


class DocumentService(RegistrationService, Protocol):
    """What it takes to know clients by their documents."""

    @property
    def directory(self) -> Directory:
        """The clients that are known."""


@dataclass(frozen=True, slots=True)
class Document:
    """What lies at a URL, and the SHA-256 of it in one canonical form."""

    content: Mapping[str, Any]
    digest: str


class MetadataDocuments:
    """Fetches documents and keeps them; knows none where the deployment has no such clients."""

    def __init__(self, outbound: Outbound, *, enabled: bool) -> None:
        self.enabled = enabled
        self._outbound = outbound
        self._kept: RecentlyUsed[str, Kept[Document]] = RecentlyUsed(KEPT)

    async def document(self, url: str, now: datetime, *, waits: bool = True) -> Document:
        """Return what lies at a URL (4). Raises OutboundError, UnusableDocument.

        Where it does not wait, a fetch that is under way already counts as a failed one.
        """
        kept = self._kept.get(url)
        if kept is None:
            kept = Kept(self._fetching(url), stale=STALE, pause=PAUSE)
            self._kept.put(url, kept)
        if not waits and kept.under_way and not kept.fresh(now):
            raise OutboundFailed(f"{host_of(url)}: the document is being fetched")
        return await kept.value(now)

    def _fetching(self, url: str) -> Any:
        async def fetch(_: datetime) -> tuple[Document, timedelta | None]:
            content, fresh = await self._outbound.get_lasting_json(url, host=host_of(url))
            return Document(content, _digest_of(content, url)), fresh

        return fetch

    async def admit(
        self, client_id: str, *, newcomers: bool, asked: Provenance, service: DocumentService
    ) -> bool:
        """Let a client be known as its document has it; tell whether anything was recorded.

        Raises UnusableDocument, ConflictingState, LedgerUnavailable. Where `newcomers` may not
        appear, a document that is not usable changes nothing.
        """
        known = service.directory.client(client_id)
        if not self._is_asked_about(client_id, known, newcomers=newcomers):
            return False
        stands = known is not None and known.enabled
        try:
            document = await self.document(client_id, asked.occurred_at, waits=not stands)  # 4
            if known is not None and stands and _digest(known) == document.digest:
                return False
            wanted = await _vetted(client_id, document, asked.occurred_at, service)  # 5, 6
            await _record(wanted, by(asked, "metadata document"), service)  # 7
        except TemporarilyUnavailable:
            raise
        except (OutboundError, OAuthError) as error:
            away = isinstance(error, OutboundError) and not isinstance(error, OutboundGone)
            if newcomers and not (stands and away):
                raise UnusableDocument(reason=error.reason) from None
            return False
        return True

    def _is_asked_about(self, client_id: str, known: Client | None, *, newcomers: bool) -> bool:
        if not self.enabled or not is_metadata_url(client_id):  # 1
            return False
        if known is None:  # 2
            return newcomers
        return known.enabled or known.disabled_by == SYSTEM  # 3


def _digest_of(content: Mapping[str, Any], url: str) -> str:
    try:
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        raise OutboundRefused(f"{host_of(url)}: nested too deeply") from None
    return sha256(canonical.encode()).hexdigest()


def _digest(client: Client) -> str | None:
    return client.registration.document


async def _vetted(
    url: str, document: Document, now: datetime, service: DocumentService
) -> ClientConfiguration:
    content = document.content
    if content.get("client_id") != url:  # 5
        raise UnusableDocument(reason="the document is of another client_id")
    if any(name in content for name in _SECRETS):
        raise UnusableDocument(reason="the document holds a secret")
    limits: Limits = service.registration.limits
    grants = tuple(name for name in limits.grant_types if name in _GRANTS)
    application = Application(
        client_id=url,
        # Section 4.1 of the draft: what is left out cannot be the default, which is a secret.
        document={"token_endpoint_auth_method": NONE, **content},
        registration=Registration(source="metadata_document", document=document.digest),
        scopes=limits.scopes,
        grant_types=DEFAULT_GRANT_TYPES,
    )
    bounds = replace(limits, grant_types=grants, methods=_METHODS)
    return await vetted(application, bounds, service=service, now=now)  # 6


async def _record(
    wanted: ClientConfiguration, provenance: Provenance, service: DocumentService
) -> None:
    stream_id = Client.stream(wanted.client_id)
    if await service.log.load(stream_id) is None:
        with suppress(Conflict):  # another process was faster, with the document of this moment
            await service.log.save(begun(wanted, service.catalogue, provenance))
        return

    def apply(client: Client) -> None:
        if not client.enabled and client.disabled_by == SYSTEM:
            client.enable(replace(provenance, why="its document is presented again"))
        if wanted.client_type is not client.client_type:
            raise UnusableDocument(reason="the client changed between public and confidential")
        replace_metadata(client, wanted, catalogue=service.catalogue, provenance=provenance)

    await decide_as_holder(service, stream_id, Client, apply, name=wanted.client_id)
