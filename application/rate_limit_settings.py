"""The settings of the rate limits: how often whom, in the notation of the library `limits`.

`600/minute`, `20 per second`, or several at once, `20/second;600/minute`; empty for no limit.
"""

from typing import Annotated, Literal

from limits import RateLimitItem, parse_many
from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

LONGEST_SECONDS = 86_400
"""A longer window would outlive what is known of an address."""


def limits_of(text: str) -> tuple[RateLimitItem, ...]:
    """Return the limits that `text` names, none where it is empty. Raises ValueError."""
    return tuple(parse_many(text)) if text else ()


def _notation(text: str) -> str:
    for limit in limits_of(text.strip()):
        if limit.amount < 1:
            raise ValueError("allows nothing; leave it empty for no limit")
        if limit.get_expiry() > LONGEST_SECONDS:
            raise ValueError("a window is a day at most")
    return text.strip()


Rate = Annotated[str, AfterValidator(_notation)]


class RateLimitSettings(BaseSettings):
    """Part of application.settings.Settings, which says how variables are read."""

    model_config = SettingsConfigDict(env_prefix="GRANTLEDGER_", frozen=True, extra="ignore")

    rate_limit_storage: Literal["memory", "postgresql"] = Field(
        default="memory",
        description="Where requests are counted: in each process, or once for all replicas",
    )
    rate_limit_failed_authentication_per_address: Rate = Field(
        default="600/minute", description="Failed authentications of clients, any endpoint"
    )
    rate_limit_pushed_request_per_address: Rate = Field(
        default="1200/minute", description="Pushed authorization requests, before authentication"
    )
    rate_limit_pushed_request_per_client: Rate = Field(
        default="1200/minute", description="The same of a confidential client, authenticated"
    )
    rate_limit_device_per_address: Rate = Field(
        default="120/minute", description="Device authorization requests, before authentication"
    )
    rate_limit_device_per_client: Rate = Field(
        default="600/minute", description="The same of a confidential client, authenticated"
    )
    rate_limit_foreign_token_per_address: Rate = Field(
        default="3000/minute", description="Tokens and assertions of trusted issuers presented"
    )
    rate_limit_foreign_token_per_client: Rate = Field(
        default="3000/minute", description="The same of a client"
    )
    rate_limit_authorize_per_address: Rate = Field(
        default="1200/minute", description="Requests to the authorization endpoint"
    )
    rate_limit_login_per_address: Rate = Field(
        default="600/minute",
        description="Passwords from unknown browsers, passkey challenges and logins, ways upstream",
    )
    rate_limit_registration_per_address: Rate = Field(
        default="300/minute",
        description="Dynamic registrations of clients, their updates and deletions",
    )
    rate_limit_registration_per_client: Rate = Field(
        default="30/minute", description="Updates of its registration by a client"
    )
    rate_limit_token_per_address: Rate = Field(
        default="", description="Requests to the token endpoint; counted in each process always"
    )
    rate_limit_token_per_client: Rate = Field(
        default="", description="The same of a confidential client, authenticated"
    )
