"""Peppers and master keys: from the settings, else from a file that is made on the first run."""

import base64
import binascii
import json
import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from application.secret_keys import KEY_BYTES, MasterKeys, Peppers, SecretKey
from application.settings import Settings, SettingsError

SECRETS_FILE = "secrets.json"


def secrets_exist(settings: Settings) -> bool:
    """Tell whether `load_secret_keys` would find everything, and make nothing."""
    given = settings.peppers is not None and settings.master_keys is not None
    return given or (settings.data_dir / SECRETS_FILE).exists()


def load_secret_keys(settings: Settings) -> tuple[Peppers, MasterKeys]:
    """Return peppers and master keys from the settings, else from `secrets.json` in the data
    directory, which is made, readable by its owner alone, on the first run.

    Raises SettingsError.
    """
    return (
        Peppers(_keys(settings, "peppers")),
        MasterKeys(_keys(settings, "master_keys")),
    )


def _keys(settings: Settings, name: Literal["peppers", "master_keys"]) -> list[SecretKey]:
    value: SecretStr | None = getattr(settings, name)
    text = value.get_secret_value() if value else _secrets_file(settings.data_dir)[name]
    try:
        pairs = [word.strip().split(":", 1) for word in text.split(",")]
        keys = [SecretKey(key_id, base64.b64decode(key, validate=True)) for key_id, key in pairs]
        if len({key.key_id for key in keys if key.key_id}) < len(keys):
            raise ValueError("an id is empty or given twice")
        return keys
    except (ValueError, binascii.Error):
        raise SettingsError(
            f"GRANTLEDGER_{name.upper()}: must be id:base64, {KEY_BYTES} bytes each, by commas"
        ) from None


def _secrets_file(data_dir: Path) -> dict[str, str]:
    path = data_dir / SECRETS_FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"GRANTLEDGER_DATA_DIR: {data_dir}: {error.strerror}") from None
    fresh = {name: _fresh_key() for name in ("peppers", "master_keys")}
    try:
        write_private(path, json.dumps(fresh, indent=2), overwrite=False)
        return fresh
    except FileExistsError:
        pass
    try:
        kept: dict[str, str] = json.loads(path.read_text())
        if not all(isinstance(kept[name], str) for name in fresh):
            raise TypeError("a key is no text")
        return {name: kept[name] for name in fresh}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} is unreadable: {type(error).__name__}") from None


def _fresh_key() -> str:
    # The id tells keys apart that were made on different machines: with a fixed id, a replica with
    # a file of its own would refuse every client instead of saying which key it lacks.
    key = secrets.token_bytes(KEY_BYTES)
    return f"{sha256(key).hexdigest()[:8]}:{base64.b64encode(key).decode()}"


def write_private(path: Path, text: str, *, overwrite: bool = True) -> None:
    """Write a file that only its owner may read (0600), whole or not at all.

    Raises FileExistsError unless `overwrite`.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        if overwrite:
            temporary.replace(path)
        else:
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
