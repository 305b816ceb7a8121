"""A client: its configuration over time.

Only configuration lives on this stream; what was issued is on the tokens' own streams. What the
client may be issued is decided in domain.issuing_client.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from domain.client_configuration import (
    AUDIENCE,
    CLIENT_CREDENTIALS,
    GRANT_TYPES,
    WITHOUT_SECRET,
    Audiences,
    Authentication,
    ClientConfiguration,
    ClientType,
    Delegation,
    Redirects,
    RefreshPolicy,
    Registration,
    TokenPolicy,
)
from domain.client_secret import ClientSecret
from domain.errors import InvalidConfiguration
from domain.ids import directory_id
from domain.initial_access import KeptVerifier
from domain.issuing_client import IssuingClient
from domain.permissions import Catalogue
from domain.provenance import Provenance
from domain.recorded import Administered

MAX_SECRETS = 5
"""Secrets in overlap at one time; a rotation beyond is a sign of a loop."""


class Client(IssuingClient, Administered):
    """An OAuth client (RFC 6749, Section 2)."""

    TOPIC = "client"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        name: str
        enabled: bool
        secrets: tuple[ClientSecret, ...]
        authentication: Authentication
        registration: Registration
        authorization_details_types: tuple[str, ...]
        registration_token: KeptVerifier | None
        disabled_by: str
        owners: tuple[tuple[int, str | None], ...]
        """From which version on it belonged to whom, the oldest first."""

    class Event(Administered.Event):
        """Something an administrator decided about a client."""

        client_id: str

    class Registered(Event, Administered.Created):
        """The client exists, with this configuration and no credential yet."""

        TOPIC = "client.registered"
        class_version = 4
        name: str
        client_type: ClientType
        grant_types: tuple[str, ...]
        scopes: tuple[str, ...]
        audiences: Audiences
        owner: str | None
        tokens: TokenPolicy
        redirects: Redirects
        refresh: RefreshPolicy
        delegation: Delegation
        authentication: Authentication
        registration: Registration
        authorization_details_types: tuple[str, ...]

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 knew no browsers: nothing to redirect to, no refresh tokens."""
            state.update(redirects={}, refresh={})

        @staticmethod
        def upcast_v2_v3(state: dict[str, Any]) -> None:
            """Up to version 2 nobody acted for somebody else, and secrets were all there was."""
            state.update(delegation={}, authentication={})

        @staticmethod
        def upcast_v3_v4(state: dict[str, Any]) -> None:
            """Up to version 3 administrators alone registered, and scopes were all to ask for."""
            state.update(registration={}, authorization_details_types=())

        def apply(self, aggregate: "Client") -> None:
            aggregate.client_id = self.client_id
            aggregate.name = self.name
            aggregate.client_type = self.client_type
            aggregate.grant_types = self.grant_types
            aggregate.scopes = self.scopes
            aggregate.audiences = self.audiences
            aggregate.owner = self.owner
            aggregate.owners = ((self.originator_version, self.owner),)
            aggregate.tokens = self.tokens
            aggregate.redirects = self.redirects
            aggregate.refresh = self.refresh
            aggregate.delegation = self.delegation
            aggregate.authentication = self.authentication
            aggregate.registration = self.registration
            aggregate.authorization_details_types = self.authorization_details_types
            aggregate.enabled = True
            aggregate.secrets = ()
            aggregate.registration_token = None
            aggregate.disabled_by = ""

    Created = Registered  # the inherited name: every event has its topic

    class SecretAdded(Event):
        """A secret authenticates the client from now on; only its verifier is kept."""

        TOPIC = "client.secret_added"
        secret_id: str
        pepper_id: str
        verifier: str

        def apply(self, aggregate: "Client") -> None:
            added = ClientSecret(self.secret_id, self.pepper_id, self.verifier, self.timestamp)
            aggregate.secrets = (*aggregate.secrets, added)

    class SecretRetired(Event):
        """A secret stops authenticating at `usable_until` (UTC)."""

        TOPIC = "client.secret_retired"
        secret_id: str
        usable_until: datetime

        def apply(self, aggregate: "Client") -> None:
            aggregate.secrets = tuple(
                secret.retired(self.usable_until) if secret.secret_id == self.secret_id else secret
                for secret in aggregate.secrets
            )

    class ScopesChanged(Event):
        """The client's scopes are now exactly these."""

        TOPIC = "client.scopes_changed"
        scopes: tuple[str, ...]

        def apply(self, aggregate: "Client") -> None:
            aggregate.scopes = self.scopes

    class GrantTypesChanged(Event):
        """The client's grant types are now exactly these."""

        TOPIC = "client.grant_types_changed"
        grant_types: tuple[str, ...]

        def apply(self, aggregate: "Client") -> None:
            aggregate.grant_types = self.grant_types

    class AudiencesChanged(Event):
        """The client's audiences are now exactly these."""

        TOPIC = "client.audiences_changed"
        audiences: Audiences

        def apply(self, aggregate: "Client") -> None:
            aggregate.audiences = self.audiences

    class OwnerChanged(Event):
        """The client now belongs to this principal, or to nobody."""

        TOPIC = "client.owner_changed"
        owner: str | None

        def apply(self, aggregate: "Client") -> None:
            aggregate.owner = self.owner
            aggregate.owners = (*aggregate.owners, (self.originator_version, self.owner))

    class TokenPolicyChanged(Event):
        """The client's tokens are made like this from now on."""

        TOPIC = "client.token_policy_changed"
        class_version = 2
        tokens: TokenPolicy

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 knew bearer tokens alone; the policy's own defaults say so."""

        def apply(self, aggregate: "Client") -> None:
            aggregate.tokens = self.tokens

    class RedirectsChanged(Event):
        """Browsers may be sent to exactly these from now on."""

        TOPIC = "client.redirects_changed"
        redirects: Redirects

        def apply(self, aggregate: "Client") -> None:
            aggregate.redirects = self.redirects

    class RefreshPolicyChanged(Event):
        """Families are begun like this from now on; those there are keep their terms."""

        TOPIC = "client.refresh_policy_changed"
        refresh: RefreshPolicy

        def apply(self, aggregate: "Client") -> None:
            aggregate.refresh = self.refresh

    class DelegationChanged(Event):
        """Who may act for the subjects of the client's tokens, and how it acts itself, is now so;
        tokens that were issued keep what they say.
        """

        TOPIC = "client.delegation_changed"
        delegation: Delegation

        def apply(self, aggregate: "Client") -> None:
            aggregate.delegation = self.delegation

    class AuthenticationChanged(Event):
        """The client proves who it is by exactly this from now on."""

        TOPIC = "client.authentication_changed"
        class_version = 2
        authentication: Authentication

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Version 1 knew no certificates; the defaults say so."""

        def apply(self, aggregate: "Client") -> None:
            aggregate.authentication = self.authentication
            if self.authentication.method in WITHOUT_SECRET:
                # Also where the log is older than the rule that such a change retires secrets.
                aggregate.secrets = tuple(one.retired(self.timestamp) for one in aggregate.secrets)

    class AuthorizationDetailsTypesChanged(Event):
        """The client may use exactly these types of authorization details (RFC 9396)."""

        TOPIC = "client.authorization_details_types_changed"
        authorization_details_types: tuple[str, ...]

        def apply(self, aggregate: "Client") -> None:
            aggregate.authorization_details_types = self.authorization_details_types

    class Renamed(Event):
        """People are shown this name of the client from now on."""

        TOPIC = "client.renamed"
        name: str

        def apply(self, aggregate: "Client") -> None:
            aggregate.name = self.name

    class RegistrationChanged(Event):
        """The client says this about itself from now on."""

        TOPIC = "client.registration_changed"
        registration: Registration

        def apply(self, aggregate: "Client") -> None:
            aggregate.registration = self.registration

    class RegistrationTokenSet(Event):
        """This token alone manages the client from now on (RFC 7592); its verifier is kept."""

        TOPIC = "client.registration_token_set"
        pepper_id: str
        verifier: str

        def apply(self, aggregate: "Client") -> None:
            aggregate.registration_token = KeptVerifier(self.pepper_id, self.verifier)

    class Disabled(Event):
        """Nothing is issued to the client any more."""

        TOPIC = "client.disabled"

        def apply(self, aggregate: "Client") -> None:
            aggregate.enabled = False
            aggregate.disabled_by = self.by

    class Enabled(Event):
        """The client may be issued tokens again."""

        TOPIC = "client.enabled"

        def apply(self, aggregate: "Client") -> None:
            aggregate.enabled = True

    @staticmethod
    def stream(client_id: str) -> UUID:
        """Return the stream id of the client `client_id`."""
        return directory_id("client", client_id)

    @classmethod
    def register(
        cls, configuration: ClientConfiguration, *, catalogue: Catalogue, provenance: Provenance
    ) -> "Client":
        """Register a client. Raises ScopeUnknown for a scope outside the catalogue."""
        facts: dict[str, Any] = {
            name: getattr(configuration, name) for name in type(configuration).model_fields
        }
        facts["scopes"] = catalogue.order(configuration.scopes)
        return cls._begin(cls.Registered, cls.stream(configuration.client_id), provenance, **facts)

    def add_secret(
        self, *, secret_id: str, pepper_id: str, verifier: str, provenance: Provenance
    ) -> None:
        """Add a credential. Raises InvalidConfiguration for a public client or too many secrets."""
        self._require_room(len(self.usable_secrets(provenance.occurred_at)))
        self._record(
            self.SecretAdded,
            provenance,
            client_id=self.client_id,
            secret_id=secret_id,
            pepper_id=pepper_id,
            verifier=verifier,
        )

    def rotate_secret(
        self,
        *,
        secret_id: str,
        pepper_id: str,
        verifier: str,
        overlap: timedelta,
        provenance: Provenance,
    ) -> None:
        """Add a credential and let the present ones end after `overlap`.

        Raises InvalidConfiguration as add_secret does.
        """
        end = provenance.occurred_at + overlap
        present = self.usable_secrets(provenance.occurred_at)
        # Before anything is recorded: a refused command leaves no trace.
        self._require_room(
            sum(secret.retired(end).usable(provenance.occurred_at) for secret in present)
        )
        self._retire_secrets(end, provenance)
        self.add_secret(
            secret_id=secret_id, pepper_id=pepper_id, verifier=verifier, provenance=provenance
        )

    def _retire_secrets(self, end: datetime, provenance: Provenance) -> None:
        for secret in self.usable_secrets(provenance.occurred_at):
            if secret.retired(end) is not secret:
                self._record(
                    self.SecretRetired,
                    provenance,
                    client_id=self.client_id,
                    secret_id=secret.secret_id,
                    usable_until=end,
                )

    def _require_room(self, usable: int) -> None:
        if self.client_type is ClientType.PUBLIC:
            raise InvalidConfiguration("a public client has no secret")
        if self.authentication.method in WITHOUT_SECRET:
            raise InvalidConfiguration("the client authenticates by a key or certificate")
        if usable >= MAX_SECRETS:
            raise InvalidConfiguration(f"the client already has {MAX_SECRETS} usable secrets")

    def usable_secrets(self, now: datetime) -> Sequence[ClientSecret]:
        """Return the credentials that authenticate at `now` (aware, UTC)."""
        return [secret for secret in self.secrets if secret.usable(now)]

    def set_scopes(
        self, scopes: Sequence[str], *, catalogue: Catalogue, provenance: Provenance
    ) -> None:
        """Replace the scopes. Raises ScopeUnknown for a scope outside the catalogue."""
        ordered = catalogue.order(scopes)
        if ordered != self.scopes:
            self._change(self.ScopesChanged, provenance, scopes=ordered)

    def set_grant_types(self, grant_types: Sequence[str], *, provenance: Provenance) -> None:
        """Replace the grant types. Raises InvalidConfiguration for what the client cannot use."""
        unknown = set(grant_types) - set(GRANT_TYPES)
        if unknown:
            raise InvalidConfiguration(f"unknown grant type: {' '.join(sorted(unknown))}")
        if self.client_type is ClientType.PUBLIC and CLIENT_CREDENTIALS in grant_types:
            raise InvalidConfiguration("a public client cannot use client_credentials")
        if tuple(grant_types) != self.grant_types:
            self._change(self.GrantTypesChanged, provenance, grant_types=tuple(grant_types))

    def set_audiences(self, audiences: Audiences, *, provenance: Provenance) -> None:
        """Replace the audiences."""
        if audiences != self.audiences:
            self._change(self.AudiencesChanged, provenance, audiences=audiences)

    def set_owner(self, owner: str | None, *, provenance: Provenance) -> None:
        """Give the client to another principal, or to nobody."""
        if owner != self.owner:
            self._change(self.OwnerChanged, provenance, owner=owner)

    def owner_at(self, version: int) -> str | None:
        """Return whom the client belonged to as of `version` of it, None for nobody."""
        return next((owner for since, owner in reversed(self.owners) if since <= version), None)

    def set_token_policy(self, tokens: TokenPolicy, *, provenance: Provenance) -> None:
        """Change how the client's tokens are made."""
        if tokens != self.tokens:
            self._change(self.TokenPolicyChanged, provenance, tokens=tokens)

    def set_redirects(self, redirects: Redirects, *, provenance: Provenance) -> None:
        """Replace the redirect URIs."""
        if redirects != self.redirects:
            self._change(self.RedirectsChanged, provenance, redirects=redirects)

    def set_refresh_policy(self, refresh: RefreshPolicy, *, provenance: Provenance) -> None:
        """Change how families of the client are begun."""
        if refresh != self.refresh:
            self._change(self.RefreshPolicyChanged, provenance, refresh=refresh)

    def set_delegation(self, delegation: Delegation, *, provenance: Provenance) -> None:
        """Change who may act for the subjects of the client's tokens."""
        if delegation != self.delegation:
            self._change(self.DelegationChanged, provenance, delegation=delegation)

    def set_authentication(self, authentication: Authentication, *, provenance: Provenance) -> None:
        """Change how the client proves who it is; its secrets end where it needs none any more, and
        do not come back. Raises InvalidConfiguration for a public client.
        """
        if self.client_type is ClientType.PUBLIC and authentication.method is not None:
            raise InvalidConfiguration("a public client does not authenticate")
        if authentication != self.authentication:
            if authentication.method in WITHOUT_SECRET:
                self._retire_secrets(provenance.occurred_at, provenance)
            self._change(self.AuthenticationChanged, provenance, authentication=authentication)

    def set_authorization_details_types(
        self, types: Sequence[str], *, provenance: Provenance
    ) -> None:
        """Replace the types of authorization details that the client may use.

        Raises InvalidConfiguration for what is no name.
        """
        if not all(re.fullmatch(AUDIENCE, name) for name in types):
            raise InvalidConfiguration("authorization_details_types: a name is malformed")
        if tuple(types) != self.authorization_details_types:
            self._change(
                self.AuthorizationDetailsTypesChanged,
                provenance,
                authorization_details_types=tuple(types),
            )

    def rename(self, name: str, *, provenance: Provenance) -> None:
        """Change what people are shown."""
        if name != self.name:
            self._change(self.Renamed, provenance, name=name)

    def set_registration(self, registration: Registration, *, provenance: Provenance) -> None:
        """Replace what the client says about itself."""
        if registration != self.registration:
            self._change(self.RegistrationChanged, provenance, registration=registration)

    def set_registration_token(self, kept: KeptVerifier, *, provenance: Provenance) -> None:
        """Let another token manage the client."""
        facts = {"pepper_id": kept.pepper_id, "verifier": kept.verifier}
        self._change(self.RegistrationTokenSet, provenance, **facts)

    def disable(self, provenance: Provenance) -> None:
        """Issue nothing to the client any more; a second time changes nothing."""
        if self.enabled:
            self._change(self.Disabled, provenance)

    def enable(self, provenance: Provenance) -> None:
        """Issue to the client again; nothing changes where it was not disabled."""
        if not self.enabled:
            self._change(self.Enabled, provenance)

    def _change(self, event_class: type[Event], provenance: Provenance, **facts: Any) -> None:
        self._record(event_class, provenance, client_id=self.client_id, **facts)
