"""Where codes may be sent: what can be registered, and what matches, character by character."""

import pytest

from domain.redirect_uri import match, problem_with, target_of

REGISTERED = (
    "https://client.example/callback",
    "http://127.0.0.1/callback",
    "http://[::1]:8080/callback",
    "http://localhost:3000/callback",
    "com.example.app:/callback",
)


@pytest.mark.parametrize("uri", [*REGISTERED, "https://client.example:8443/cb?tenant=1"])
def test_what_can_be_registered(uri: str) -> None:
    """https, http on the loopback interface, and private-use schemes (RFC 8252, Section 7)."""
    assert problem_with(uri) is None


@pytest.mark.parametrize("port", ["0", "00000", "65536", "99999"])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_port_that_is_none_matches_nothing(host: str, port: str) -> None:
    """RFC 8252, Section 7.3, lets a client choose any port: one that there can be."""
    assert match(f"http://{host}:65535/callback", [f"http://{host}/callback"])
    assert not match(f"http://{host}:{port}/callback", [f"http://{host}/callback"])


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/callback",
        "//client.example/callback",
        "http://client.example/callback",
        "https://client.example/callback#fragment",
        "https://user@client.example/callback",
        "https://client.example:0/callback",
        "https://client.example:99999/callback",
        "https:///callback",
        "https://exa;mple/callback",
        "https://client.example/\ncallback",
        "https://client.example/ callback",
        "https://client.example\\@evil.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "myapp:/callback",
        "com.example.app://host/callback",
        "https://" + "a" * 1100,
    ],
)
def test_what_cannot(uri: str) -> None:
    """Nothing that could be read in two ways, reached by others or run as a script."""
    assert problem_with(uri) is not None


@pytest.mark.parametrize(
    "uri",
    [*REGISTERED, "http://127.0.0.1:51823/callback", "http://[::1]:9/callback"],
)
def test_what_matches(uri: str) -> None:
    """The same string; for loopback addresses whatever the port (RFC 8252, Section 7.3)."""
    assert match(uri, REGISTERED)


@pytest.mark.parametrize(
    "uri",
    [
        "https://client.example/callback/",
        "https://client.example/Callback",
        "https://client.example/callback?x=1",
        "https://client.example:443/callback",
        "https://client.example.evil.example/callback",
        "http://localhost:3001/callback",
        "http://127.0.0.1:80/other",
        "http://127.0.0.1:80@evil.example/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.1:123456/callback",
        "https://127.0.0.1/callback",
        "com.example.app:/callback2",
        "",
    ],
)
def test_what_does_not(uri: str) -> None:
    """Whatever merely looks like it gets no code."""
    assert not match(uri, REGISTERED)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://127.0.0.1:1024/cb", "http://127.0.0.1:65000/cb", True),
        ("http://127.0.0.1/cb", "http://127.0.0.1:65000/cb", True),
        ("http://[::1]:1/cb", "http://[::1]:2/cb", True),
        ("http://127.0.0.1:1/cb", "http://127.0.0.1:1/other", False),
        ("http://127.0.0.1:1/cb", "http://[::1]:1/cb", False),
        ("http://localhost:1/cb", "http://localhost:2/cb", False),
        ("https://shop.example:1/cb", "https://shop.example:2/cb", False),
    ],
)
def test_where_a_uri_leads(one: str, other: str, same: bool) -> None:
    """The port of a loopback address is another at each start, and no other place."""
    assert (target_of(one) == target_of(other)) is same
