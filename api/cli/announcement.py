"""What `serve` says once it answers: where it is, the first secrets, and lines to paste.

The secrets are in it on the first run only. Later lines read them from bootstrap.json, so that
they work as they are and no log of a later start holds a secret. sh, curl and python3 are enough.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TAKE = "python3 -c 'import json,sys; print(json.load(sys.stdin)[\"{name}\"])'"
_READ = (
    "python3 -c 'import json,sys; c=json.load(open(sys.argv[1]))[sys.argv[2]];"
    ' print(c["client_id"]+":"+c["client_secret"])\''
)
_PRETTY = "python3 -m json.tool"


def announcement(kept: Mapping[str, Any] | None, *, path: Path, issuer: str, first: bool) -> str:
    """Return the text. `kept` is what bootstrap.json at `path` holds, None where there is none."""
    ready = f"Grantledger answers on {issuer}"
    if kept is None:
        return (
            f"{ready}\nThe log has clients already, but {path} is not here: register one with\n"
            "  grantledger client create my-client --scope service\n"
        )
    parts = [ready, _first_secrets(kept, path) if first else f"Secrets: {path}"]
    credentials = {name: _user(kept[name], name, path, first) for name in _CLIENTS}
    parts.append(_lines(issuer, **credentials))
    return "\n\n".join(parts) + "\n"


_CLIENTS = ("demo", "administration")


def _first_secrets(kept: Mapping[str, Any], path: Path) -> str:
    shown = (f"  {kept[name]['client_id']:<16}{kept[name]['client_secret']}" for name in _CLIENTS)
    return "\n".join(
        (
            "FIRST RUN: the secrets of the first two clients, shown this once",
            *shown,
            f"  kept, readable by you alone, in {path}",
        )
    )


def _user(client: Mapping[str, str], name: str, path: Path, first: bool) -> str:
    if first:
        return f"{client['client_id']}:{client['client_secret']}"
    return f'"$({_READ} {shlex.quote(str(path))} {name})"'


def _lines(issuer: str, *, demo: str, administration: str) -> str:
    token = f"{issuer}/oauth/token"
    form = "-d grant_type=client_credentials"
    take_token = _TAKE.format(name="access_token")
    introspect = f'curl -sS -u {demo} -d "token=$TOKEN" {issuer}/oauth/introspect'
    ask_auditor = f"curl -sS -u {administration} {form} -d scope=audit:read {token}"
    read = f'curl -sS -H "Authorization: Bearer $AUDITOR" "{issuer}/audit/tokens/$JTI"'
    return f"""\
# 1. a token
TOKEN=$(curl -sS -u {demo} {form} {token} | {take_token}); echo "$TOKEN"

# 2. its introspection
{introspect} | {_PRETTY}

# 3. its audit entry, read by the administration client
JTI=$({introspect} | {_TAKE.format(name="jti")})
AUDITOR=$({ask_auditor} | {take_token})
{read} | {_PRETTY}"""
