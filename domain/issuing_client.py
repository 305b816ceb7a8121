"""What a client may be issued: the decisions of the client aggregate about tokens.

client_credentials, in the order of the checks:

2 the grant type is registered, 3 the requested scope or all of the client's, 4 the owner exists
and is active, 5 each scope by its tier, 6 something is granted, 7 the target is allowed,
8 permissions that need an audience have it, 9 `sub` is the owner.

(1, authentication, happens at the edge, where the secret is.)

For a person (authorization_code, refresh_token, device_code):

a the grant type is registered, b the person exists and is active, c each scope by its tier, never
more than was granted before, d something is granted, e the target is allowed and within what was
bound, f permissions that need an audience have it.

Exchanged (RFC 8693), numbered as in application.grants.token_exchange: 1 the grant type and the
owner, 4 the person, and the keys that the presented tokens are bound to, 6 and 7 who acts, 8 the
scopes, 9 the target, 10 the end.

Last, in every grant: a client whose tokens are bound to a key has proved to hold one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from domain.access_token import ACCESS_TOKEN, ID_JAG, AccessToken
from domain.authorization_details import Details, meant_for, narrowed, of_types
from domain.client_configuration import (
    REFRESH_TOKEN,
    Audiences,
    ClientType,
    Delegation,
    Redirects,
    RefreshPolicy,
    TokenPolicy,
)
from domain.confirmation import CERTIFICATE, DPOP, Confirmation
from domain.delegation import (
    Exchange,
    actors_of,
    bounded,
    lineage_of,
    narrow_for_exchange,
    require_confirmed,
)
from domain.descent import Descent
from domain.errors import (
    AudienceNotAllowed,
    CertificateMissing,
    DetailsNotGranted,
    GrantTypeNotRegistered,
    OwnerNotActive,
    PersonNotActive,
    ProofMissing,
    PublicClientRefused,
    ScopeNotGranted,
)
from domain.issuance import (
    DeploymentPolicy,
    IssueRequest,
    Narrowing,
    SigningChoice,
    choose_audience,
    narrow,
    narrow_for_person,
    require_audiences,
)
from domain.permissions import OFFLINE_ACCESS, OPENID, Tier
from domain.principal import Principal
from domain.provenance import Provenance
from domain.refresh_token_family import FamilyTerms, IssuedToken, RefreshTokenFamily

_OF_MANAGEMENT = frozenset({Tier.MANAGEMENT, Tier.IDENTITY})
ID_JAG_SECONDS = 300
"""An assertion for another authorization server is used at once, or not at all."""


@dataclass(frozen=True, slots=True)
class Authority:
    """What a person let a client do, as a code, a family or a device approval holds it.

    `scope` and `resource` bound every token; an empty `resource` stands for the client's default.
    `requested` is what the first request asked for. `authenticated_at` is None where an assertion
    speaks for the person and does not say; `descent` tells of it. `authorization_details`
    (RFC 9396) is what was granted beyond scopes. `ends_at` (UTC) is when the family ends, or
    the assertion; None where a family is only begun with this token, and where nothing ends it.
    """

    requested: tuple[str, ...]
    scope: tuple[str, ...]
    resource: tuple[str, ...]
    authenticated_at: datetime | None
    descent: Descent | None = None
    authorization_details: Details = ()
    ends_at: datetime | None = None


class _Decision(NamedTuple):
    narrowing: Narrowing
    audience: tuple[str, ...]
    subject: str | None
    owner: Principal | None
    authority: Authority | None = None
    family_id: UUID | None = None
    descent: Descent | None = None
    exchange: Exchange | None = None
    details: Details = ()


class IssuingClient:
    """The part of a client that decides; Client adds configuration and events."""

    if TYPE_CHECKING:
        client_id: str
        client_type: ClientType
        grant_types: tuple[str, ...]
        scopes: tuple[str, ...]
        audiences: Audiences
        owner: str | None
        tokens: TokenPolicy
        redirects: Redirects
        refresh: RefreshPolicy
        delegation: Delegation
        authorization_details_types: tuple[str, ...]
        version: int

    def issue_token(
        self,
        request: IssueRequest,
        *,
        grant_type: str,
        owner: Principal | None,
        policy: DeploymentPolicy,
        signing: SigningChoice,
        provenance: Provenance,
    ) -> AccessToken:
        """Decide about a client_credentials request and return the token's record.

        `owner` is the principal that `self.owner` names, or None where it does not exist. Raises
        PublicClientRefused, GrantTypeNotRegistered, OwnerNotActive, ScopeUnknown,
        ScopeNotGranted, AudienceNotAllowed or AudienceMissing; then nothing is recorded.
        """
        self._require_confidential(grant_type)  # 1
        self._require_registered(grant_type)  # 2
        requested = self.scopes if request.scope is None else request.scope  # 3
        self._require_owner(owner)  # 4
        narrowing = narrow(  # 5, 6
            requested=requested,
            client_scopes=self.scopes,
            owner_permissions=owner.permissions(policy.catalogue) if owner else (),
            catalogue=policy.catalogue,
        )
        audience = self._audience(  # 7
            request.audience, policy, management=self._manages(narrowing.granted, policy)
        )
        require_audiences(  # 8
            granted=narrowing.granted, audience=audience, catalogue=policy.catalogue
        )
        by_owner = policy.subject_is_owner and self.owner is not None
        subject = self.owner if by_owner else self.client_id  # 9
        return self._token(
            request,
            _Decision(narrowing, audience, subject, owner, details=self._own_details(request)),
            grant_type=grant_type,
            policy=policy,
            signing=signing,
            provenance=provenance,
        )

    def require_grant(self, grant_type: str) -> None:
        """Raise PublicClientRefused or GrantTypeNotRegistered where the client, which must be
        confidential for it, cannot use a grant type.
        """
        self._require_confidential(grant_type)
        self._require_registered(grant_type)

    def authorize(
        self,
        scope: tuple[str, ...] | None,
        resource: tuple[str, ...],
        *,
        grant_type: str,
        person: Principal | None,
        policy: DeploymentPolicy,
    ) -> Narrowing:
        """Decide what a person would let this client do, before it is asked.

        Raises GrantTypeNotRegistered, PersonNotActive, ScopeNotGranted, ScopeUnknown,
        AudienceNotAllowed or AudienceMissing.
        """
        self._require_registered(grant_type)  # a
        if person is None or not person.active:  # b
            raise PersonNotActive(f"person {'deactivated' if person else 'unknown'}")
        if scope is None:
            raise ScopeNotGranted("a scope is required")
        narrowing = narrow_for_person(  # c, d
            requested=scope,
            client_scopes=self.scopes,
            permissions=person.permissions(policy.catalogue),
            catalogue=policy.catalogue,
        )
        audience = self._audience(resource, policy)  # e
        require_audiences(  # f
            granted=narrowing.granted, audience=audience, catalogue=policy.catalogue
        )
        return narrowing

    def issue_token_for_person(
        self,
        request: IssueRequest,
        authority: Authority,
        *,
        grant_type: str,
        person: Principal | None,
        family_id: UUID | None,
        policy: DeploymentPolicy,
        signing: SigningChoice,
        provenance: Provenance,
    ) -> AccessToken:
        """Decide about a token on a person's authority and return the token's record.

        `request.scope` and `request.audience` may narrow what `authority` holds. Raises as
        `authorize` does; then nothing is recorded.
        """
        wanted = authority.scope if request.scope is None else request.scope
        # RFC 6749, Section 6: "MUST NOT include any scope not originally granted".
        ordered = policy.catalogue.order(wanted)
        beyond = [name for name in ordered if name not in authority.scope]
        if beyond:
            raise ScopeNotGranted(f"beyond what was granted: {' '.join(beyond)}")
        # RFC 8707, Section 2.2: the resource is "part of the granted resources"; where none was
        # named, what stood in for it is all that was granted.
        bound = authority.resource or self._audience((), policy)
        outside = set(request.audience) - set(bound)
        if outside:
            raise AudienceNotAllowed(f"not an allowed target: {' '.join(sorted(outside))}")
        resource = request.audience or authority.resource
        narrowing = self.authorize(
            wanted, resource, grant_type=grant_type, person=person, policy=policy
        )
        assert person is not None  # or authorize would have refused
        # `user` expanded when it was granted: what a role gained since was not consented to.
        narrowing = narrowing.within(wanted)
        if not narrowing.granted:
            raise ScopeNotGranted("nothing is left of what was granted")
        audience = self._audience(resource, policy)
        # A resource that was named could use the token here, as its client.
        if OPENID in narrowing.granted and not resource and self._takes_issuer(audience, policy):
            audience = (*audience, policy.issuer)
        return self._token(
            request,
            _Decision(
                narrowing,
                audience,
                person.subject,
                person,
                authority=authority,
                family_id=family_id,
                descent=authority.descent,
                details=self._details(request, authority.authorization_details, resource),
            ),
            grant_type=grant_type,
            policy=policy,
            signing=signing,
            provenance=provenance,
        )

    def exchange_token(
        self,
        request: IssueRequest,
        exchange: Exchange,
        *,
        grant_type: str,
        owner: Principal | None,
        person: Principal | None,
        policy: DeploymentPolicy,
        signing: SigningChoice,
        provenance: Provenance,
    ) -> AccessToken:
        """Decide about a token exchange (RFC 8693) and return the token's record.

        `person` is the principal that the subject token's `sub` names, None where it names none;
        `owner` is this client's. Whether the tokens are live, and meant for this client, is the
        caller's to know. Raises PublicClientRefused, GrantTypeNotRegistered, OwnerNotActive,
        PersonNotActive, DelegationRefused, ScopeUnknown, ScopeNotGranted, AudienceNotAllowed or
        AudienceMissing; then nothing is recorded.
        """
        subject = exchange.subject_token
        self.require_grant(grant_type)  # 1
        self._require_owner(owner)
        if person is not None and not person.active:  # 4
            raise PersonNotActive("person deactivated")
        require_confirmed(exchange, request.confirmation)  # 4
        impersonation = self.delegation.impersonation and exchange.actor_token is None
        actors = actors_of(  # 6, 7
            exchange, client_id=self.client_id, impersonates=impersonation
        )
        permissions = person.permissions(policy.catalogue) if person else frozenset()
        left = narrow_for_exchange(  # 8
            requested=request.scope,
            subject_scope=subject.scope,
            client_scopes=self.scopes,
            permissions=permissions,
            catalogue=policy.catalogue,
            for_person=subject.for_person,
        )
        audience = self._audience(  # 9
            request.audience,
            policy,
            management=not subject.for_person and self._manages(left.granted, policy),
        )
        if exchange.form != ID_JAG:  # what its audience asks for is the audience's to know
            require_audiences(granted=left.granted, audience=audience, catalogue=policy.catalogue)
        descent = Descent(  # 12
            lineage=lineage_of(exchange),
            actors=actors,
            of_subject=subject.scope,
            of_client=self.scopes,
            of_person=policy.catalogue.order(permissions) if person else None,
            withheld=left.withheld_by_subject,
            vouched=subject.vouched,
            impersonation=impersonation,
            resource=exchange.resource,
        )
        narrowing = Narrowing(left.granted, left.withheld_by_client, left.withheld_by_person)
        return self._token(
            request,
            _Decision(
                narrowing,
                audience,
                subject.subject,
                person,
                descent=descent,
                exchange=exchange,
                details=self._details(request, subject.authorization_details, request.audience),
            ),
            grant_type=grant_type,
            policy=policy,
            signing=signing,
            provenance=provenance,
        )

    def gets_refresh_token(self, scope: tuple[str, ...]) -> bool:
        """Tell whether a grant of `scope` for a person comes with a refresh token.

        OpenID Connect Core, Section 11: `offline_access` asks for it; without `openid` the
        client's policy says.
        """
        if REFRESH_TOKEN not in self.grant_types:
            return False
        return OFFLINE_ACCESS in scope if OPENID in scope else self.refresh.without_openid

    def rotates(self, policy: DeploymentPolicy) -> bool:
        """Tell whether a use of a refresh token replaces it.

        Those of public clients always do (OAuth 2.1, Section 4.3.1); FAPI 2.0, Section 5.3.2.1,
        wants none of a confidential client's to.
        """
        return policy.rotate_confidential or self.client_type is ClientType.PUBLIC

    def start_family(
        self,
        stream_id: UUID,
        authority: Authority,
        token: AccessToken,
        *,
        pepper_id: str,
        policy: DeploymentPolicy,
        provenance: Provenance,
    ) -> RefreshTokenFamily:
        """Return the family that `token` is issued with, by the client's and deployment's terms."""
        refresh, issued = self.refresh, token.issued
        # RFC 9449, Section 5, and RFC 8705, Section 4: a confidential client is bound by its
        # authentication already, and may change its keys.
        public = self.client_type is ClientType.PUBLIC
        assert authority.authenticated_at is not None  # families begin with a login
        terms = FamilyTerms(
            client_id=self.client_id,
            subject=issued.subject,
            session_id=issued.session_id,
            scope=issued.scope,
            audience=authority.resource,
            authenticated_at=authority.authenticated_at,
            lifetime=self._family_seconds(policy),
            idle_lifetime=refresh.idle_lifetime or policy.family_idle_lifetime,
            grace=policy.rotation_grace if refresh.grace is None else refresh.grace,
            confirmation=issued.confirmation if public else None,
            authorization_details=authority.authorization_details,
            subject_version=issued.owner_version,
        )
        return RefreshTokenFamily.start(
            stream_id,
            terms,
            pepper_id=pepper_id,
            token=IssuedToken(str(token.id), issued.expires_at),
            provenance=provenance,
        )

    def _family_seconds(self, policy: DeploymentPolicy) -> int:
        return self.refresh.lifetime or policy.family_lifetime

    def _family_end(
        self, authority: Authority, policy: DeploymentPolicy, provenance: Provenance
    ) -> datetime:
        lifetime = timedelta(seconds=self._family_seconds(policy))
        return authority.ends_at or provenance.occurred_at + lifetime

    def _require_confidential(self, grant_type: str) -> None:
        if self.client_type is ClientType.PUBLIC:
            raise PublicClientRefused(f"a public client cannot use {grant_type}")

    def _require_registered(self, grant_type: str) -> None:
        if grant_type not in self.grant_types:
            raise GrantTypeNotRegistered(f"{grant_type} is not registered for this client")

    def _own_details(self, request: IssueRequest) -> Details:
        """Return what a client asks for itself: any object of its types that fits their schema, and
        is of concern to the targets that are requested.
        """
        wanted = request.authorization_details or ()
        if of_types(wanted, self.authorization_details_types) != wanted:
            raise DetailsNotGranted("the client may not use this type of authorization_details")
        return meant_for(wanted, request.audience)

    def _details(
        self, request: IssueRequest, granted: Details, targets: tuple[str, ...]
    ) -> Details:
        """Return what is left of `granted`, or of the part that is requested: of the client's types
        as of now, and of concern to `targets`, which were requested now or when it was granted.
        """
        left = of_types(granted, self.authorization_details_types)
        return meant_for(narrowed(request.authorization_details, left), targets)

    def _require_bound(self, confirmation: Confirmation | None, policy: DeploymentPolicy) -> None:
        method = confirmation.method if confirmation else None
        if policy.sender_constrained and method is None:
            raise ProofMissing("tokens are bound to a key here: send a DPoP proof")
        if self.tokens.dpop_bound and method != DPOP:
            raise ProofMissing("the tokens of this client are bound to a key: send a DPoP proof")
        if self.tokens.certificate_bound and method != CERTIFICATE:
            raise CertificateMissing("the tokens of this client are bound to its certificate")

    def _require_owner(self, owner: Principal | None) -> None:
        if self.owner is not None and (owner is None or not owner.active):
            raise OwnerNotActive(f"owner {'deactivated' if owner else 'unknown'}: {self.owner}")

    def allowed_targets(self, policy: DeploymentPolicy) -> tuple[str, ...]:
        """Return what the client may ask for: management scopes are worth nothing without their
        audience, so that a client that has some may ask for it as well.
        """
        allowed = self.audiences.allowed or policy.default_audience
        if self._manages(self.scopes, policy):
            return (*allowed, policy.management_audience)
        return allowed

    def audience_for_person(
        self, resource: tuple[str, ...], policy: DeploymentPolicy
    ) -> tuple[str, ...]:
        """Return where a token for a person is good: what was named, or the client's default.

        Raises AudienceNotAllowed.
        """
        return self._audience(resource, policy)

    def bound_resource(
        self, resource: tuple[str, ...], scope: tuple[str, ...], policy: DeploymentPolicy
    ) -> tuple[str, ...]:
        """Return what a person's authorization is bound to, where it asks for `scope`.

        A request for management alone that names nothing is for the one place where that is of
        use. Raises AudienceNotAllowed.
        """
        known = policy.catalogue.by_name
        alone = all(name in known and known[name].tier in _OF_MANAGEMENT for name in scope)
        if not resource and alone and self._defaults_to_us(policy) and self._manages(scope, policy):
            resource = (policy.management_audience,)
        self._audience(resource, policy)
        return tuple(dict.fromkeys(resource))

    def _manages(self, scope: tuple[str, ...], policy: DeploymentPolicy) -> bool:
        return bool(policy.management_audience) and not policy.catalogue.management.isdisjoint(
            scope
        )

    def _defaults_to_us(self, policy: DeploymentPolicy) -> bool:
        # The issuer was the audience of management once: who had it for that keeps it.
        return self.audiences.default in ((), (policy.issuer,))

    def _takes_issuer(self, audience: tuple[str, ...], policy: DeploymentPolicy) -> bool:
        return policy.issuer not in audience and policy.management_audience not in audience

    def _audience(
        self, requested: tuple[str, ...], policy: DeploymentPolicy, *, management: bool = False
    ) -> tuple[str, ...]:
        """Return the audience; `management` gives that of management to a client without a default
        of its own.
        """
        default = self.audiences.default or policy.default_audience
        if management and self._defaults_to_us(policy):
            default = (policy.management_audience,)
        allowed = self.allowed_targets(policy) if requested else ()
        audience = choose_audience(requested=requested, allowed=allowed, default=default)
        # Another resource that got the token could administer with it.
        if policy.management_audience in audience and len(audience) > 1:
            raise AudienceNotAllowed(f"not beside others: {policy.management_audience}")
        return audience

    def _token(
        self,
        request: IssueRequest,
        decided: _Decision,
        *,
        grant_type: str,
        policy: DeploymentPolicy,
        signing: SigningChoice,
        provenance: Provenance,
    ) -> AccessToken:
        narrowing, owner, authority = decided.narrowing, decided.owner, decided.authority
        exchange = decided.exchange
        form = exchange.form if exchange else ACCESS_TOKEN
        if form == ACCESS_TOKEN:
            self._require_bound(request.confirmation, policy)
        lifetime = self.tokens.lifetime or policy.lifetime
        if form == ID_JAG:
            lifetime = min(lifetime, ID_JAG_SECONDS)
        expires_at = provenance.occurred_at + timedelta(seconds=lifetime)
        authenticated_at = authority.authenticated_at if authority else None
        if authority and (decided.family_id or authority.ends_at):
            # What ends the family after its own end would look for its tokens no more; and an
            # assertion vouches for nothing beyond its own (RFC 7521, Section 4.1).
            expires_at = min(expires_at, self._family_end(authority, policy, provenance))
        if exchange is not None:  # 10
            expires_at = bounded(expires_at, exchange)
            authenticated_at = exchange.subject_token.authenticated_at
        return AccessToken._begin(  # noqa: SLF001  # the decision is ours, the fact the token's
            AccessToken.Issued,
            request.token_id,
            provenance,
            client_id=self.client_id,
            client_version=self.version,
            subject=decided.subject,
            owner_version=owner.version if owner else None,
            session_id=request.session_id,
            grant_type=grant_type,
            requested_scope=authority.requested if authority else request.scope,
            scope=narrowing.granted,
            withheld_by_client=narrowing.withheld_by_client,
            withheld_by_owner=narrowing.withheld_by_owner,
            audience=decided.audience,
            expires_at=expires_at,
            kid=signing.kid,
            algorithm=signing.algorithm,
            authentication_method=request.authentication_method,
            credential_id=request.credential_id,
            address=request.origin.address,
            user_agent=request.origin.user_agent,
            plugin_id=self.tokens.plugin_id,
            policy=policy.catalogue.digest,
            family_id=str(decided.family_id) if decided.family_id else None,
            authenticated_at=authenticated_at,
            roles=owner.roles if owner and (authority or authenticated_at) else None,
            descent=decided.descent,
            may_act=self.delegation.may_act,
            form=form,
            confirmation=request.confirmation if form == ACCESS_TOKEN else None,
            authorization_details=decided.details if form == ACCESS_TOKEN else (),
            payload_sha256=None,  # named when it is signed, before it is recorded
            id_payload_sha256=None,
        )
