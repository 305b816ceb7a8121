"""Broken rules of the domain. The application maps each to an OAuth error code.

DomainError
├── AlreadyRegistered        the name is taken
├── InvalidConfiguration     a client, principal or key may not be configured like this
├── GrantTypeNotRegistered   the client may not use this grant type
├── PublicClientRefused      the grant needs a confidential client
├── ScopeUnknown             a name outside the catalogue
├── ScopeNotGranted          nothing is left after the narrowing
├── DetailsNotGranted        authorization details beyond what was granted, or of no type of its own
├── AudienceMissing          a permission needs an audience the token lacks
├── AudienceNotAllowed       the target is not on the client's list
├── OwnerNotActive           the client's owner is missing or deactivated
├── PersonNotActive          the person behind the grant is missing or deactivated
├── ProofMissing             the client's tokens are bound to a key, and none was proved
├── CertificateMissing       the client's tokens are bound to a certificate, and none came
├── DelegationRefused        this one may not act for that one, or not like this
├── GrantNotUsable           a code, family or session cannot go from here to there
├── TooManyAlive             as many tokens of one grant work as may at once
└── KeyStateError            a signing key cannot go from here to there
"""


class DomainError(Exception):
    """A rule of the domain was broken; the message is safe to show to the caller."""


class AlreadyRegistered(DomainError):
    """The name is taken."""


class InvalidConfiguration(DomainError):
    """A client, principal or key may not be configured like this."""


class GrantTypeNotRegistered(DomainError):
    """The client may not use this grant type."""


class PublicClientRefused(DomainError):
    """The grant needs a client that can keep a secret."""


class ScopeUnknown(DomainError):
    """A scope name is outside the catalogue."""


class ScopeNotGranted(DomainError):
    """No requested scope is left after the narrowing."""


class DetailsNotGranted(DomainError):
    """Authorization details go beyond what was granted (RFC 9396, Section 6)."""


class AudienceMissing(DomainError):
    """A permission needs an audience that the token would not carry."""


class AudienceNotAllowed(DomainError):
    """The requested audience or resource is not on the client's list."""


class OwnerNotActive(DomainError):
    """The client's owner does not exist or is deactivated. Never shown to the caller."""


class PersonNotActive(DomainError):
    """The person behind the grant does not exist or is deactivated. Never shown to the caller."""


class ProofMissing(DomainError):
    """The client's tokens are bound to a key, and the request proved to hold none."""


class CertificateMissing(DomainError):
    """The client's tokens are bound to its certificate, and it presented none."""


class DelegationRefused(DomainError):
    """Whoever asks may not act for the subject like this (RFC 8693, Section 2.2.2)."""


class GrantNotUsable(DomainError):
    """A code, a family, a session or a device authorization has ended. Never shown as it is."""


class TooManyAlive(DomainError):
    """As many access tokens of one grant work as may at once; in `seconds` one of them ends."""

    def __init__(self, seconds: int) -> None:
        super().__init__("too many tokens of this grant are in use")
        self.seconds = seconds


class KeyStateError(DomainError):
    """A signing key cannot change to the requested state."""
