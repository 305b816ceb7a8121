"""Which principal an upstream identity is: the linked one, or a new one where settings say so.

An unknown identity is refused by default: whoever the provider knows is not yet somebody here.
"""

import asyncio
from hashlib import sha256
from typing import Protocol

from application.administration import principals
from application.administration.deciding import DecidingService
from application.errors import ConflictingState
from application.people.credentials import Credentials
from application.people.upstream import UpstreamLogin, UpstreamRefused, upstream_login_name
from application.ports import REFRESH_SECONDS, Directory
from application.settings import Settings
from domain.permissions import Catalogue
from domain.provenance import Provenance


class _Service(DecidingService, Protocol):
    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def credentials(self) -> Credentials: ...

    @property
    def directory(self) -> Directory: ...

    @property
    def settings(self) -> Settings: ...


async def principal_of(proof: UpstreamLogin, *, service: _Service, provenance: Provenance) -> str:
    """Return the subject of the principal that `proof` is about.

    Raises UpstreamRefused for one that is unknown or deactivated, LedgerUnavailable.
    """
    name = upstream_login_name(proof.issuer, proof.subject)
    subject = await service.credentials.subject_of(name)
    if subject is None:
        if not service.settings.upstream_create:
            raise UpstreamRefused("upstream identity unknown here")
        return await _created(name, proof, service, provenance)
    person = service.directory.principal(subject)
    if person is None or not person.active:
        raise UpstreamRefused("principal unknown or deactivated")
    return subject


async def _created(
    name: str, proof: UpstreamLogin, service: _Service, provenance: Provenance
) -> str:
    # The same subject however often it is tried: a crash in between leaves nothing half.
    subject = f"up-{sha256(name.encode()).hexdigest()[:32]}"
    roles = service.settings.upstream_roles
    by = Provenance(
        provenance.occurred_at,
        provenance.request_id,
        provenance.traceparent,
        by=proof.issuer,
        why="first login by the upstream provider",
    )
    try:
        await principals.register(subject, roles, service=service, provenance=by)
    except ConflictingState:
        person = service.directory.principal(subject)
        if person is not None and not person.active:
            raise UpstreamRefused("principal deactivated") from None
    await service.credentials.add_login(name, subject=subject)
    # The browser goes on to any replica: each has to have read of the new person by then.
    await asyncio.sleep(2 * REFRESH_SECONDS)
    return subject
