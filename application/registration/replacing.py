"""A client says something else about itself: its record follows, within what it was given.

Scopes and grant types only become fewer: what an administrator took away, no client gives itself.
Bindings of its tokens, and the duty to push requests, stay on once they are on. What only
administrators set (owner, audiences, lifetimes, delegation) stays as it is.
"""

from pydantic import ValidationError

from application.errors import InvalidClientMetadata
from domain.client import Client
from domain.client_configuration import ClientConfiguration, Redirects, TokenPolicy
from domain.permissions import Catalogue
from domain.provenance import Provenance


def replace_metadata(
    client: Client, wanted: ClientConfiguration, *, catalogue: Catalogue, provenance: Provenance
) -> None:
    """Change `client` to what is wanted. Raises a DomainError,
    InvalidClientMetadata.
    """
    scopes = [name for name in wanted.scopes if name in client.scopes]
    grants = [name for name in wanted.grant_types if name in client.grant_types]
    client.rename(wanted.name, provenance=provenance)
    client.set_grant_types(grants, provenance=provenance)
    client.set_scopes(scopes, catalogue=catalogue, provenance=provenance)
    client.set_token_policy(_tokens(client, wanted), provenance=provenance)
    client.set_redirects(_redirects(client, wanted), provenance=provenance)
    client.set_authentication(wanted.authentication, provenance=provenance)
    client.set_registration(wanted.registration, provenance=provenance)


def _tokens(client: Client, wanted: ClientConfiguration) -> TokenPolicy:
    present, asked = client.tokens, wanted.tokens
    facts = {
        **present.model_dump(),
        "signing_algorithm": asked.signing_algorithm or present.signing_algorithm,
        "dpop_bound": present.dpop_bound or asked.dpop_bound,
        "certificate_bound": present.certificate_bound or asked.certificate_bound,
    }
    try:
        return TokenPolicy.model_validate(facts)
    except ValidationError:
        raise InvalidClientMetadata("a binding of tokens cannot replace another") from None


def _redirects(client: Client, wanted: ClientConfiguration) -> Redirects:
    pushed = client.redirects.require_pushed_authorization_requests
    if not pushed:
        return wanted.redirects
    return wanted.redirects.model_copy(update={"require_pushed_authorization_requests": True})
