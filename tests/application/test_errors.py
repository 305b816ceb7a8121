"""The error tree: what is documented is raised, and what is public is not what is recorded."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from application import errors
from application.errors import OAuthError, ServerError, TemporarilyUnavailable
from domain.errors import (
    AlreadyRegistered,
    AudienceMissing,
    AudienceNotAllowed,
    CertificateMissing,
    DelegationRefused,
    DetailsNotGranted,
    DomainError,
    GrantNotUsable,
    GrantTypeNotRegistered,
    InvalidConfiguration,
    KeyStateError,
    OwnerNotActive,
    PersonNotActive,
    ProofMissing,
    PublicClientRefused,
    ScopeNotGranted,
    ScopeUnknown,
    TooManyAlive,
)

# The codes that RFCs 6749, 6750 and 8707 give, and our own for administration.
DOCUMENTED: dict[type[OAuthError], tuple[str, int]] = {
    errors.InvalidRequest: ("invalid_request", 400),
    errors.PayloadTooLarge: ("invalid_request", 413),
    errors.Unrecordable: ("invalid_request", 400),
    errors.UnusableToken: ("invalid_request", 400),
    errors.InvalidClient: ("invalid_client", 401),
    errors.InvalidGrant: ("invalid_grant", 400),
    errors.UnusableGrant: ("invalid_grant", 400),
    errors.UnusableAssertion: ("invalid_grant", 400),
    errors.InvalidDpopProof: ("invalid_dpop_proof", 400),
    errors.UnusableProof: ("invalid_dpop_proof", 401),
    errors.UseDpopNonce: ("use_dpop_nonce", 400),
    errors.NonceRequired: ("use_dpop_nonce", 401),
    errors.AuthorizationPending: ("authorization_pending", 400),
    errors.SlowDown: ("slow_down", 400),
    errors.ExpiredToken: ("expired_token", 400),
    errors.AccessDenied: ("access_denied", 400),
    errors.UnusableLogin: ("access_denied", 400),
    errors.UnsupportedResponseType: ("unsupported_response_type", 400),
    errors.LoginRequired: ("login_required", 400),
    errors.ConsentRequired: ("consent_required", 400),
    errors.RequestNotSupported: ("request_not_supported", 400),
    errors.InvalidRequestUri: ("invalid_request_uri", 400),
    errors.UnauthorizedClient: ("unauthorized_client", 400),
    errors.UnsupportedGrantType: ("unsupported_grant_type", 400),
    errors.InvalidScope: ("invalid_scope", 400),
    errors.InvalidAuthorizationDetails: ("invalid_authorization_details", 400),
    errors.InvalidTarget: ("invalid_target", 400),
    errors.InvalidRedirectUri: ("invalid_redirect_uri", 400),
    errors.InvalidClientMetadata: ("invalid_client_metadata", 400),
    errors.UnusableDocument: ("invalid_client_metadata", 400),
    errors.InvalidSoftwareStatement: ("invalid_software_statement", 400),
    errors.UnapprovedSoftwareStatement: ("unapproved_software_statement", 400),
    errors.InvalidToken: ("invalid_token", 401),
    errors.LoginTooOld: ("insufficient_user_authentication", 401),
    errors.InsufficientScope: ("insufficient_scope", 403),
    errors.NotFound: ("not_found", 404),
    errors.ConflictingState: ("conflict", 409),
    errors.TooManyRequests: ("too_many_requests", 429),
    errors.IssuerAway: ("temporarily_unavailable", 503),
    errors.TemporarilyUnavailable: ("temporarily_unavailable", 503),
    errors.ServerError: ("server_error", 500),
}
# These say the same as what they are a kind of, in one fixed text.
ONE_TEXT: dict[type[OAuthError], str] = {
    errors.UnusableToken: (
        "the subject_token or actor_token is invalid, expired, revoked or not this client's"
    ),
    errors.UnusableAssertion: (
        "the assertion is invalid, expired, used before, or not for this client"
    ),
    errors.IssuerAway: "the issuer of the token cannot be reached at the moment; try again",
    errors.UnusableGrant: "the grant is invalid, expired, revoked or not this client's",
    errors.UnusableLogin: "the login failed",
    errors.InvalidClient: "client authentication failed",
}
SECRET = "what the caller typed"
MAPPED: dict[type[DomainError], tuple[type[OAuthError], str]] = {
    AlreadyRegistered: (errors.ConflictingState, SECRET),
    InvalidConfiguration: (errors.InvalidRequest, SECRET),
    GrantTypeNotRegistered: (errors.UnauthorizedClient, SECRET),
    PublicClientRefused: (errors.UnauthorizedClient, SECRET),
    ScopeUnknown: (errors.InvalidScope, "unknown scope"),
    ScopeNotGranted: (errors.InvalidScope, SECRET),
    DetailsNotGranted: (errors.InvalidAuthorizationDetails, SECRET),
    AudienceMissing: (errors.InvalidScope, SECRET),
    AudienceNotAllowed: (errors.InvalidTarget, "target not allowed"),
    OwnerNotActive: (errors.InvalidClient, SECRET),
    PersonNotActive: (errors.UnusableGrant, SECRET),
    DelegationRefused: (errors.InvalidRequest, SECRET),
    ProofMissing: (errors.InvalidDpopProof, SECRET),
    CertificateMissing: (errors.InvalidRequest, SECRET),
    GrantNotUsable: (errors.UnusableGrant, SECRET),
    KeyStateError: (errors.ConflictingState, SECRET),
}


def below(root: type[Any]) -> Iterator[type[Any]]:
    """Yield every class below `root` that the product defines."""
    for child in root.__subclasses__():
        if child.__module__ in ("application.errors", "domain.errors"):
            yield child
        yield from below(child)


def drawn(text: str | None) -> list[str]:
    """Return the class names in a tree that is drawn in a docstring."""
    return re.findall(r"[├└]── (\w+)", text or "")


def test_each_error_has_its_code_and_status() -> None:
    """Code and status of every error are the documented ones, and no two errors share both."""
    found = {kind: (kind.code, int(kind.status)) for kind in below(OAuthError)}

    assert found == DOCUMENTED
    own = {kind: shown for kind, shown in found.items() if kind.__base__ not in found}
    assert len(set(own.values())) == len(own)


def test_the_drawn_tree_is_the_tree() -> None:
    """The tree at the top of the module names every error with its status, and no other."""
    statuses = {kind.__name__: int(kind.status) for kind in DOCUMENTED}
    lines = re.findall(r"[├└]── (\w+) +(\d{3}) ", errors.__doc__ or "")

    assert {name: int(status) for name, status in lines} == statuses


def test_the_domains_drawn_tree_is_its_tree() -> None:
    """The tree at the top of the domain's errors names every one of them, and no other."""
    module = __import__("domain.errors", fromlist=["errors"])

    rules = [*MAPPED, TooManyAlive]
    assert sorted(drawn(module.__doc__)) == sorted(kind.__name__ for kind in rules)


def test_every_broken_rule_is_mapped() -> None:
    """Each error of the domain has its OAuth error; a new one must get a row here."""
    assert set(below(DomainError)) == {*MAPPED, TooManyAlive}


@pytest.mark.parametrize("rule", MAPPED, ids=lambda rule: rule.__name__)
def test_a_broken_rule_becomes_its_error(rule: type[DomainError]) -> None:
    """The message becomes public and the reason stays as it is, except where the message repeats
    the request (then the record gets the cause alone) or would help an attacker (then the caller
    gets the one text).
    """
    kind, reason = MAPPED[rule]

    error = errors.from_domain(rule(SECRET))

    assert type(error) is kind
    assert error.reason == reason
    assert error.description == ONE_TEXT.get(kind, SECRET)


def test_what_will_be_possible_again_says_when() -> None:
    """The caller is told to wait, the record why."""
    error = errors.from_domain(TooManyAlive(30))

    assert isinstance(error, errors.TooManyRequests)
    assert (error.retry_after, error.reason) == (30, "too many tokens of this grant are in use")


@pytest.mark.parametrize("rule", [ScopeUnknown, AudienceNotAllowed])
def test_the_record_repeats_no_request(rule: type[DomainError]) -> None:
    """Nobody can write into the record by asking for a scope or a target named like a text."""
    assert SECRET not in errors.from_domain(rule(f"no such thing: {SECRET}")).reason


def test_an_unknown_kind_is_the_callers_mistake() -> None:
    """A rule without a row of its own is still an error of the caller's, never a 500."""

    class NewRule(DomainError):
        """A rule of tomorrow."""

    error = errors.from_domain(NewRule("no"))

    assert (error.code, error.status) == ("invalid_request", HTTPStatus.BAD_REQUEST)


def test_our_own_faults_tell_nothing() -> None:
    """What is public about an outage or a bug does not depend on its cause."""
    away = TemporarilyUnavailable(reason="no connection to 192.0.2.1")

    assert away.description == "the service cannot record at the moment; try again"
    assert away.reason == "no connection to 192.0.2.1"
    assert ServerError().reason == ServerError().description
