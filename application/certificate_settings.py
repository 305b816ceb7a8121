"""The settings of the certificates of clients: where they come from, and who vouches for them."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain.https_url import require_https_url

_URL_RULE = "must have a host and neither query, fragment nor trailing slash"


class CertificateSettings(BaseSettings):
    """Part of application.settings.Settings, which says how variables are read."""

    model_config = SettingsConfigDict(env_prefix="GRANTLEDGER_", frozen=True, extra="ignore")

    client_ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authorities that sign the certificates of clients",
    )
    client_certificate_header: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9-]*$",
        description="Header in which a proxy passes on the client's certificate, like Client-Cert",
    )
    client_certificate_format: Literal["rfc9440", "pem"] = Field(
        default="rfc9440", description="How it is written there: RFC 9440, or PEM in URL encoding"
    )
    client_certificate_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        validate_default=True,
        description="Addresses whose client certificate header is believed",
    )
    mtls_port: int | None = Field(
        default=None, ge=1, le=65535, description="Port of our own TLS, which asks for certificates"
    )
    mtls_certificate_file: Path | None = Field(
        default=None,
        validate_default=True,
        description="PEM file of its server certificate, the chain behind it",
    )
    mtls_key_file: Path | None = Field(
        default=None, description="PEM file of its key, where not in the same file"
    )
    mtls_url: str = Field(
        default="",
        description="What clients with certificates reach us by; the issuer's host at mtls_port",
    )

    @field_validator("client_certificate_proxies", mode="before")
    @classmethod
    def _split_proxies(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(word.strip() for word in value.split(",") if word.strip())
        return value

    @field_validator("client_certificate_proxies")
    @classmethod
    def _named_proxies(cls, value: tuple[str, ...], others: ValidationInfo) -> tuple[str, ...]:
        # Believed from anywhere, it would make anybody any client.
        if others.data.get("client_certificate_header") and not value:
            raise ValueError("is needed with GRANTLEDGER_CLIENT_CERTIFICATE_HEADER")
        return tuple(str(ip_address(word)) for word in value)

    @field_validator("mtls_certificate_file")
    @classmethod
    def _certified(cls, value: Path | None, others: ValidationInfo) -> Path | None:
        if others.data.get("mtls_port") is not None and value is None:
            raise ValueError("is needed with GRANTLEDGER_MTLS_PORT")
        return value

    @field_validator("mtls_url")
    @classmethod
    def _mtls_url(cls, value: str) -> str:
        if value:
            require_https_url(value, rule=_URL_RULE)
        if value.endswith("/"):
            raise ValueError(_URL_RULE)
        return value

    @property
    def takes_certificates(self) -> bool:
        """Whether a client's certificate can reach us."""
        return self.mtls_port is not None or bool(self.client_certificate_header)
