"""What `serve` prints once it answers, where a whole service would be too much for the question."""

import json
from pathlib import Path

import pytest

from api.cli.announcement import announcement
from tests.cli.running_service import paste

ISSUER = "http://127.0.0.1:8000"
KEPT = {
    "demo": {"client_id": "demo", "client_secret": "gls_first"},
    "administration": {"client_id": "administration", "client_secret": "gls_second"},
}


@pytest.mark.parametrize("folder", ["plain", "with space", "it's", "$HOME"])
def test_credentials_are_read_from_awkward_paths(tmp_path: Path, folder: str) -> None:
    """Later lines read the credentials whatever the data directory is called."""
    path = tmp_path / folder / "bootstrap.json"
    path.parent.mkdir()
    path.write_text(json.dumps(KEPT))
    text = announcement(KEPT, path=path, issuer=ISSUER, first=False, terminal=True)
    line = next(line for line in text.splitlines() if line.startswith("DEMO="))

    assert paste(f'{line}; echo "$DEMO"') == "demo:gls_first\n"


def test_secrets_on_first_run_only() -> None:
    """Secrets are in the first announcement and in no later one."""
    path = Path("bootstrap.json")
    first, later = (
        announcement(KEPT, path=path, issuer=ISSUER, first=first, terminal=True)
        for first in (True, False)
    )

    assert "gls_first" in first
    assert "gls_second" in first
    assert "gls_" not in later


def test_what_is_no_terminal_is_told_where_they_are() -> None:
    """A file, a pipe or the log of a container keeps what it gets: one line says where to look."""
    path = Path("/data/bootstrap.json")
    text = announcement(KEPT, path=path, issuer=ISSUER, first=True, terminal=False)
    (line,) = [line for line in text.splitlines() if line.startswith("FIRST RUN")]

    assert "gls_" not in text
    assert line.endswith("are in /data/bootstrap.json")


def test_lines_without_bootstrap() -> None:
    """Where bootstrap.json is missing, the announcement says how to get a client instead."""
    text = announcement(
        None, path=Path("bootstrap.json"), issuer=ISSUER, first=False, terminal=True
    )

    assert text.startswith(f"Grantledger answers on {ISSUER}\n")
    assert "grantledger client create" in text
