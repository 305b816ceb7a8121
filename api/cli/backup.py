"""`grantledger backup` and `grantledger restore`: a copy of everything, and its proof."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import rich_click as click

from api.backup.errors import BackupRefused
from api.backup.manifest import SECRETS, Manifest, read_backup
from api.backup.proving import Proof, prove
from api.backup.recording import record_restored
from api.backup.restoring import put_back
from api.backup.taking import take
from api.cli.event_filters import told
from api.cli.options import data_dir_option, examples, json_option, settings_in_force
from api.cli.outcomes import REFUSED, Refused
from api.cli.progress import counting, waiting
from api.cli.running import opened_database, record_reading, user
from api.cli.tables import print_fields, print_json
from application.clock import RandomIds, SystemClock
from application.secret_keys import MasterKeys, Peppers
from application.secrets_file import SECRETS_FILE, load_secret_keys, secrets_exist, write_private
from application.settings import Settings
from domain.provenance import Provenance

_REFUSALS = (BackupRefused, OSError)


@click.command(
    epilog=examples(
        "grantledger backup --out /backups/2026-03-03",
        "grantledger backup --out /backups/whole --with-secrets --json",
    )
)
@click.option(
    "--out",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path),
    help="The directory to make; there must be nothing of that name",
)
@click.option("--with-secrets", is_flag=True, help="Put secrets.json into it: keep it as a secret")
@json_option
@data_dir_option
def backup(*, out: Path, with_secrets: bool, as_json: bool) -> None:
    """Copy the whole database in one snapshot, while the service runs.

    Who took it is recorded first. Without --with-secrets it holds neither peppers nor master keys;
    the manifest names by id those that it needs.
    """
    settings = settings_in_force()
    secrets_file = settings.data_dir / SECRETS_FILE if with_secrets else None
    with opened_database(settings) as url:
        record_reading(url, "backup", told({"secrets": "yes" if with_secrets else "no"}))
        try:
            with waiting("Copying the database"):
                made, digest = take(
                    url,
                    out,
                    issuer=settings.issuer_url,
                    now=datetime.now(UTC),
                    secrets_file=secrets_file,
                )
        except _REFUSALS as error:
            raise Refused(str(error)) from None
    shown = {
        "directory": str(out),
        "position": made.contents.position,
        "events": made.contents.events,
        "bytes": sum(file.bytes for file in made.files),
        "master_key_ids": made.contents.master_key_ids,
        "pepper_ids": made.contents.pepper_ids,
        "manifest_sha256": digest,
    }
    if as_json:
        print_json(shown)
    else:
        print_fields({name: _listed(value) for name, value in shown.items()})


@click.command(
    epilog=examples(
        "grantledger restore /backups/2026-03-03",
        "grantledger restore /backups/2026-03-03 --data-dir /tmp/rehearsal --json",
    )
)
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@json_option
@data_dir_option
def restore(*, directory: Path, as_json: bool) -> None:
    """Put a backup into an empty database, and prove by replay that it is what it was.

    Hashes are checked before anything is restored. Exit code 1 where the proof fails. It is
    recorded that what came after the backup is lost, which is an alarm for a week.
    """
    settings = settings_in_force()
    try:
        with waiting("Checking the backup"):
            found, digest = read_backup(directory)
        with opened_database(settings, migrated=False) as url:
            with waiting("Restoring"):
                put_back(url, directory, found, now=datetime.now(UTC))
            _install_secrets(settings, directory, found)
            with counting("Proving") as progress:
                peppers, master_keys = _secret_keys(settings)
                proof = prove(
                    url,
                    found.contents,
                    master_keys=master_keys,
                    peppers=peppers.ids if peppers is not None else (),
                    progress=progress,
                )
            record_restored(url, found.contents.position, _by_operator(digest))
            about = {"position": found.contents.position, "manifest_sha256": digest}
            record_reading(url, "restore", told(about))
    except _REFUSALS as error:
        raise Refused(str(error)) from None
    _show(found, proof, as_json=as_json)


def _by_operator(digest: str) -> Provenance:
    return Provenance(
        SystemClock().now(),
        RandomIds().request_id(),
        by=f"cli:{user()}",
        why=f"restored from the backup with the manifest {digest}",
    )


def _install_secrets(settings: Settings, directory: Path, found: Manifest) -> None:
    if SECRETS not in {file.path for file in found.files}:
        return
    try:
        text = (directory / SECRETS).read_text()
        write_private(settings.data_dir / SECRETS_FILE, text, overwrite=False)
    except FileExistsError:
        click.echo("note: secrets.json is there already and was left as it is", err=True)


def _secret_keys(settings: Settings) -> tuple[Peppers, MasterKeys] | tuple[None, None]:
    # Reading them would make a file of fresh ones, which then stands in the way of the right ones.
    return load_secret_keys(settings) if secrets_exist(settings) else (None, None)


def _show(found: Manifest, proof: Proof, *, as_json: bool) -> None:
    shown = {
        "made_at": found.made_at,
        "position": found.contents.position,
        "events": found.contents.events,
        "streams": proof.streams,
        "problems": proof.problems,
        "warnings": proof.warnings,
    }
    if as_json:
        print_json(shown)
    else:
        print_fields({name: _listed(value) for name, value in shown.items()})
    if proof.problems:
        sys.exit(REFUSED)


def _listed(value: object) -> object:
    return "; ".join(value) if isinstance(value, list | tuple) else value
