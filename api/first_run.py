"""The first start of a deployment: keys, owner, first clients, and `bootstrap.json` for its owner.

At each later start as well: what the settings say of trusted issuers, and the console's client.
"""

import json
import logging
from pathlib import Path
from typing import Any

from api.composition import Service
from api.token_endpoint import INTROSPECTION_PATH, REVOCATION_PATH, TOKEN_PATH
from api.well_known import JWKS_PATH, METADATA_PATH
from application.administration import console_client, issuers, signing_keys
from application.administration.bootstrap import (
    ADMINISTRATION_CLIENT,
    ADMINISTRATION_SCOPES,
    DEMO_CLIENT,
    FirstSecrets,
    bootstrap,
)
from application.administration.clients import BY_SECRET
from application.errors import ConflictingState
from application.ledger.errors import StreamUnreadable
from application.secrets_file import write_private
from application.settings import Settings, SettingsError
from domain.provenance import Provenance

BOOTSTRAP_FILE = "bootstrap.json"
_log = logging.getLogger(__name__)


async def prepare(service: Service, *, by: str) -> bool:
    """Make what a deployment needs before it can issue; True when this was its first run.

    Idempotent, and safe when several processes start at once. Raises LedgerUnavailable.
    """
    provenance = Provenance(service.clock.now(), service.ids.request_id(), by=by, why="first run")
    first = await _first_clients(service, provenance)
    configured = Provenance(
        provenance.occurred_at, provenance.request_id, by=by, why="GRANTLEDGER_TRUSTED_ISSUERS_FILE"
    )
    await issuers.trust_configured(
        service.settings.trusted_issuers(), service=service, provenance=configured
    )
    await service.directory.refresh()
    for algorithm in service.settings.signing_algorithms:
        try:
            await signing_keys.ensure(
                algorithm, service.directory.keys(), service=service, provenance=provenance
            )
        except ConflictingState:
            continue  # another process made the key meanwhile
    await service.directory.refresh()
    await service.load_keys()
    return first


async def prepare_console(service: Service, *, by: str) -> None:
    """Make the console's client, or bring it up to the issuer's URL. Raises LedgerUnavailable."""
    provenance = Provenance(
        service.clock.now(), service.ids.request_id(), by=by, why="the console of this service"
    )
    try:
        await console_client.ensure(
            issuer=service.settings.issuer_url,
            audience=service.settings.management_audience,
            service=service,
            provenance=provenance,
        )
    except StreamUnreadable as error:  # there is no console, but all else
        _log.error("the console's client cannot be read: %s", error)


async def _first_clients(service: Service, provenance: Provenance) -> bool:
    settings = service.settings
    if service.auth_methods.isdisjoint(BY_SECRET):
        return False  # the first clients have secrets, and could not use them
    kept = read_bootstrap(settings)
    if any(True for _ in service.directory.clients()):
        if kept is not None:
            _write(settings, _secrets(kept))  # the issuer may have moved
        return False
    first = _secrets(kept) if kept is not None else FirstSecrets.fresh()
    _write(settings, first)
    return await bootstrap(first, service=service, provenance=provenance)


def read_bootstrap(settings: Settings) -> dict[str, Any] | None:
    """Return what `bootstrap.json` says, None where there is none. Raises SettingsError."""
    path = settings.data_dir / BOOTSTRAP_FILE
    try:
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} is unreadable: {type(error).__name__}") from None


def _secrets(kept: dict[str, Any]) -> FirstSecrets:
    return FirstSecrets(kept["demo"]["client_secret"], kept["administration"]["client_secret"])


def _write(settings: Settings, first: FirstSecrets) -> Path:
    issuer = settings.issuer_url

    def client(client_id: str, secret: str) -> dict[str, str]:
        return {
            "issuer": issuer,
            "token_endpoint": f"{issuer}{TOKEN_PATH}",
            "client_id": client_id,
            "client_secret": secret,
        }

    content = {
        "issuer": issuer,
        "metadata": f"{issuer}{METADATA_PATH}",
        "token_endpoint": f"{issuer}{TOKEN_PATH}",
        "introspection_endpoint": f"{issuer}{INTROSPECTION_PATH}",
        "revocation_endpoint": f"{issuer}{REVOCATION_PATH}",
        "jwks_uri": f"{issuer}{JWKS_PATH}",
        "demo": client(DEMO_CLIENT, first.demo),
        "administration": {
            **client(ADMINISTRATION_CLIENT, first.administration),
            "scope": " ".join(ADMINISTRATION_SCOPES),
        },
    }
    path = settings.data_dir / BOOTSTRAP_FILE
    write_private(path, json.dumps(content, indent=2) + "\n")
    return path
