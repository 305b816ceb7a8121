"""What `serve` says once it answers: where it is, the first secrets, and lines to paste.

The secrets are in it on the first run and on a terminal only: what goes to a file, a pipe or the
log of a container stays there, and others read it. All other lines read them from bootstrap.json,
so that they work as they are. sh, curl and python3 are enough.
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


def announcement(
    kept: Mapping[str, Any] | None,
    *,
    path: Path,
    issuer: str,
    first: bool,
    terminal: bool,
    by_secret: bool = True,
) -> str:
    """Return the text. `kept` is what bootstrap.json at `path` holds, None where there is none;
    `first` tells whether this is the first run, `terminal` whether a person reads it and nobody
    keeps it, `by_secret` whether clients may authenticate by secrets.
    """
    ready = f"Grantledger answers on {issuer}"
    if not by_secret:
        return (
            f"{ready}\nSecrets authenticate nobody here: register a client by its key with\n"
            "  grantledger client create my-client --scope service --jwks keys.json\n"
        )
    if kept is None:
        return (
            f"{ready}\nThe log has clients already, but {path} is not here: register one with\n"
            "  grantledger client create my-client --scope service\n"
        )
    shown = first and terminal
    secrets = _first_secrets(kept, path) if shown else _where(path, first=first)
    return f"{ready}\n\n{secrets}\n\n{_lines(kept, path=path, issuer=issuer, shown=shown)}\n"


def _where(path: Path, *, first: bool) -> str:
    if first:
        return (
            f"FIRST RUN: the secrets of the first two clients, readable by you alone, are in {path}"
        )
    return f"Secrets: {path}"


def _first_secrets(kept: Mapping[str, Any], path: Path) -> str:
    clients = (kept["demo"], kept["administration"])
    shown = "\n".join(f"  {one['client_id']:<16}{one['client_secret']}" for one in clients)
    return (
        "FIRST RUN: the secrets of the first two clients, shown this once\n"
        f"{shown}\n  kept, readable by you alone, in {path}"
    )


def _lines(kept: Mapping[str, Any], *, path: Path, issuer: str, shown: bool) -> str:
    if shown:
        demo, administration = (_user(kept[name]) for name in ("demo", "administration"))
        read_demo = read_administration = ""
    else:
        demo, administration = '"$DEMO"', '"$ADMINISTRATION"'
        read_demo = f"DEMO=$({_READ} {shlex.quote(str(path))} demo)\n"
        read_administration = f"ADMINISTRATION=$({_READ} {shlex.quote(str(path))} administration)\n"
    form = "-d grant_type=client_credentials"
    ask = f"curl -sS -u {demo} {form} {issuer}/oauth/token"
    ask_auditor = f"curl -sS -u {administration} {form} -d scope=audit:read {issuer}/oauth/token"
    introspect = f'curl -sS -u {demo} -d "token=$TOKEN" {issuer}/oauth/introspect'
    read = f'curl -sS -H "Authorization: Bearer $AUDITOR" "{issuer}/audit/tokens/$JTI"'
    take_token = _TAKE.format(name="access_token")
    return f"""\
# 1. a token
{read_demo}TOKEN=$({ask} | {take_token}); echo "$TOKEN"

# 2. its introspection
{introspect} | {_PRETTY}

# 3. its audit entry, read by the administration client
JTI=$({introspect} | {_TAKE.format(name="jti")})
{read_administration}AUDITOR=$({ask_auditor} | {take_token})
{read} | {_PRETTY}"""


def _user(client: Mapping[str, str]) -> str:
    return f"{client['client_id']}:{client['client_secret']}"
