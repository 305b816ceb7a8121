"""Settings: read from the environment once, checked as a whole, wrong ones named in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from application.settings import Settings, SettingsError, load_settings
from domain.permissions import Catalogue
from tests.builders import CATALOGUE


def test_needs_nothing() -> None:
    """Without any setting there is a service on the loopback interface that believes nobody."""
    settings = load_settings()

    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.issuer_url == "http://127.0.0.1:8000"
    assert settings.database_url is None
    assert settings.signing_algorithms == ("ES256",)
    assert settings.trusted_proxies == ()
    assert not settings.keep_network_data
    assert settings.catalogue() == CATALOGUE


LISTS = (
    ("SIGNING_ALGORITHMS", "EdDSA, ES256 ,,RS256", ("EdDSA", "ES256", "RS256")),
    ("DEFAULT_AUDIENCE", "https://a.example,hook", ("https://a.example", "hook")),
    ("TRUSTED_PROXIES", "192.0.2.1, 2001:DB8:0::1", ("192.0.2.1", "2001:db8::1")),
    ("DEFAULT_AUDIENCE", "", ()),
    ("UPSTREAM_SCOPES", "openid, email", ("openid", "email")),
    (
        "UPSTREAM_HOSTS",
        "keys.example, 127.0.0.1:81,[::1]:8",
        ("keys.example", "127.0.0.1:81", "[::1]:8"),
    ),
    ("UPSTREAM_ROLES", "user,auditor", ("user", "auditor")),
    ("OUTBOUND_PRIVATE_HOSTS", "sso.internal", ("sso.internal",)),
    ("REGISTRATION_SCOPES", "openid,mcp", ("openid", "mcp")),
    ("REGISTRATION_SCOPES", "", ()),
    ("REGISTRATION_GRANT_TYPES", "authorization_code", ("authorization_code",)),
    (
        "REGISTRATION_REDIRECTS",
        "private,https://*.shop.example, https://a.example:8443,com.example.app:",
        ("private", "https://*.shop.example", "https://a.example:8443", "com.example.app:"),
    ),
    ("CLIENT_PRIVATE_HOSTS", "apps.internal", ("apps.internal",)),
)


@pytest.mark.parametrize(("name", "value", "expected"), LISTS)
def test_reads_lists(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: tuple[str, ...]
) -> None:
    """Words are separated by commas, space around them and empty ones do not count, and addresses
    are brought into one form.
    """
    monkeypatch.setenv(f"GRANTLEDGER_{name}", value)

    assert getattr(load_settings(), name.lower()) == expected


def test_reads_every_kind_of_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, switches, paths and names come out as what they are; variables that are not ours
    are nobody's business.
    """
    for name, value in {
        "GRANTLEDGER_PORT": "9000",
        "GRANTLEDGER_KEEP_NETWORK_DATA": "true",
        "GRANTLEDGER_DATA_DIR": "/var/lib/gl",
        "GRANTLEDGER_LOG_LEVEL": "debug",
        "GRANTLEDGER_UNHEARD_OF": "1",
        "PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)

    settings = load_settings()

    assert (settings.port, settings.keep_network_data) == (9000, True)
    assert (settings.data_dir, settings.log_level) == (Path("/var/lib/gl"), "debug")


@pytest.mark.parametrize(
    "rate", ["", "1/second", " 20 per 5 minutes ", "5/second;100/hour", "1/day"]
)
def test_reads_rates(monkeypatch: pytest.MonkeyPatch, rate: str) -> None:
    """The library's notation is taken, several at once too, and none at all for no limit."""
    monkeypatch.setenv("GRANTLEDGER_RATE_LIMIT_TOKEN_PER_CLIENT", rate)

    assert load_settings().rate_limit_token_per_client == rate.strip()


def test_what_is_given_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option of the command line beats the environment, and one that is not given does not."""
    monkeypatch.setenv("GRANTLEDGER_PORT", "9000")
    monkeypatch.setenv("GRANTLEDGER_HOST", "127.0.0.2")

    settings = load_settings(port=9001, host=None)

    assert (settings.port, settings.host) == (9001, "127.0.0.2")


def test_settings_do_not_change() -> None:
    """Once checked, nothing can be set any more."""
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # what the test is about


URL = "postgresql://gl:hidden@db/gl"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DATABASE_URL": URL}, URL),
        ({"GRANTLEDGER_DATABASE_URL": URL}, URL),
        ({"GRANTLEDGER_DATABASE_URL": URL, "DATABASE_URL": "postgresql://other"}, URL),
    ],
)
def test_reads_either_name_of_the_database(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    """DATABASE_URL works as elsewhere, our own name beats it, and neither shows when printed."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    settings = load_settings()

    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == expected
    assert "hidden" not in repr(settings)


WRONG = (
    ("PORT", "0", "greater than or equal to 1"),
    ("PORT", "65536", "less than or equal to 65535"),
    ("PORT", "http", "valid integer"),
    ("PORT", "", "valid integer"),
    ("WORKERS", "0", "greater than or equal to 1"),
    ("WORKERS", "65", "less than or equal to 64"),
    ("TOKEN_LIFETIME", "0", "greater than or equal to 1"),
    ("TOKEN_LIFETIME", "86401", "less than or equal to 86400"),
    ("JWKS_MAX_AGE", "-1", "greater than or equal to 0"),
    ("JWKS_MAX_AGE", "86401", "less than or equal to 86400"),
    ("SIGNING_ALGORITHMS", "ES256,HS256", "choose among ES256, RS256, PS256, EdDSA"),
    ("SIGNING_ALGORITHMS", "none", "choose among ES256, RS256, PS256, EdDSA"),
    ("SIGNING_ALGORITHMS", " , ", "choose among ES256, RS256, PS256, EdDSA"),
    ("TRUSTED_PROXIES", "192.0.2.1,proxy", "'proxy' does not appear to be an IPv4 or IPv6 address"),
    ("TRUSTED_PROXIES", "192.0.2.0/24", "does not appear to be an IPv4 or IPv6 address"),
    ("CLIENT_CREDENTIALS_SUBJECT", "nobody", "'owner' or 'client'"),
    ("KEEP_NETWORK_DATA", "perhaps", "valid boolean"),
    ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ("ISSUER", "auth.example", "must be an https URL"),
    ("ISSUER", "ftp://auth.example", "must be an https URL"),
    ("ISSUER", "http://auth.example", "must be an https URL (http only on the loopback interface)"),
    ("ISSUER", "http://127.0.0.1.example", "must be an https URL"),
    ("ISSUER", "https://auth.example/", "nor trailing slash"),
    ("ISSUER", "https://auth.example/?a=b", "neither query"),
    ("ISSUER", "https://auth.example?", "neither query"),
    ("ISSUER", "https://auth.example#a", "neither query, fragment"),
    ("ISSUER", "https://auth.example#", "neither query, fragment"),
    ("ISSUER", "https://:8000", "must have a host"),
    ("ISSUER", "https://auth.example:port", "must have a host"),
    ("ISSUER", "https://auth.example:70000", "must have a host"),
    ("ISSUER", "https://gl:hidden@auth.example", "must have a host"),
    ("ISSUER", "https://auth.example ", "must have a host"),
    ("ISSUER", "https://auth .example", "must have a host"),
    ("ISSUER", "https://auth.\nexample", "must have a host"),
    ("ISSUER", "https://[::1", "must have a host"),
    ("DEFAULT_AUDIENCE", "a,http://127.0.0.1:8000/management", "must not be the audience of man"),
    ("UPSTREAM_ISSUER", "http://id.example", "must be an https URL"),
    ("UPSTREAM_ISSUER", "https://id.example?a=b", "neither query, fragment nor user"),
    ("UPSTREAM_ISSUER", "https://gl:hidden@id.example", "neither query, fragment nor user"),
    ("UPSTREAM_NAME", "", "at least 1 character"),
    ("UPSTREAM_SCOPES", "profile,email", "openid among them"),
    ("UPSTREAM_SCOPES", "openid,pro file", "must be scopes"),
    ("UPSTREAM_HOSTS", "https://keys.example", "must be host names, with a port or not"),
    ("UPSTREAM_CREATE", "perhaps", "valid boolean"),
    ("REGISTRATION", "sometimes", "'closed', 'initial_access_token' or 'open'"),
    ("REGISTRATION_GRANT_TYPES", "password", "choose among client_credentials"),
    ("REGISTRATION_REDIRECTS", "http", "must be https, loopback"),
    ("REGISTRATION_REDIRECTS", "javascript:", "must be https, loopback"),
    ("REGISTRATION_REDIRECTS", "https://*", "must be https, loopback"),
    ("REGISTRATION_HOOK", "nowhere:at_all", "cannot be imported: ModuleNotFoundError"),
    ("REGISTRATION_HOOK", "json:nothing", "cannot be imported: AttributeError"),
    ("REGISTRATION_HOOK", "json:__name__", "is no function"),
    ("REGISTRATION_HOOK", "json", "cannot be imported"),
    ("REGISTRATION_UNUSED_DAYS", "-1", "greater than or equal to 0"),
    ("CLIENT_ID_METADATA_DOCUMENTS", "perhaps", "valid boolean"),
    ("CLIENT_PRIVATE_HOSTS", "app.example:443", "must be host names"),
    ("OUTBOUND_PRIVATE_HOSTS", "10.0.0.0/8", "must be host names"),
    ("OUTBOUND_PRIVATE_HOSTS", "id.example:443", "must be host names"),
    ("RATE_LIMIT_STORAGE", "redis", "'memory' or 'postgresql'"),
    ("RATE_LIMIT_DEVICE_PER_ADDRESS", "many", "couldn't parse rate limit string 'many'"),
    ("RATE_LIMIT_DEVICE_PER_ADDRESS", "600", "couldn't parse rate limit string '600'"),
    ("RATE_LIMIT_DEVICE_PER_ADDRESS", "-1/minute", "couldn't parse rate limit string"),
    *(
        ("ISSUER", issuer, "must have its host in lower case")
        for issuer in (
            "https://Auth.example",
            "https://auth.example:443",
            "http://127.0.0.1:80",
            "https://auth.example:08443",
            "https://auth.example:",
            "https://[2001:DB8::1]",
        )
    ),
    ("RATE_LIMIT_DEVICE_PER_ADDRESS", "1/fortnight", "no granularity matched for fortnight"),
    ("RATE_LIMIT_TOKEN_PER_CLIENT", "0/minute", "leave it empty for no limit"),
    ("RATE_LIMIT_TOKEN_PER_CLIENT", "5/second;0/minute", "leave it empty for no limit"),
    ("RATE_LIMIT_TOKEN_PER_CLIENT", "9/2day", "a window is a day at most"),
)


@pytest.mark.parametrize(("name", "value", "says"), WRONG)
def test_a_wrong_setting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    """A value that cannot be used is refused in one line that names the variable and the rule."""
    monkeypatch.setenv(f"GRANTLEDGER_{name}", value)
    with pytest.raises(SettingsError) as refusal:
        load_settings()

    message = str(refusal.value)
    assert message.startswith(f"GRANTLEDGER_{name}: ")
    assert says in message
    assert "\n" not in message
    assert "hidden" not in message


@pytest.mark.parametrize(
    "issuer",
    [
        "https://auth.example",
        "https://auth.example:8443/tenants/one",
        "https://[2001:db8::1]",
        "http://127.0.0.1:8000",
        "http://localhost:8000",
        "http://[::1]:8000",
    ],
)
def test_takes_an_issuer(issuer: str) -> None:
    """https anywhere, http on the loopback interface, with port and path (RFC 8414, Section 2)."""
    assert load_settings(issuer=issuer).issuer_url == issuer


@pytest.mark.parametrize(
    ("host", "issuer"),
    [("127.0.0.3", "http://127.0.0.3:8001"), ("::1", "http://[::1]:8001")],
)
def test_the_address_stands_in_for_the_issuer(host: str, issuer: str) -> None:
    """Without an issuer the service is named by where it listens."""
    assert load_settings(host=host, port=8001, issuer="").issuer_url == issuer


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (3600, ("https://auth.example",), True)),
        ({"token_lifetime": 60}, (60, ("https://auth.example",), True)),
        ({"default_audience": ("api",)}, (3600, ("api",), True)),
        ({"client_credentials_subject": "client"}, (3600, ("https://auth.example",), False)),
    ],
)
def test_decides_about_tokens(given: dict[str, Any], expected: tuple[object, ...]) -> None:
    """The policy is the settings' part in a decision; the issuer stands in as the audience."""
    policy = load_settings(issuer="https://auth.example", **given).policy(CATALOGUE)

    assert (policy.lifetime, policy.default_audience, policy.subject_is_owner) == expected
    assert policy.catalogue is CATALOGUE


def written(path: Path, content: object) -> Settings:
    """Return settings with the catalogue file `path` that holds `content` as JSON."""
    path.write_text(json.dumps(content))
    return load_settings(catalogue_file=path)


def test_reads_a_catalogue(tmp_path: Path) -> None:
    """A file replaces permissions and roles."""
    settings = written(
        tmp_path / "catalogue.json",
        {
            "permissions": [{"name": "boss", "level": 9, "tier": "user"}],
            "roles": {"chief": ["boss"]},
        },
    )

    catalogue: Catalogue = settings.catalogue()

    assert list(catalogue.by_name) == ["boss"]
    assert catalogue.held_through(("chief",)) == {"boss"}


GOOD = {"name": "x", "level": 1, "tier": "service"}


def with_entry(**members: object) -> dict[str, object]:
    """Return a catalogue of one entry, the good one with `members` changed."""
    return {"permissions": [{**GOOD, **members}], "roles": {}}


WRONG_CATALOGUES: tuple[tuple[object, str], ...] = (
    ({"permissions": [GOOD, GOOD], "roles": {}}, "a permission is listed twice"),
    ({"permissions": [GOOD], "roles": {"r": ["x"]}}, "role r: x is not a user-tier permission"),
    (with_entry(level=-1), "permissions.0.level: Input should be greater than"),
    (with_entry(name="a b"), "permissions.0.name: String should match"),
    (
        with_entry(tier="none"),
        "permissions.0.tier: Input should be 'user', 'service', 'identity' or 'management'",
    ),
    (with_entry(required_audiance="hook"), "permissions.0.required_audiance: Extra inputs"),
    ({"permission": []}, "permission: Extra inputs"),
    ([], "Input should be an object"),
)


@pytest.mark.parametrize(("content", "says"), WRONG_CATALOGUES)
def test_a_wrong_catalogue_is_one_line(tmp_path: Path, content: object, says: str) -> None:
    """A catalogue that cannot be used is refused in one line that names the setting and the place
    in the file.
    """
    settings = written(tmp_path / "catalogue.json", content)
    with pytest.raises(SettingsError) as refusal:
        settings.catalogue()

    message = str(refusal.value)
    assert message.startswith("GRANTLEDGER_CATALOGUE_FILE: ")
    assert says in message.removeprefix("GRANTLEDGER_CATALOGUE_FILE: ")
    assert message.count("GRANTLEDGER") == 1
    assert "\n" not in message


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda _: None, "No such file or directory", id="missing"),
        pytest.param(Path.mkdir, "Is a directory", id="directory"),
        pytest.param(lambda path: path.write_text("{"), "Invalid JSON", id="no JSON"),
        pytest.param(lambda path: path.write_bytes(b"\xff"), "Invalid JSON", id="no text"),
    ],
)
def test_an_unreadable_catalogue_is_one_line(
    tmp_path: Path, make: Callable[[Path], object], says: str
) -> None:
    """A catalogue file that cannot be read is refused in one line that names the setting."""
    path = tmp_path / "catalogue.json"
    make(path)
    with pytest.raises(SettingsError) as refusal:
        load_settings(catalogue_file=path).catalogue()

    assert str(refusal.value).startswith(f"GRANTLEDGER_CATALOGUE_FILE: {says}")
    assert "\n" not in str(refusal.value)


UPSTREAM = {
    "upstream_issuer": "https://id.example/",
    "upstream_client_id": "grantledger",
    "upstream_client_secret": "hidden",
}


@pytest.mark.parametrize("missing", ["upstream_client_id", "upstream_client_secret"])
@pytest.mark.parametrize("given", [None, ""])
def test_an_upstream_provider_is_configured_whole(missing: str, given: str | None) -> None:
    """An issuer without our name and secret there is one line that names what is missing."""
    with pytest.raises(SettingsError) as refusal:
        load_settings(**{**UPSTREAM, missing: given})

    message = (
        f"GRANTLEDGER_{missing.upper()}: Value error, is needed with GRANTLEDGER_UPSTREAM_ISSUER"
    )
    assert str(refusal.value) == message


def test_takes_an_upstream_provider() -> None:
    """The provider's issuer keeps its last slash, and our secret does not show."""
    settings = load_settings(**UPSTREAM)

    assert settings.upstream_issuer == "https://id.example/"
    assert settings.upstream_client_secret is not None
    assert settings.upstream_client_secret.get_secret_value() == "hidden"
    assert "hidden" not in repr(settings)
    assert (settings.upstream_create, settings.upstream_roles) == (False, ("user",))


def test_a_profile_fixes_settings() -> None:
    """One word sets all that its specification demands; without it nothing changes."""
    strict, plain = load_settings(profile="fapi2"), load_settings()

    assert strict.client_auth_methods == (
        "private_key_jwt",
        "tls_client_auth",
        "self_signed_tls_client_auth",
    )
    assert strict.sender_constrained_tokens
    assert strict.require_pushed_requests
    assert not strict.rotate_confidential
    assert strict.verification_algorithms == ("ES256", "PS256", "EdDSA")
    assert "none" in plain.client_auth_methods
    assert plain.rotate_confidential
    assert not plain.sender_constrained_tokens


def test_a_profile_may_be_made_stricter() -> None:
    """Of a list that a profile fixes, a part may be chosen."""
    settings = load_settings(profile="fapi2", client_auth_methods=("private_key_jwt",))

    assert settings.client_auth_methods == ("private_key_jwt",)


def test_the_environment_is_held_to_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that contradicts the profile is one line that names it."""
    monkeypatch.setenv("GRANTLEDGER_PROFILE", "fapi2")
    monkeypatch.setenv("GRANTLEDGER_ROTATE_CONFIDENTIAL", "true")

    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert str(refusal.value) == (
        "GRANTLEDGER_ROTATE_CONFIDENTIAL: the profile fapi2 forbids this value"
    )


def test_the_mcp_profile_lets_clients_in() -> None:
    """Documents of clients always, open registration unless the operator says otherwise."""
    settings = load_settings(profile="mcp")

    assert settings.client_id_metadata_documents
    assert settings.registration == "open"
    assert load_settings(profile="mcp", registration="closed").registration == "closed"
    with pytest.raises(SettingsError, match="CLIENT_ID_METADATA_DOCUMENTS"):
        load_settings(profile="mcp", client_id_metadata_documents=False)


@pytest.mark.parametrize(
    "open_to_all", [{"registration": "open"}, {"client_id_metadata_documents": True}]
)
def test_strangers_administer_nothing(open_to_all: dict[str, Any]) -> None:
    """A client that nobody admitted may not be allowed a management scope; one by token may."""
    scopes = ("openid", "clients:manage", "audit:read")
    with pytest.raises(SettingsError, match=r"^GRANTLEDGER_REGISTRATION_SCOPES: audit:read, clien"):
        load_settings(registration_scopes=scopes, **open_to_all)

    invited = load_settings(registration_scopes=scopes, registration="initial_access_token")

    assert invited.registration_scopes == scopes
