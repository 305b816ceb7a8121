"""Profiles: one setting that stands for several, and refuses what its specification forbids.

`fapi2` is the FAPI 2.0 Security Profile (Final), Section 5.3.2; `mcp` the authorization part of the
Model Context Protocol. A setting that a profile fixes may be given beside it only with that value.
"""

from collections.abc import Mapping
from typing import Any

from domain.client_configuration import (
    PRIVATE_KEY_JWT,
    SELF_SIGNED_TLS_CLIENT_AUTH,
    TLS_CLIENT_AUTH,
)

FAPI2 = "fapi2"
MCP = "mcp"
ASYMMETRIC_METHODS = (PRIVATE_KEY_JWT, TLS_CLIENT_AUTH, SELF_SIGNED_TLS_CLIENT_AUTH)

FIXED: Mapping[str, Mapping[str, Any]] = {
    FAPI2: {
        "client_auth_methods": ASYMMETRIC_METHODS,
        "client_assertion_token_endpoint": False,
        "sender_constrained_tokens": True,
        "rotate_confidential": False,
        "require_pushed_requests": True,
        "verification_algorithms": ("ES256", "PS256", "EdDSA"),
    },
    MCP: {"client_id_metadata_documents": True},
}
"""FAPI 2.0, Section 5.3.2.1: clients authenticate by mTLS or private_key_jwt and are confidential;
`aud` of their assertions is "only [...] its issuer identifier value"; "shall only issue
sender-constrained access tokens"; "shall not use refresh token rotation". Section 5.3.2.2: requests
are pushed. Section 5.4.1: PS256, ES256 or EdDSA. MCP, Authorization (2025-11-25): servers "SHOULD
support OAuth Client ID Metadata Documents"; what else it demands is done always: PKCE, metadata,
resource indicators, rotation for public clients.
"""

CHOSEN: Mapping[str, Mapping[str, Any]] = {MCP: {"registration": "open"}}
"""What a profile sets unless something else is given: clients of before 2025-11 register."""


def with_profile(given: Mapping[str, Any], *, prefix: str) -> dict[str, Any]:
    """Return settings with what their profile fixes or chooses.

    Names may have `prefix`, in lower case.

    What was given and differs stays, for `departure` to name.
    """
    profile = given.get("profile", given.get(f"{prefix}profile"))
    fixed = {**FIXED.get(str(profile), {}), **CHOSEN.get(str(profile), {})}
    named = {name.lower().removeprefix(prefix) for name in given}
    return {**{name: value for name, value in fixed.items() if name not in named}, **given}


def departure(settings: Any) -> str | None:
    """Return the first setting that its profile forbids to be as it is, None where none is."""
    for name, value in FIXED.get(settings.profile, {}).items():
        present = getattr(settings, name)
        # Of a list, a part is stricter still.
        fits = set(present) <= set(value) if isinstance(value, tuple) else present == value
        if not fits:
            return name
    if settings.profile == FAPI2 and "RS256" in settings.signing_algorithms:
        return "signing_algorithms"
    return None
