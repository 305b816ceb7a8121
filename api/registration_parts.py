"""What a process needs for clients that register themselves, made of its settings."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Protocol

from api.read_models import ReadModels
from application.directory import LogDirectory
from application.outbound import Outbound
from application.ports import Clock, EventLog, Ids
from application.registration import metadata_documents as documents
from application.registration.metadata_documents import MetadataDocuments
from application.registration.policy import hook_named
from application.registration.software_statement import SoftwareStatements
from application.registration.unused import candidates, disable_unused
from application.registration.vetting import RegistrationRules
from application.settings import Settings
from domain.permissions import Catalogue
from domain.provenance import Provenance
from projections.client_last_used import CLIENT_LAST_USED, used_among
from projections.status import projection_status

_CATCHING_UP_SECONDS = 60
_log = logging.getLogger(__name__)


class _Service(Protocol):
    @property
    def settings(self) -> Settings: ...

    @property
    def directory(self) -> LogDirectory: ...

    @property
    def read_models(self) -> ReadModels: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def ids(self) -> Ids: ...

    @property
    def log(self) -> EventLog: ...


def registration_rules(
    settings: Settings, catalogue: Catalogue, outbound: Outbound
) -> RegistrationRules:
    """Return the rules of the settings. Raises SettingsError for a publishers' file."""
    publishers = settings.software_publishers()
    return RegistrationRules(
        mode=settings.registration,
        limits=settings.registration_limits(catalogue),
        statements=SoftwareStatements(publishers, outbound, issuer=settings.issuer_url),
        hook=hook_named(settings.registration_hook) if settings.registration_hook else None,
    )


def metadata_documents(settings: Settings) -> MetadataDocuments:
    """Return what fetches the documents of clients."""
    outbound = Outbound(
        private_hosts=settings.client_private_hosts,
        of_strangers=True,
        max_bytes=documents.MAX_BYTES,
    )
    return MetadataDocuments(outbound, enabled=settings.client_id_metadata_documents)


async def disable_unused_clients(service: _Service) -> None:
    """Disable the clients that registered themselves and were never used (a background duty).

    Raises LedgerUnavailable.
    """
    days = service.settings.registration_unused_days
    if days == 0:
        return
    period, now = timedelta(days=days), service.clock.now()
    found = candidates(service.directory.clients(), now=now, period=period)
    if not found or not await _caught_up(service.read_models):
        return

    async def used(client_ids: Sequence[str]) -> Collection[str]:
        return await service.read_models.fetch(used_among(client_ids))

    asked = Provenance(now, service.ids.request_id())
    count = await disable_unused(found, used, period=period, asked=asked, log=service.log)
    if count:
        _log.info("disabled %d clients that registered themselves and were never used", count)


async def _caught_up(read_models: ReadModels) -> bool:
    """Wait until the last uses hold all that was recorded by now; False where they do not."""
    query = projection_status((CLIENT_LAST_USED,))
    (status,) = await read_models.fetch(query)
    for _ in range(_CATCHING_UP_SECONDS):
        (present,) = await read_models.fetch(query)
        if present.position >= status.head:
            return True
        await asyncio.sleep(1)
    _log.warning("clients that were never used are not looked for: the read model is behind")
    return False
