"""A trusted issuer: another authorization server whose tokens count here, and on which terms.

Its tokens speak for principals of ours alone, and pass on no more than the terms name: who can
sign there must not become everybody here.
"""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.client_configuration import SIGNING_ALGORITHMS, AudienceName
from domain.errors import InvalidConfiguration
from domain.https_url import HttpsUrl
from domain.ids import directory_id
from domain.permissions import Catalogue
from domain.provenance import Provenance
from domain.recorded import Administered


class IssuerTerms(BaseModel):
    """On which terms the tokens of `issuer` count.

    Keys come from `jwks_uri`, or where that is None from what the issuer publishes about itself
    (OpenID Connect Discovery, RFC 8414). A token must be made for one of `audience`, for this
    service where that is empty. `subject_prefix` and the value of `subject_claim` together name the
    principal; one that is unknown is refused, unless `create_principals`: then it is registered
    with `roles`. Tokens pass on `scopes` at most, and `default_scopes` where they name none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: HttpsUrl = Field(examples=["https://id.example"])
    jwks_uri: HttpsUrl | None = None
    audience: tuple[AudienceName, ...] = Field(default=(), max_length=20)
    algorithms: tuple[str, ...] = SIGNING_ALGORITHMS
    subject_claim: str = Field(default="sub", min_length=1, max_length=100)
    subject_prefix: str = Field(default="", pattern=r"^[\x21-\x2E\x30-\x7E]{0,100}$")
    create_principals: bool = False
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = Field(default=(), examples=[["user", "mcp"]])
    default_scopes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "IssuerTerms":
        # RFC 8725, Section 3.1: never `none`, never a shared key.
        if not self.algorithms or set(self.algorithms) - set(SIGNING_ALGORITHMS):
            raise ValueError(f"algorithms must be among {', '.join(SIGNING_ALGORITHMS)}")
        outside = set(self.default_scopes) - set(self.scopes)
        if outside:
            raise ValueError(f"default_scopes must be among scopes: {' '.join(sorted(outside))}")
        if self.roles and not self.create_principals:
            raise ValueError("roles are for principals that are created")
        if self.create_principals and not self.subject_prefix:
            # Or it would choose which names are taken here, and by whom.
            raise ValueError("create_principals needs a subject_prefix")
        return self


class TrustedIssuer(Administered):
    """Another authorization server whose word counts here."""

    TOPIC = "issuer"
    if TYPE_CHECKING:  # at run time these would become arguments of __init__
        terms: IssuerTerms
        trusted: bool

    class Event(Administered.Event):
        """Something an administrator decided about `issuer`."""

        issuer: str

    class Added(Event, Administered.Created):
        """The issuer's tokens count from now on, on these terms."""

        TOPIC = "issuer.added"
        terms: IssuerTerms

        def apply(self, aggregate: "TrustedIssuer") -> None:
            aggregate.terms = self.terms
            aggregate.trusted = True

    Created = Added  # the inherited name: every event has its topic

    class TermsReplaced(Event):
        """The issuer's tokens count on exactly these terms from now on, again or still."""

        TOPIC = "issuer.terms_replaced"
        terms: IssuerTerms

        def apply(self, aggregate: "TrustedIssuer") -> None:
            aggregate.terms = self.terms
            aggregate.trusted = True

    class Removed(Event):
        """The issuer's tokens do not count any more, nor what was issued on its word."""

        TOPIC = "issuer.removed"

        def apply(self, aggregate: "TrustedIssuer") -> None:
            aggregate.trusted = False

    @staticmethod
    def stream(issuer: str) -> UUID:
        """Return the stream id of the issuer `issuer`."""
        return directory_id("issuer", issuer)

    @classmethod
    def add(
        cls, terms: IssuerTerms, *, catalogue: Catalogue, provenance: Provenance
    ) -> "TrustedIssuer":
        """Trust an issuer. Raises ScopeUnknown, InvalidConfiguration for an unknown role."""
        _known(terms, catalogue)
        facts: dict[str, Any] = {"issuer": terms.issuer, "terms": terms}
        return cls._begin(cls.Added, cls.stream(terms.issuer), provenance, **facts)

    @property
    def issuer(self) -> str:
        """Its issuer identifier (RFC 8414, Section 2)."""
        return self.terms.issuer

    def replace_terms(
        self, terms: IssuerTerms, *, catalogue: Catalogue, provenance: Provenance
    ) -> None:
        """Trust the issuer on other terms; the same ones change nothing. Raises as `add`."""
        _known(terms, catalogue)
        if terms != self.terms or not self.trusted:
            self._record(self.TermsReplaced, provenance, issuer=terms.issuer, terms=terms)

    def remove(self, provenance: Provenance) -> None:
        """Trust the issuer no more; a second time changes nothing."""
        if self.trusted:
            self._record(self.Removed, provenance, issuer=self.issuer)


def _known(terms: IssuerTerms, catalogue: Catalogue) -> None:
    catalogue.order(terms.scopes)
    unknown = set(terms.roles) - catalogue.carried.keys()
    if unknown:
        raise InvalidConfiguration(f"unknown role: {' '.join(sorted(unknown))}")
