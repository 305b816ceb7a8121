"""Passkeys (W3C Web Authentication): discoverable, with the person verified by the device.

An answer counts where, beside what the library verifies (Section 7):

1. its challenge is ours, of the browser or person that it was made for, at most five minutes old
   and not answered before,
2. it was made on a page of ours, and not in a frame of another site (`crossOrigin`, `topOrigin`),
3. a login names the person whose passkey it is (Section 7.2, step 6: `userHandle`),
4. the counter of the passkey has grown: one that goes back means a copy of the key (Section 6.1.1).

The key of a passkey, and those of certificates that a browser sends beside it, are judged before
anything is verified with them (application.public_keys). A person has MOST_PASSKEYS at most.
"""

import hmac
import json
import secrets
import struct
from datetime import datetime, timedelta
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    decode_credential_public_key,
    parse_attestation_object,
    parse_registration_credential_json,
)
from webauthn.helpers.decoded_public_key_to_cryptography import (
    decoded_public_key_to_cryptography,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from application.certificates import UnreadableCertificate, parsed
from application.one_time_values import OneTimeValues
from application.people.credentials import (
    MOST_PASSKEYS,
    Credentials,
    Passkey,
    PasskeyKnown,
    TooManyPasskeys,
)
from application.public_keys import UnusableKey, require_strong

CHALLENGE_LIFETIME = timedelta(minutes=5)
MAX_RESPONSE_CHARACTERS = 16_384
_KIND = "webauthn"
_UNREADABLE = (
    WebAuthnException,
    UnsupportedAlgorithm,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    struct.error,
)


class PasskeyRefused(Exception):
    """The passkey proves nothing; `reason` is for the record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Passkeys:
    """Registers and verifies passkeys of one relying party."""

    def __init__(
        self,
        credentials: Credentials,
        values: OneTimeValues,
        *,
        rp_id: str,
        rp_name: str,
        origin: str,
    ) -> None:
        self._credentials = credentials
        self._values = values
        self._rp_id = rp_id
        self._rp_name = rp_name
        self._origin = origin

    async def registration_options(self, subject: str, *, login: str, now: datetime) -> str:
        """Return the JSON for navigator.credentials.create.

        Raises PasskeyRefused where the person has as many as it may, LedgerUnavailable.
        """
        known = await self._credentials.passkeys_of(subject)
        if len(known) >= MOST_PASSKEYS:
            raise PasskeyRefused(str(TooManyPasskeys()))
        options = generate_registration_options(
            rp_id=self._rp_id,
            rp_name=self._rp_name,
            user_name=login,
            user_id=_user_handle(subject),
            challenge=await self._challenge(b"create\0" + subject.encode(), now),
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=k.credential_id) for k in known],
        )
        return options_to_json(options)

    async def register(self, subject: str, response: str, *, label: str, now: datetime) -> Passkey:
        """Keep the passkey that a browser made. Raises PasskeyRefused, LedgerUnavailable."""
        challenge = await self._answered(response, b"create\0" + subject.encode(), now)
        try:
            _require_strong_keys(response)
            verified = verify_registration_response(
                credential=response,
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._origin,
                require_user_verification=True,
            )
        except (UnusableKey, UnreadableCertificate) as error:
            raise PasskeyRefused(f"registration: {error}") from None
        except _UNREADABLE as error:
            raise PasskeyRefused(f"registration: {type(error).__name__}") from None
        passkey = Passkey(
            credential_id=verified.credential_id,
            subject=subject,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            label=label,
            added_at=now,
        )
        try:
            await self._credentials.add_passkey(passkey)
        except (PasskeyKnown, TooManyPasskeys) as error:
            raise PasskeyRefused(str(error)) from None
        return passkey

    async def login_options(self, *, browser: str, now: datetime) -> str:
        """Return the JSON for navigator.credentials.get, good in the browser with this mark.

        Raises LedgerUnavailable.
        """
        options = generate_authentication_options(
            rp_id=self._rp_id,
            challenge=await self._challenge(_get(browser), now),
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json(options)

    async def verify_login(self, response: str, *, browser: str, now: datetime) -> Passkey:
        """Return the passkey that the browser with this mark proved.

        Raises PasskeyRefused, LedgerUnavailable.
        """
        challenge = await self._answered(response, _get(browser), now)
        passkey = await self._named(response)
        try:
            _require_strong_key(passkey.public_key)
            verified = verify_authentication_response(
                credential=response,
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._origin,
                credential_public_key=passkey.public_key,
                # Compared below: the library's own error does not tell what went wrong.
                credential_current_sign_count=0,
                require_user_verification=True,
            )
        except UnusableKey as error:
            raise PasskeyRefused(f"assertion: {error}") from None
        except _UNREADABLE as error:
            raise PasskeyRefused(f"assertion: {type(error).__name__}") from None
        count = verified.new_sign_count
        if (count or passkey.sign_count) and count <= passkey.sign_count:
            raise PasskeyRefused("sign count went back")
        if not await self._credentials.count_use(passkey.credential_id, count):
            raise PasskeyRefused("sign count went back")
        return passkey

    async def _named(self, response: str) -> Passkey:
        """3. "If the user was not identified before [...] verify that response.userHandle is
        present": an authenticator that tells of another person has mixed up two of them.
        """
        try:
            answer = json.loads(response)
            credential_id = base64url_to_bytes(str(answer["rawId"]))
            handle = base64url_to_bytes(str(answer["response"]["userHandle"]))
        except _UNREADABLE:
            raise PasskeyRefused("unreadable response") from None
        passkey = await self._credentials.passkey(credential_id)
        if passkey is None:
            raise PasskeyRefused("unknown passkey")
        if not hmac.compare_digest(handle, _user_handle(passkey.subject)):
            raise PasskeyRefused("user handle of another person")
        return passkey

    async def _challenge(self, purpose: bytes, now: datetime) -> bytes:
        challenge = secrets.token_bytes(32)
        key = sha256(challenge).digest()
        await self._values.put(_KIND, key, purpose, expires_at=now + CHALLENGE_LIFETIME)
        return challenge

    async def _answered(self, response: str, purpose: bytes, now: datetime) -> bytes:
        """Return the challenge that a response answers, once it is seen to be ours and unused."""
        if len(response) > MAX_RESPONSE_CHARACTERS:
            raise PasskeyRefused("oversized response")
        try:
            encoded = json.loads(response)["response"]["clientDataJSON"]
            client_data = json.loads(base64url_to_bytes(encoded))
            challenge = base64url_to_bytes(client_data["challenge"])
            framed = client_data.get("crossOrigin", False) is not False
            framed = framed or client_data.get("topOrigin") is not None
        except _UNREADABLE:
            raise PasskeyRefused("unreadable response") from None
        if framed:  # 2: no page of ours is in a frame
            raise PasskeyRefused("made in a frame of another site")
        if await self._values.take(_KIND, sha256(challenge).digest(), now=now) != purpose:
            raise PasskeyRefused("challenge unknown, used or expired")
        return challenge


def _require_strong_keys(response: str) -> None:
    """Raise UnusableKey or UnreadableCertificate for what a registration must not bring along.

    The library verifies with the new key itself, and with the certificates of an attestation.
    """
    answer = parse_registration_credential_json(response).response
    attestation = parse_attestation_object(answer.attestation_object)
    data = attestation.auth_data.attested_credential_data
    if data is not None:
        _require_strong_key(data.credential_public_key)
    for der in attestation.att_stmt.x5c or ():
        parsed(der)


def _require_strong_key(encoded: bytes) -> None:
    require_strong(decoded_public_key_to_cryptography(decode_credential_public_key(encoded)))


def _user_handle(subject: str) -> bytes:
    # Opaque and stable: the authenticator shows it to whoever holds it.
    return sha256(subject.encode()).digest()


def _get(browser: str) -> bytes:
    # An answer that somebody was made to give elsewhere logs nobody in here.
    return b"get\0" + browser.encode()
