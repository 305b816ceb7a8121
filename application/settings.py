"""All settings, one frozen object, read once from the environment and checked as a whole."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode, SettingsConfigDict

from application.authorization_details import DetailTypes
from application.certificate_settings import CertificateSettings
from application.detail_schemas import UnusableTypes
from application.profiles import departure, with_profile
from application.rate_limit_settings import RateLimitSettings
from application.registration.policy import REDIRECT_RULE, Limits, hook_named
from application.registration.software_statement import Publisher
from domain.client_configuration import (
    AUDIENCE,
    AUTHENTICATION_METHODS,
    AUTHORIZATION_CODE,
    GRANT_TYPES,
    MAX_FAMILY_SECONDS,
    MAX_LIFETIME,
    REFRESH_TOKEN,
    SIGNING_ALGORITHMS,
)
from domain.https_url import require_https_url
from domain.issuance import DeploymentPolicy
from domain.permissions import Catalogue
from domain.trusted_issuer import IssuerTerms

_URL_RULE = "must have a host and neither query, fragment"
_ISSUER_RULE = f"{_URL_RULE} nor trailing slash"
_UPSTREAM_RULE = f"{_URL_RULE} nor user"
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, Section 3.3


_ISSUERS = TypeAdapter(tuple[IssuerTerms, ...])
_PUBLISHERS = TypeAdapter(tuple[Publisher, ...])


class SettingsError(Exception):
    """A setting is wrong; the message is one line that names it."""


T = TypeVar("T")
WordList = Annotated[tuple[str, ...], NoDecode]


class Settings(RateLimitSettings, CertificateSettings):
    """Read from `GRANTLEDGER_*` variables; lists are separated by commas."""

    model_config = SettingsConfigDict(
        env_prefix="GRANTLEDGER_", frozen=True, populate_by_name=True, extra="ignore"
    )

    data_dir: Path = Field(
        default_factory=lambda: user_data_path("grantledger"),
        description="Embedded PostgreSQL, bootstrap.json and secrets.json live here",
    )
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("GRANTLEDGER_DATABASE_URL", "DATABASE_URL"),
        description="Your PostgreSQL (15 to 18) instead of the embedded one",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on")
    issuer: str = Field(
        default="", description="`iss` of the tokens and base of all endpoints; no trailing slash"
    )
    workers: int = Field(default=1, ge=1, le=64, description="API processes")
    counting_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="Seconds in which a client's uses, or one's readings of the audit trail, are"
        " counted up to one event",
    )
    token_lifetime: int = Field(
        default=3600,
        ge=1,
        le=int(MAX_LIFETIME.total_seconds()),
        description="Seconds, 24 h at most",
    )
    signing_algorithms: WordList = Field(
        default=("ES256",), description="First is the default: ES256, RS256, PS256, EdDSA"
    )
    default_audience: WordList = Field(
        default=(), description="`aud` for clients without a default; the issuer if empty"
    )
    client_credentials_subject: Literal["owner", "client"] = Field(
        default="owner", description="`sub`: the client's owner where it has one, or always itself"
    )
    keep_network_data: bool = Field(
        default=False, description="Record addresses and user agents plain instead of hashed"
    )
    trusted_proxies: WordList = Field(
        default=(), description="Addresses whose X-Forwarded-For is believed"
    )
    catalogue_file: Path | None = Field(
        default=None, description="JSON file that replaces the scope catalogue"
    )
    peppers: SecretStr | None = Field(
        default=None, description="id:base64 of 32 bytes, first is current; else secrets.json"
    )
    master_keys: SecretStr | None = Field(
        default=None, description="id:base64 of 32 bytes, first is current; else secrets.json"
    )
    jwks_max_age: int = Field(
        default=300, ge=0, le=86400, description="Seconds that consumers may cache the key set"
    )
    family_lifetime: int = Field(
        default=30 * 86_400, ge=60, le=MAX_FAMILY_SECONDS, description="Seconds, of refresh tokens"
    )
    family_idle_lifetime: int = Field(
        default=7 * 86_400,
        ge=60,
        le=MAX_FAMILY_SECONDS,
        description="Seconds without a refresh after which a refresh token ends",
    )
    rotation_grace: int = Field(
        default=10,
        ge=0,
        le=60,
        description="Seconds in which a lost refresh answer may be asked for again; 0 for never",
    )
    session_lifetime: int = Field(
        default=12 * 3600, ge=60, le=MAX_FAMILY_SECONDS, description="Seconds a login counts"
    )
    profile: Literal["", "fapi2", "mcp"] = Field(
        default="", description="fapi2 or mcp: fixes what that specification demands (docs)"
    )
    client_auth_methods: WordList = Field(
        default=AUTHENTICATION_METHODS,
        description="By which clients may authenticate; none is for public clients",
    )
    sender_constrained_tokens: bool = Field(
        default=False, description="Issue no access token that is not bound to a key"
    )
    rotate_confidential: bool = Field(
        default=True, description="Rotate refresh tokens of confidential clients too"
    )
    verification_algorithms: WordList = Field(
        default=SIGNING_ALGORITHMS, description="Of client assertions and DPoP proofs"
    )
    require_pushed_requests: bool = Field(
        default=False, description="Refuse authorization requests that were not pushed (RFC 9126)"
    )
    upstream_issuer: str = Field(
        default="", description="Issuer of the OpenID provider that people may log in through"
    )
    upstream_client_id: str = Field(
        default="", validate_default=True, description="What the upstream provider calls us"
    )
    upstream_client_secret: SecretStr | None = Field(
        default=None, validate_default=True, description="Our secret at the upstream provider"
    )
    upstream_name: str = Field(
        default="your organisation",
        min_length=1,
        max_length=100,
        description="Name of the upstream provider on the login page",
    )
    upstream_scopes: WordList = Field(
        default=("openid",), description="Scopes to ask the upstream provider for"
    )
    upstream_hosts: WordList = Field(
        default=(),
        description="Further hosts of its token endpoint and keys, where not the issuer's",
    )
    upstream_create: bool = Field(
        default=False, description="Register unknown upstream people on their first login"
    )
    upstream_roles: WordList = Field(
        default=("user",), description="Roles of people who are registered that way"
    )
    trusted_issuers_file: Path | None = Field(
        default=None,
        description="JSON list of issuers to trust, put into force at each start",
    )
    authorization_details_file: Path | None = Field(
        default=None,
        description="JSON object: types of authorization details and their schemas (RFC 9396)",
    )
    end_descendants: bool = Field(
        default=True,
        description="The end of a session or family voids what was exchanged from its tokens too",
    )
    tokens_within_assertions: bool = Field(
        default=True,
        description="A token of jwt-bearer ends with its assertion at the latest",
    )
    experimental_id_jag: bool = Field(
        default=False,
        description="Issue and take identity assertions for other authorization servers (ID-JAG)",
    )
    client_assertion_token_endpoint: bool = Field(
        default=False,
        description="Take the token endpoint as `aud` of client assertions beside the issuer",
    )
    protected_max_age: int | None = Field(
        default=None,
        ge=0,
        le=MAX_FAMILY_SECONDS,
        description="Seconds since the login of people who use /admin and /audit (RFC 9470); any",
    )
    console_roles: WordList = Field(
        default=(),
        description="Roles, one of which the console asks for besides audit:read; any if empty",
    )
    dpop_nonce_seconds: int = Field(
        default=0,
        ge=0,
        le=3600,
        description="Seconds until the nonce that DPoP proofs must carry changes; 0 for none",
    )
    outbound_private_hosts: WordList = Field(
        default=(), description="Hosts which we fetch from that may lie on private addresses"
    )
    registration: Literal["closed", "initial_access_token", "open"] = Field(
        default="closed", description="Whether clients may register themselves (RFC 7591)"
    )
    registration_scopes: WordList = Field(
        default=("openid", "profile", "offline_access"),
        description="Scopes that they may have, and get where they name none",
    )
    registration_grant_types: WordList = Field(
        default=(AUTHORIZATION_CODE, REFRESH_TOKEN), description="Grant types that they may have"
    )
    registration_audiences: WordList = Field(
        default=(), description="Audiences they may ask for; the default audience if empty"
    )
    registration_redirects: WordList = Field(
        default=("https", "loopback"),
        description="Redirect URIs that they may have; see clients that register themselves",
    )
    registration_hook: str = Field(
        default="", description="package.module:function that may change or refuse a registration"
    )
    registration_unused_days: int = Field(
        default=30, ge=0, le=3650, description="Days unused until they are disabled; 0 for never"
    )
    software_publishers_file: Path | None = Field(
        default=None, description="JSON list of publishers whose software statements count"
    )
    client_id_metadata_documents: bool = Field(
        default=False, description="Know clients by the URL of a document about themselves"
    )
    client_private_hosts: WordList = Field(
        default=(),
        description="Hosts of their documents and keys that may lie in your network",
    )
    retention_months: int | None = Field(
        default=None,
        ge=1,
        le=1200,
        description="Whole months after which events may be detached; for ever if empty (docs)",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe message that is logged"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="How log lines read: `auto` is JSON except at a terminal"
    )

    @model_validator(mode="before")
    @classmethod
    def _profiled(cls, given: Any) -> Any:
        return with_profile(given, prefix="grantledger_")

    @field_validator(
        "signing_algorithms",
        "verification_algorithms",
        "client_auth_methods",
        "default_audience",
        "trusted_proxies",
        "upstream_scopes",
        "upstream_hosts",
        "upstream_roles",
        "outbound_private_hosts",
        "registration_scopes",
        "registration_grant_types",
        "registration_audiences",
        "registration_redirects",
        "client_private_hosts",
        "console_roles",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(word.strip() for word in value.split(",") if word.strip())
        return value

    @field_validator("client_auth_methods")
    @classmethod
    def _known_methods(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - set(AUTHENTICATION_METHODS):
            raise ValueError(f"choose among {', '.join(AUTHENTICATION_METHODS)}")
        return value

    @field_validator("signing_algorithms", "verification_algorithms")
    @classmethod
    def _known_algorithms(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = set(value) - set(SIGNING_ALGORITHMS)
        if unknown or not value:
            raise ValueError(f"choose among {', '.join(SIGNING_ALGORITHMS)}")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        read = [ip_address(word) for word in value]
        # As api.client_network spells the address of a request.
        return tuple(str(getattr(one, "ipv4_mapped", None) or one) for one in read)

    @field_validator("issuer")
    @classmethod
    def _issuer(cls, value: str) -> str:
        if not value:
            return value
        require_https_url(value, rule=_ISSUER_RULE)
        if value.endswith("/"):
            raise ValueError(_ISSUER_RULE)
        parts = urlsplit(value)
        usual = {"https": ":443", "http": ":80"}[parts.scheme]
        port = parts.netloc.rpartition("]")[2].partition(":")[2]
        plain = not port.startswith("0") and (port or not parts.netloc.endswith(":"))
        if parts.netloc != parts.netloc.lower() or parts.netloc.endswith(usual) or not plain:
            # A browser names its origin so: every form would seem to come from elsewhere.
            raise ValueError(
                "must have its host in lower case, and no port that goes without saying"
            )
        return value

    @field_validator("upstream_issuer")
    @classmethod
    def _upstream_issuer(cls, value: str) -> str:
        # Some providers end theirs with a slash, and it must match to the letter.
        if value:
            require_https_url(value, rule=_UPSTREAM_RULE)
        return value

    @field_validator("upstream_client_id", "upstream_client_secret")
    @classmethod
    def _complete(cls, value: Any, others: ValidationInfo) -> Any:
        given = value.get_secret_value() if isinstance(value, SecretStr) else value
        if others.data.get("upstream_issuer") and not given:
            raise ValueError("is needed with GRANTLEDGER_UPSTREAM_ISSUER")
        return value

    @field_validator("upstream_scopes")
    @classmethod
    def _openid(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value or not all(_SCOPE.fullmatch(scope) for scope in value):
            raise ValueError("must be scopes, openid among them")
        return value

    @field_validator("registration_grant_types")
    @classmethod
    def _known_grant_types(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if set(value) - set(GRANT_TYPES):
            raise ValueError(f"choose among {', '.join(GRANT_TYPES)}")
        return value

    @field_validator("registration_audiences")
    @classmethod
    def _audiences(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(AUDIENCE.strip("^$"), name) for name in value):
            raise ValueError("must be audiences: at most 512 characters without spaces")
        return value

    @field_validator("registration_redirects")
    @classmethod
    def _redirect_rules(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(REDIRECT_RULE.fullmatch(rule) for rule in value):
            raise ValueError("must be https, loopback, private, https://HOST or com.example.app:")
        return value

    @field_validator("registration_hook")
    @classmethod
    def _importable(cls, value: str) -> str:
        if value:
            hook_named(value)
        return value

    @field_validator("upstream_hosts", "outbound_private_hosts", "client_private_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...], field: ValidationInfo) -> tuple[str, ...]:
        matches = [_HOST.fullmatch(host) for host in value]
        port_counts = field.field_name == "upstream_hosts"
        if not all(match and (port_counts or not match[2]) for match in matches):
            raise ValueError(f"must be host names{', with a port or not' if port_counts else ''}")
        return value

    @property
    def issuer_url(self) -> str:
        """The issuer identifier (RFC 8414, Section 2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.issuer or f"http://{host}:{self.port}"

    @property
    def management_audience(self) -> str:
        """The audience of /admin, /audit, /reports and /console, and of nothing else."""
        return f"{self.issuer_url}/management"

    @property
    def mtls_base_url(self) -> str | None:
        """What the endpoints begin with for clients that have certificates (RFC 8705, Section 5).

        None where they are the same as for all others.
        """
        if self.mtls_url or self.mtls_port is None:
            return self.mtls_url or None
        host = urlsplit(self.issuer_url).hostname or ""
        return f"https://{f'[{host}]' if ':' in host else host}:{self.mtls_port}"

    @property
    def client_assertion_audiences(self) -> tuple[str, ...]:
        """What `aud` of a client assertion may be (RFC 7523, Section 3)."""
        endpoint = f"{self.issuer_url}/oauth/token"
        return (self.issuer_url, *((endpoint,) if self.client_assertion_token_endpoint else ()))

    def policy(self, catalogue: Catalogue) -> DeploymentPolicy:
        """Return the part of the settings that decides about tokens."""
        return DeploymentPolicy(
            catalogue=catalogue,
            lifetime=self.token_lifetime,
            default_audience=self.default_audience or (self.issuer_url,),
            subject_is_owner=self.client_credentials_subject == "owner",
            issuer=self.issuer_url,
            management_audience=self.management_audience,
            family_lifetime=self.family_lifetime,
            family_idle_lifetime=self.family_idle_lifetime,
            rotation_grace=self.rotation_grace,
            end_descendants=self.end_descendants,
            id_jag=self.experimental_id_jag,
            sender_constrained=self.sender_constrained_tokens,
            rotate_confidential=self.rotate_confidential,
            within_assertion=self.tokens_within_assertions,
        )

    def registration_limits(self, catalogue: Catalogue) -> Limits:
        """Return what clients may register of themselves; scopes that there are not are left out:
        the catalogue of a deployment need not have those of the default.
        """
        return Limits(
            scopes=tuple(name for name in self.registration_scopes if name in catalogue.by_name),
            grant_types=self.registration_grant_types,
            redirects=self.registration_redirects,
            audiences=self.registration_audiences,
        )

    def software_publishers(self) -> tuple[Publisher, ...]:
        """Return whose statements count. Raises SettingsError for an unreadable or invalid file."""
        return _listed(self.software_publishers_file, _PUBLISHERS, "SOFTWARE_PUBLISHERS_FILE")

    def trusted_issuers(self) -> tuple[IssuerTerms, ...]:
        """Return the issuers to trust. Raises SettingsError for an unreadable or invalid file."""
        return _listed(self.trusted_issuers_file, _ISSUERS, "TRUSTED_ISSUERS_FILE")

    def authorization_details(self) -> DetailTypes:
        """Return the types of authorization details. Raises SettingsError."""
        try:
            return DetailTypes.from_file(self.authorization_details_file)
        except UnusableTypes as error:
            raise SettingsError(f"GRANTLEDGER_AUTHORIZATION_DETAILS_FILE: {error}") from None

    def catalogue(self) -> Catalogue:
        """Return the scope catalogue. Raises SettingsError for an unreadable or invalid file."""
        if self.catalogue_file is None:
            return Catalogue()
        try:
            return Catalogue.model_validate_json(self.catalogue_file.read_bytes())
        except OSError as error:
            raise SettingsError(f"GRANTLEDGER_CATALOGUE_FILE: {error.strerror}") from None
        except ValidationError as error:
            raise SettingsError(f"GRANTLEDGER_CATALOGUE_FILE: {_problem(error)[1]}") from None


def _listed(path: Path | None, of: TypeAdapter[tuple[T, ...]], name: str) -> tuple[T, ...]:
    if path is None:
        return ()
    try:
        return of.validate_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"GRANTLEDGER_{name}: {error.strerror}") from None
    except ValidationError as error:
        raise SettingsError(f"GRANTLEDGER_{name}: {_problem(error)[1]}") from None


def load_settings(**given: Any) -> Settings:
    """Return the settings of the environment, `given` ones first (None is not given).

    Raises SettingsError with one line that names the wrong setting.
    """
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(_first_problem(error)) from None
    if settings.management_audience in settings.default_audience:
        # Every client's tokens would be good for it.
        raise SettingsError("GRANTLEDGER_DEFAULT_AUDIENCE: must not be the audience of management")
    if settings.registration == "open" or settings.client_id_metadata_documents:
        _require_nothing_for_strangers(settings)
    forbidden = departure(settings)
    if forbidden is not None:
        shown = f"GRANTLEDGER_{forbidden.upper()}"
        raise SettingsError(f"{shown}: the profile {settings.profile} forbids this value")
    return settings


def _require_nothing_for_strangers(settings: Settings) -> None:
    """Raise SettingsError where a client that nobody admitted could get a management scope: with
    client_credentials it would administer everything.
    """
    management = set(settings.registration_scopes) & settings.catalogue().management
    if management:
        raise SettingsError(
            f"GRANTLEDGER_REGISTRATION_SCOPES: {', '.join(sorted(management))} cannot be for"
            " clients that register themselves without an initial access token"
        )


def _first_problem(error: ValidationError) -> str:
    """Return the first problem with the name of its variable in front."""
    place, text = _problem(error)
    name = place.upper().removeprefix("GRANTLEDGER_")
    shown = name if name == "DATABASE_URL" else f"GRANTLEDGER_{name}"
    return f"{shown}{text.removeprefix(place)}"


def _problem(error: ValidationError) -> tuple[str, str]:
    """Return where the first problem is, its outermost name, and "place: what"."""
    problem = error.errors(include_url=False, include_input=False)[0]
    place = [str(part) for part in problem["loc"]]
    text = ": ".join(part for part in (".".join(place), problem["msg"]) if part)
    return (place[0] if place else ""), text
