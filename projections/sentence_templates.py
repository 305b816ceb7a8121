"""What is said of an event of each topic: a template a topic.

`{name}` is a fact of the entry, or a word that projections.sentences makes of facts. A part in
square brackets is left out where one of its facts is absent or empty.
"""

from collections.abc import Mapping

_BY = "[ by {actor}]"
_BY_WHY = "[, by {actor}][, because: {reason}]."

TEMPLATES: Mapping[str, str] = {
    "token.issued": "Client {client_id} was issued {a_token}[ for {whom}][, used by {actors}]"
    "[ by grant type {grant_type}][, scope {scope}][, audience {audience}]"
    "[, until {expires_at}].",
    "token.revoked": "Token {jti}[ of client {client_id}][ for {whom}] was revoked"
    f"[{{with_descendants}}]{_BY}[: {{reason}}].",
    "grant.denied": "{caller} was refused[ {times}][ at {endpoint}][ by grant type {grant_type}]"
    "[ with {error}][: {reason}][, from {address}].",
    "denial_log.started": "Process {process} began to count refusals of the hour {hour}.",
    "client.registered": "Client {client_id}[ ({name})] was registered[ for {grant_types}]"
    f"[, scopes {{scopes}}][, owned by {{owner}}]{_BY_WHY}",
    "client.secret_added": f"Client {{client_id}} got the secret {{secret_id}}{_BY_WHY}",
    "client.secret_retired": "The secret {secret_id} of client {client_id} was retired"
    f"[, usable until {{usable_until}}]{_BY_WHY}",
    "client.scopes_changed": "The scopes of client {client_id} were set to {scopes_or_none}"
    f"{_BY_WHY}",
    "client.grant_types_changed": "The grant types of client {client_id} were set to"
    f" {{grant_types_or_none}}{_BY_WHY}",
    "client.audiences_changed": f"The audiences of client {{client_id}} were changed{_BY_WHY}",
    "client.owner_changed": f"The owner of client {{client_id}} is now {{owner_or_none}}{_BY_WHY}",
    "client.token_policy_changed": "How tokens of client {client_id} are made was changed"
    f"{_BY_WHY}",
    "client.redirects_changed": f"The redirect URIs of client {{client_id}} were changed{_BY_WHY}",
    "client.refresh_policy_changed": "The refresh token policy of client {client_id} was changed"
    f"{_BY_WHY}",
    "client.delegation_changed": "Who may act through client {client_id} was changed" + _BY_WHY,
    "client.authentication_changed": "How client {client_id} authenticates was changed" + _BY_WHY,
    "client.authorization_details_types_changed": "The types of authorization details of client"
    f" {{client_id}} were changed{_BY_WHY}",
    "client.renamed": f"Client {{client_id}} was renamed to {{name}}{_BY_WHY}",
    "client.registration_changed": "What is known of the registration of client {client_id} was"
    f" changed{_BY_WHY}",
    "client.registration_token_set": "Client {client_id} got a new registration access token"
    f"{_BY_WHY}",
    "client.disabled": f"Client {{client_id}} was disabled{_BY_WHY}",
    "client.enabled": f"Client {{client_id}} was enabled again{_BY_WHY}",
    "client.used": "Client {client_id} authenticated {times_or_once}[, at last at {last_at}].",
    "client_usage.started": "Process {process} began to count uses of client {client_id} on {day}.",
    "principal.registered": "Principal {subject} was registered[ with the roles {roles}]"
    f"{_BY_WHY}",
    "principal.roles_assigned": f"Principal {{subject}} now has the roles {{roles}}{_BY_WHY}",
    "principal.deactivated": f"Principal {{subject}} was deactivated{_BY_WHY}",
    "principal.reactivated": f"Principal {{subject}} was reactivated{_BY_WHY}",
    "principal.password_set": f"The password of {{subject}} was set{_BY_WHY}",
    "principal.passkey_added": f"A passkey was added for {{subject}}{_BY_WHY}",
    "principal.passkey_removed": f"A passkey of {{subject}} was removed{_BY_WHY}",
    "principal.identity_linked": "{subject} was linked to an identity at {issuer}" + _BY_WHY,
    "session.started": "{subject} logged in[ by {methods}][, from {address}].",
    "session.authenticated": "{subject} authenticated again[ by {methods}].",
    "session.client_authorized": "{subject} let client {client_id} act within the session"
    " {session_id}.",
    "session.ended": f"The session of {{subject}} ended{_BY}[: {{reason}}].",
    "code.issued": "An authorization code for {subject} was issued to client {client_id}"
    "[, scope {scope}].",
    "code.redeemed": "Client {client_id} redeemed the authorization code of {subject}.",
    "code.replayed": "The used authorization code of {subject} was presented again at client"
    " {client_id}[, from {address}].",
    "family.started": "Client {client_id} was given refresh tokens for {subject}[, scope {scope}]"
    "[, until {expires_at}].",
    "family.rotated": "The refresh token of client {client_id} for {subject} was replaced by number"
    " {generation}.",
    "family.used": "Client {client_id} used its refresh token for {subject}.",
    "family.rotation_retried": "Client {client_id} asked again for the replacement of its refresh"
    " token for {subject}.",
    "family.reuse_detected": "A retired refresh token (number {presented}) of client {client_id}"
    " for {subject} was presented[, from {address}]; the family was revoked.",
    "family.revoked": "The refresh tokens of client {client_id} for {subject} were revoked"
    f"{_BY}[: {{reason}}].",
    "consents.opened": "The record of the consents of {subject} was opened.",
    "consent.given": "{subject} consented to client {client_id}[, scope {scope}][, at {resource}].",
    "consent.withdrawn": "{subject} withdrew the consent to client {client_id}[, scope {scope}].",
    "device.requested": "Client {client_id} asked for a device to be approved"
    "[, scope {requested_scope}].",
    "device.approved": "{subject} approved a device of client {client_id}[, scope {scope}].",
    "device.denied": "{subject} refused a device of client {client_id}.",
    "device.redeemed": "Client {client_id} redeemed the device that {subject} approved.",
    "issuer.added": f"The issuer {{issuer}} is trusted from now on{_BY_WHY}",
    "issuer.terms_replaced": f"The terms of the issuer {{issuer}} were replaced{_BY_WHY}",
    "issuer.removed": f"The issuer {{issuer}} is no longer trusted{_BY_WHY}",
    "initial_access.issued": "The initial access token {access_id} was issued"
    f"[ for {{max_uses}} registrations][, until {{expires_at}}]{_BY_WHY}",
    "initial_access.used": "Client {client_id} was registered with the initial access token"
    f" {{access_id}}{_BY_WHY}",
    "initial_access.revoked": f"The initial access token {{access_id}} was revoked{_BY_WHY}",
    "key.generated": f"The signing key {{kid}} ({{algorithm}}) was generated{_BY_WHY}",
    "key.activated": f"The signing key {{kid}} signs from now on{_BY_WHY}",
    "key.retired": "The signing key {kid} was retired[, its signatures hold until {verify_until}]"
    f"{_BY_WHY}",
    "key.revoked": "The signing key {kid} was revoked, every token that it signed is void"
    f"{_BY_WHY}",
    "key.rewrapped": "The private half of the signing key {kid} was encrypted anew, under the"
    f" master key {{master_key_id}}{_BY_WHY}",
    "audit_export.started": "An export of the positions {first_position} to {last_position}"
    f" ({{rows}} entries) began{_BY_WHY}",
    "audit_export.finished": "The export of the positions {first_position} to {last_position} was"
    f" finished[ with {{files}} files]{_BY_WHY}",
    "retention.opened": f"The record of the partition {{partition}} was opened{_BY_WHY}",
    "retention.detached": "The partition {partition} left the log[ with {rows} events]"
    f"[, positions {{first_position}} to {{last_position}}]{_BY_WHY}",
    "retention.restored": f"The partition {{partition}} is back in the log{_BY_WHY}",
    "log.went_back": "The log went back: what was recorded after position {resumed_after}[, from"
    " {lost_from}] until {lost_until} is lost"
    f"[, as {{found_by}} found]{_BY_WHY}",
    "audit_reading.started": "Process {process} began to count who reads the audit trail on {day}.",
    "audit.read": "{actor} read {what}[ {times}][ over {via}][, asking for {parameters}].",
    "forgery_log.started": "Process {process} began to count forged tokens on {day}.",
    "forged_token.presented": "The signing key {kid} signed a token that {forgery}: the key has"
    " leaked. It was presented[ {times}][ at {endpoint}][ by client {client_id}]"
    "[, from {address}].",
}

STOOD_IN = (
    "An event {set_aside_topic} of the stream {stream_id} cannot be shown and was set aside"
    "[: {cause}]."
)
"""Of the row that stands in for an event that the audit trail cannot take."""
