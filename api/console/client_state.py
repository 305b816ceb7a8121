"""A client's configuration in words, at one version, with what that version changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from domain.client import Client


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a configuration; `before` is what the version before said, where it differs."""

    name: str
    value: str
    before: str | None


def facts_of(client: Client, before: Client | None) -> list[Fact]:
    """Return the configuration of `client`, each line held against the version `before`."""
    earlier = dict(_lines(before)) if before is not None else {}
    return [
        Fact(name, value, earlier[name] if name in earlier and earlier[name] != value else None)
        for name, value in _lines(client)
    ]


def _lines(client: Client) -> list[tuple[str, str]]:
    tokens, refresh, redirects = client.tokens, client.refresh, client.redirects
    bound = "DPoP" * tokens.dpop_bound or "certificate" * tokens.certificate_bound
    return [
        ("State", "enabled" if client.enabled else "disabled"),
        ("Name", client.name),
        ("Type", str(client.client_type)),
        ("Owner", client.owner or "nobody"),
        ("Grant types", _list(client.grant_types)),
        ("Scopes", _list(client.scopes)),
        ("Audiences allowed", _list(client.audiences.allowed)),
        ("Audiences by default", _list(client.audiences.default)),
        ("Serves as resource", _list(client.audiences.serves)),
        ("Authenticates by", client.authentication.method or "its secret"),
        ("Keys", _keys(client)),
        ("Secrets", _list([_secret(secret) for secret in client.secrets])),
        ("Token lifetime", _seconds(tokens.lifetime)),
        ("Signed by", tokens.signing_algorithm or "the deployment's first algorithm"),
        ("Tokens bound to", bound or "nothing"),
        ("Redirect URIs", _list(redirects.redirect_uris)),
        ("After logout", _list(redirects.post_logout_redirect_uris)),
        ("Refresh lifetime", _seconds(refresh.lifetime)),
        ("Refresh idle lifetime", _seconds(refresh.idle_lifetime)),
        ("May act for its subjects", _may_act(client.delegation.may_act)),
        ("May impersonate", "yes" if client.delegation.impersonation else "no"),
        ("Authorization details", _list(client.authorization_details_types)),
        ("Registered by", client.registration.source.replace("_", " ")),
    ]


def _list(values: Sequence[str]) -> str:
    return "\n".join(values) or "none"


def _seconds(value: int | None) -> str:
    return "the deployment's" if value is None else f"{value} s"


def _may_act(named: Sequence[str] | None) -> str:
    return "whoever gets hold of a token" if named is None else _list(named) if named else "nobody"


def _keys(client: Client) -> str:
    proof = client.authentication
    return proof.jwks_uri or _list([str(key.get("kid", "")) for key in proof.jwks])


def _secret(secret: Any) -> str:
    if secret.usable_until is None:
        return str(secret.secret_id)
    return f"{secret.secret_id}, until {secret.usable_until:%Y-%m-%d %H:%M} UTC"
