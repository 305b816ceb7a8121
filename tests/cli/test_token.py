"""`grantledger token issue` gets a token from the running service as a client would."""

import jwt
import pytest

from tests.cli.in_process import CommandLine
from tests.cli.running_service import RunningService, free_port


@pytest.fixture
def trying(service: RunningService) -> CommandLine:
    """The command line in the data directory of a running service."""
    return CommandLine(service.data_dir, {"GRANTLEDGER_DATA_DIR": str(service.data_dir)})


def test_issue(trying: CommandLine) -> None:
    """The demo client of bootstrap.json gets a token, which is printed decoded and as it is."""
    printed = trying.succeed("token", "issue")

    assert "at+jwt" in printed
    claims = jwt.decode(printed.splitlines()[-1], options={"verify_signature": False})
    assert str(claims["jti"]) in printed


def test_issue_json(trying: CommandLine, service: RunningService) -> None:
    """--json has the answer of the service with header and claims."""
    issued = trying.json("token", "issue", "--scope", "mcp", "--audience", service.url)

    assert issued["scope"] == issued["claims"]["scope"] == "mcp"
    assert issued["claims"]["aud"] == service.url
    assert issued["header"]["alg"] == "ES256"


def test_issue_raw(trying: CommandLine) -> None:
    """--raw prints the token and nothing else, for a shell variable."""
    printed = trying.succeed("token", "issue", "--raw", "--client-id", "administration")

    assert jwt.get_unverified_header(printed.strip())["typ"] == "at+jwt"


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("--scope", "admin"), 1, "invalid_scope: not in the client's grant: admin"),
        (("--client-secret", "wrong"), 1, "invalid_client: client authentication failed"),
        (("--client-id", "batch"), 2, "the secret of batch is not in"),
        (("--issuer", "file:///etc"), 2, "file:///etc/oauth/token: must be an http or https URL"),
    ],
)
def test_refusals(trying: CommandLine, arguments: tuple[str, ...], code: int, line: str) -> None:
    """What the service refuses is one line with its error; nothing else is printed."""
    assert trying.refused("token", "issue", *arguments, code=code).startswith(
        f"grantledger: {line}"
    )


def test_no_service(trying: CommandLine) -> None:
    """Where no service answers, the line says how to start one, and the exit code is 3."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    line = trying.refused("token", "issue", "--issuer", nowhere, code=3)

    assert f"no service answers on {nowhere}/oauth/token" in line
    assert "grantledger serve" in line
