"""What of a redirect URI stands in the Content-Security-Policy of a page."""

import pytest

from api.pages.rendering import source_of


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("https://client.example/callback?x=1", "https://client.example"),
        ("https://CLIENT.example:8443", "https://client.example:8443"),
        ("https://client.example:/callback", "https://client.example"),
        ("https://client.example/a;b='c'", "https://client.example"),
        ("http://127.0.0.1:5000/callback", "http://127.0.0.1:5000"),
        ("http://localhost", "http://localhost"),
        ("com.example.app:/callback", "com.example.app:"),
        # Browsers ignore sources with IPv6 addresses or underscores, and block the redirect.
        ("http://[::1]:5000/callback", "http://*:5000"),
        ("https://a_b.example/callback", "https://*"),
    ],
)
def test_source_of(uri: str, source: str) -> None:
    """A redirect URI becomes the source that browsers compare a redirect with."""
    assert source_of(uri) == source


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "callback",
        "//client.example/callback",
        "https://",
        "https:///callback",
        "https://user@client.example",
        "https://client.example; script-src *",
        "https://client.example;script-src",
        "https://client.example,b.example",
        "https://'self'/",
        "https://*.example",
        "https://client.example/ x",
        'https://client.example/"',
        "https://client.exa\nmple/",
        "https://client.example/\r\nX-Evil: 1",
        "https://client.example/\t",
        " https://client.example",
        "https://clïent.example/",
        "https://client.example/ï",
        "https://client.example:99999/",
        "https://client.example:x/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "java script:alert(1)",
        "com.example.app;x:/",
        "'unsafe-inline':/",
        "*",
    ],
)
def test_source_of_refuses(uri: str) -> None:
    """What could end a directive or the header never gets into one."""
    with pytest.raises(ValueError, match=r".+"):
        source_of(uri)
