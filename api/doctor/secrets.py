"""Keys and peppers: what signs, whether it opens, how old it is, and what still needs the old."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

from api.doctor.finding import Finding, fine, problem, warning
from application.directory import LogDirectory
from application.ledger.key_store import WrappedKeys
from application.ledger.link import Link
from application.ledger.mapper import LedgerMapper
from application.secret_keys import MasterKeyMismatch, MasterKeys, Peppers, WrappedKey
from application.settings import Settings
from application.side_tables import SideTables
from domain.signing_key import KeyState, SigningKey
from projections.alarms import UNREADABLE_STREAMS, unreadable_streams

_PASSWORDS = "SELECT pepper_id, count(*) FROM grantledger.passwords GROUP BY 1"
_SIGNING = (KeyState.GENERATED, KeyState.ACTIVE)
KEY_AGE = timedelta(days=90)
"""After which a signing key should be followed by another."""


async def examine_secrets(
    url: str, settings: Settings, peppers: Peppers, master: MasterKeys, now: datetime
) -> Sequence[Finding]:
    """Return what there is to say about secrets as of `now` (UTC). Raises LedgerUnavailable."""
    directory = LogDirectory(Link(url, name="doctor"), LedgerMapper())
    store = WrappedKeys(Link(url, name="doctor"))
    try:
        await directory.refresh()
        keys = [key for key in directory.keys() if key.state in _SIGNING]
        wrapped = await store.get([key.kid for key in keys])
    finally:
        await directory.close()
        await store.close()
    clients = [client for client in directory.clients() if client.enabled]
    secrets = Counter(kept.pepper_id for one in clients for kept in one.usable_secrets(now))
    return [
        *_directory(directory),
        *_signing(keys, settings.signing_algorithms, now),
        *_openable(keys, wrapped, master),
        *_peppers(secrets, await _passwords(url), peppers.ids),
    ]


async def _passwords(url: str) -> Counter[str]:
    """Return how many passwords of people are kept under each pepper. Raises LedgerUnavailable."""
    tables = SideTables(url, name="doctor")
    try:
        return Counter(dict(await tables.ask(_PASSWORDS, {})))
    finally:
        await tables.close()


def _signing(
    keys: Sequence[SigningKey], algorithms: Sequence[str], now: datetime
) -> Iterator[Finding]:
    for algorithm in algorithms:
        check = f"signing key {algorithm}"
        active = [
            key for key in keys if key.algorithm == algorithm and key.state is KeyState.ACTIVE
        ]
        if not active:
            yield problem(
                check, "none is active", f"run `grantledger keys rotate --algorithm {algorithm}`"
            )
            continue
        age = now - max(key.modified_on for key in active)
        found = f"active for {age.days} days"
        if age > KEY_AGE:
            yield warning(check, found, f"run `grantledger keys rotate --algorithm {algorithm}`")
        else:
            yield fine(check, found)


def _directory(directory: LogDirectory) -> Iterator[Finding]:
    check = UNREADABLE_STREAMS.replace("_", " ")
    standing = unreadable_streams(directory.unreadable())
    yield from (problem(check, alarm.found, alarm.fix) for alarm in standing)
    if not standing:
        yield fine(check, "none")


def _openable(
    keys: Sequence[SigningKey], wrapped: Sequence[WrappedKey], master: MasterKeys
) -> Iterator[Finding]:
    present = {one.kid: one for one in wrapped}
    for key in keys:
        check = f"private key {key.kid[:12]}"
        if key.kid not in present:
            yield problem(check, "is not in the database", "restore it, or rotate to another key")
            continue
        try:
            master.unwrap(present[key.kid])
        except MasterKeyMismatch as mismatch:
            yield problem(check, str(mismatch), "put that key back into GRANTLEDGER_MASTER_KEYS")
        else:
            found = f"opens by master key {present[key.kid].master_key_id}"
            if present[key.kid].master_key_id == master.current_id:
                yield fine(check, found)
            else:
                yield warning(
                    check,
                    f"{found}, which is not the present one",
                    "run `grantledger keys rewrap`; after a leak `grantledger keys rotate` too",
                )


def _peppers(
    secrets: Counter[str], passwords: Counter[str], known: Collection[str]
) -> Iterator[Finding]:
    used, current = secrets + passwords, next(iter(known))
    for pepper in used.keys() - set(known):
        yield problem(
            f"pepper {pepper}",
            f"not in the settings; {_counted(secrets[pepper], passwords[pepper])} were made with"
            " it and are void",
            "put it back into GRANTLEDGER_PEPPERS, or give these clients and people new ones",
        )
    older = [pepper for pepper in used if pepper != current and pepper in known]
    if older:
        old = _counted(*(sum(of[pepper] for pepper in older) for of in (secrets, passwords)))
        yield warning(
            "peppers",
            f"{old} are still of an older pepper than {current}",
            "set them anew (`grantledger client rotate-secret`, `principal set-login`) before you"
            " take the old pepper away",
        )
    else:
        held = _counted(secrets[current], passwords[current])
        yield fine("peppers", f"{held}, all of pepper {current}")


def _counted(secrets: int, passwords: int) -> str:
    return f"{secrets} client secrets and {passwords} passwords"
