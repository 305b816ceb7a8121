"""What people do on our pages, in a real browser: nothing may be complained about on the way."""

import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import Window, opened
from tests.http.live import Live
from tests.http.person import PASSWORD, WebClient, a_person, a_web_client
from tests.waiting import eventually

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def shop(site: Live, callback: str) -> WebClient:
    """A client whose callback page is really there."""
    a_person(site, "alice")
    return a_web_client(
        site,
        "shop",
        grant_types=["authorization_code", "refresh_token", DEVICE_CODE],
        redirects={"redirect_uris": [callback], "post_logout_redirect_uris": [callback]},
    )


def start(window: Window, shop: WebClient, callback: str, **changes: str) -> None:
    """Open the client's authorization request."""
    parameters = shop.parameters(redirect_uri=callback, **changes)
    window.go(f"/oauth/authorize?{urlencode(parameters)}")


def log_in(page: Page, password: str = PASSWORD) -> None:
    """Fill in the login page like a person."""
    page.get_by_label("Login name").fill("alice")
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in", exact=True).click()


def code_of(page: Page) -> str:
    """Return the code that the client's page was called with."""
    page.wait_for_url(re.compile("/callback"))
    return parse_qs(urlsplit(page.url).query)["code"][0]


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_login_and_consent(
    browser: Browser, site: Live, shop: WebClient, callback: str, script: bool
) -> None:
    """From the client through login and consent back to the client, whose code works."""
    client = a_web_client(
        site, f"fresh-{script}", name="Fresh & new", redirects={"redirect_uris": [callback]}
    )
    with opened(browser, site, script=script) as window:
        start(window, client, callback)
        if script:
            window.picture("login")
        log_in(window.page, password="not the password")
        assert window.page.get_by_role("alert").is_visible()
        assert window.page.get_by_label("Login name").input_value() == "alice"
        if script:
            window.picture("login-error")
        log_in(window.page)
        if script:
            window.picture("consent")
        window.page.get_by_role("button", name="Allow", exact=True).click()
        code = code_of(window.page)

    assert client.redeem(code, redirect_uri=callback).status_code == 200


def test_dark(browser: Browser, site: Live, shop: WebClient, callback: str) -> None:
    """The pages are there for people who prefer them dark."""
    with opened(browser, site, dark=True) as window:
        start(window, shop, callback)
        window.picture("login-dark")
        ground = window.page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert max(int(part) for part in re.findall(r"\d+", ground)[:3]) < 80


def test_denied(browser: Browser, site: Live, shop: WebClient, callback: str) -> None:
    """A no takes the person back to the client, with an error and no code."""
    client = a_web_client(site, "unwanted", redirects={"redirect_uris": [callback]})
    with opened(browser, site) as window:
        start(window, client, callback)
        log_in(window.page)
        window.page.get_by_role("button", name="Do not allow").click()
        window.page.wait_for_url(re.compile("/callback"))

        assert "error=access_denied" in window.page.url


def test_form_post(browser: Browser, site: Live, shop: WebClient, callback: str) -> None:
    """response_mode=form_post takes the code to the client by itself."""
    with opened(browser, site) as window:
        start(window, shop, callback, response_mode="form_post")
        log_in(window.page)
        allow_if_asked(window.page)
        window.page.wait_for_url(re.compile("/callback$"))

        assert "code=glc_" in (window.page.locator("#posted").text_content() or "")


def allow_if_asked(page: Page) -> None:
    """Consent, where it was not remembered."""
    page.wait_for_load_state()
    allow = page.get_by_role("button", name="Allow", exact=True)
    if allow.count():
        allow.click()


def test_a_passkey_from_adding_to_removing(browser: Browser, site: Live, shop: WebClient) -> None:
    """A person adds a passkey, logs in by it without a password, and removes it."""
    with opened(browser, site) as window:
        page = window.page
        devices = window.context.new_cdp_session(page)
        devices.send("WebAuthn.enable")
        devices.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )
        window.go("/account")
        log_in(page)
        page.get_by_role("button", name="Add a passkey").click()
        page.get_by_role("button", name=re.compile("^Remove")).wait_for()
        window.picture("account")
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("heading", name=re.compile("logged out")).wait_for()
        window.go("/account")
        page.get_by_role("button", name="Use a passkey").click()
        page.get_by_role("heading", name="Your account").wait_for()
        page.get_by_role("button", name=re.compile("^Remove")).click()
        page.get_by_text("The passkey was removed").wait_for()

        assert page.get_by_role("button", name=re.compile("^Remove")).count() == 0


def test_withdrawing_and_ending(
    browser: Browser, site: Live, shop: WebClient, callback: str
) -> None:
    """On the account page a person withdraws a consent: what the client held is void."""
    client = a_web_client(site, "withdrawn", redirects={"redirect_uris": [callback]})
    with opened(browser, site) as window:
        page = window.page
        start(window, client, callback)
        log_in(page)
        page.get_by_role("button", name="Allow", exact=True).click()
        tokens = client.redeem(code_of(page), redirect_uri=callback).json()
        window.go("/account")
        eventually(lambda: page.reload() is not None and page.locator("article").count() > 1)
        page.locator("article", has_text="withdrawn").get_by_role("button").click()
        page.get_by_text("The consent was withdrawn").wait_for()

    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_device(browser: Browser, site: Live, shop: WebClient) -> None:
    """A person types the code of a device, confirms it, and the device has tokens."""
    given = site.http.post(
        "/oauth/device_authorization",
        auth=(shop.client_id, shop.secret),
        data={"scope": "openid offline_access user"},
    ).json()
    with opened(browser, site) as window:
        page = window.page
        window.go("/device")
        window.picture("device")
        page.get_by_label("Code").fill(given["user_code"].lower())
        page.get_by_role("button", name="Go on").click()
        log_in(page)
        page.get_by_role("heading", name=re.compile("^Connect")).wait_for()
        window.picture("device-confirm")
        page.get_by_role("button", name="Allow", exact=True).click()
        page.get_by_role("heading", name="Device connected").wait_for()
        window.picture("device-done")

    assert shop.ask(DEVICE_CODE, device_code=given["device_code"]).status_code == 200


def test_logout_by_a_client(browser: Browser, site: Live, shop: WebClient, callback: str) -> None:
    """A client without a hint has the person asked; then the person is back at the client."""
    with opened(browser, site) as window:
        page = window.page
        window.go("/account")
        log_in(page)
        page.get_by_role("heading", name="Your account").wait_for()
        asked = {"client_id": "shop", "post_logout_redirect_uri": callback, "state": "s-1"}
        window.go(f"/oauth/logout?{urlencode(asked)}")
        window.picture("logout")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url(re.compile("/callback"))
        back = page.url
        window.go("/account")

        assert back.endswith("state=s-1")
        assert page.get_by_label("Login name").is_visible()


def test_a_message(browser: Browser, site: Live, shop: WebClient) -> None:
    """What cannot be sent anywhere is explained to the person."""
    with opened(browser, site) as window:
        window.go("/oauth/authorize?client_id=shop&redirect_uri=https://evil.example/")
        window.picture("message")

        assert window.page.get_by_role("heading", name="This did not work").is_visible()
