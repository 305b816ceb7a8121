"""From what a client says about itself to a configuration that may be recorded.

1 its software statement is verified, and takes precedence, 2 the metadata has the right form and
does not contradict itself, 3 all of it is within the limits, 4 the hook lets it through, 5 its keys
are keys, its algorithm and the way it authenticates are among those of the deployment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from application.administration.clients import (
    Offering,
    require_method,
    require_offered,
    require_usable,
)
from application.errors import InvalidClientMetadata, InvalidRequest
from application.registration.metadata import configured, read_metadata
from application.registration.policy import Hook, Limits, hooked
from application.registration.software_statement import SoftwareStatements
from domain.client_configuration import Audiences, ClientConfiguration, Registration

Mode = Literal["closed", "initial_access_token", "open"]


@dataclass(frozen=True, slots=True)
class RegistrationRules:
    """The rules of the deployment about clients that register themselves."""

    mode: Mode
    limits: Limits
    statements: SoftwareStatements
    hook: Hook | None = None


class VettingService(Offering, Protocol):
    """What it takes to judge what a client says about itself."""

    @property
    def registration(self) -> RegistrationRules:
        """The rules of the deployment."""


@dataclass(frozen=True, slots=True)
class Application:
    """Who asks to be registered as what. Where the metadata names no scopes or grant types, those
    named here stand in.
    """

    client_id: str
    document: Mapping[str, Any]
    registration: Registration
    scopes: tuple[str, ...]
    grant_types: tuple[str, ...]


async def vetted(
    application: Application, limits: Limits, *, service: VettingService, now: datetime
) -> ClientConfiguration:
    """Return the configuration to record.

    Raises InvalidClientMetadata, InvalidRedirectUri, InvalidSoftwareStatement,
    UnapprovedSoftwareStatement, IssuerAway.
    """
    rules = service.registration
    document, publisher = await rules.statements.applied(application.document, now)  # 1
    configuration = configured(  # 2
        read_metadata(document),
        application.client_id,
        scopes=application.scopes,
        grant_types=application.grant_types,
        registration=application.registration.model_copy(update={"publisher": publisher}),
    )
    limits.require(configuration)  # 3
    audiences = Audiences(allowed=limits.audiences)
    configuration = configuration.model_copy(update={"audiences": audiences})
    configuration = await hooked(rules.hook, configuration, document)  # 4
    try:
        require_offered(configuration.tokens, service)  # 5
        require_usable(configuration.authentication)
        require_method(configuration.client_type, configuration.authentication, service)
    except InvalidRequest as error:
        raise InvalidClientMetadata(error.description) from None
    return configuration
