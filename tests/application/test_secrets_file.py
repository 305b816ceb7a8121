"""Peppers and master keys: from the settings, else from a file that only its owner may read."""

import base64
import json
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from application.secret_keys import PresentedSecret
from application.secrets_file import SECRETS_FILE, load_secret_keys, write_private
from application.settings import SettingsError, load_settings

NEW, OLD = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
SECRET = PresentedSecret("gls_secret")


def mode_of(path: Path) -> int:
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_makes_the_file_once(tmp_path: Path) -> None:
    """The first start makes the file, for its owner's eyes alone, and the directory too; the next
    start finds the same keys.
    """
    settings = load_settings(data_dir=tmp_path / "data" / "here")
    path = settings.data_dir / SECRETS_FILE

    peppers, master_keys = load_secret_keys(settings)
    content = path.read_text()
    again, master_keys_again = load_secret_keys(settings)

    assert mode_of(path) == 0o600
    assert path.read_text() == content
    assert again.verifier(SECRET) == peppers.verifier(SECRET)
    assert master_keys_again.unwrap(master_keys.wrap("kid-1", b"der")) == b"der"
    assert list(settings.data_dir.iterdir()) == [path]


def test_is_private_under_any_umask(tmp_path: Path) -> None:
    """An open umask does not open the file."""
    before = os.umask(0)
    try:
        write_private(tmp_path / "file", "text")
    finally:
        os.umask(before)

    assert mode_of(tmp_path / "file") == 0o600


def test_each_deployment_has_keys_of_its_own(tmp_path: Path) -> None:
    """Two files have other keys under other ids, and pepper and master key differ."""
    ids = set()
    for name in ("a", "b"):
        load_secret_keys(load_settings(data_dir=tmp_path / name))
        kept: dict[str, str] = json.loads((tmp_path / name / SECRETS_FILE).read_text())
        ids |= {value.partition(":")[0] for value in kept.values()}
        assert {len(base64.b64decode(value.partition(":")[2])) for value in kept.values()} == {32}

    assert len(ids) == 4


def test_processes_that_start_together_share_the_keys(tmp_path: Path) -> None:
    """Whoever is first makes the file, and all the others use it."""
    settings = load_settings(data_dir=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_secret_keys(settings)[0].verifier(SECRET), range(32)))

    assert len(set(found)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [SECRETS_FILE]


def test_the_settings_come_first(tmp_path: Path) -> None:
    """Keys of the settings are used instead of the file's, the first one current, the others still
    good; the file is not made then.
    """
    settings = load_settings(
        data_dir=tmp_path, peppers=f"new:{NEW}, old:{OLD}", master_keys=f"m:{NEW}"
    )
    before = load_settings(data_dir=tmp_path, peppers=f"old:{OLD}", master_keys=f"m:{NEW}")

    peppers, master_keys = load_secret_keys(settings)
    old_verifier = load_secret_keys(before)[0].verifier(SECRET)

    assert peppers.current.key_id == "new"
    assert peppers.matches(SECRET, pepper_id="old", verifier=old_verifier)
    assert master_keys.wrap("kid-1", b"der").master_key_id == "m"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["peppers", "master_keys"])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("no-colon", id="no id"),
        pytest.param("a:not base64!", id="no base64"),
        pytest.param(f"a:{NEW[:-8]}", id="too short"),
        pytest.param(f"a:{base64.b64encode(bytes(33)).decode()}", id="too long"),
        pytest.param(f"a:{NEW},", id="nothing after the comma"),
        pytest.param(f":{NEW}", id="empty id"),
        pytest.param(f"a:{NEW},a:{OLD}", id="one id twice"),
    ],
)
def test_a_wrong_key_is_one_line(tmp_path: Path, name: str, value: str) -> None:
    """Keys that cannot be used are refused in one line that names the setting and shows no key."""
    good = {"peppers": f"a:{NEW}", "master_keys": f"a:{NEW}"}
    settings = load_settings(data_dir=tmp_path, **{**good, name: value})
    with pytest.raises(SettingsError) as refusal:
        load_secret_keys(settings)

    message = str(refusal.value)
    assert message == f"GRANTLEDGER_{name.upper()}: must be id:base64, 32 bytes each, by commas"
    assert value not in repr(settings)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_text(""), id="empty"),
        pytest.param(lambda path: path.write_text("[1]"), id="a list"),
        pytest.param(lambda path: path.write_text('{"peppers": "a:b"}'), id="one missing"),
        pytest.param(
            lambda path: path.write_text('{"peppers": 5, "master_keys": null}'), id="no text"
        ),
        pytest.param(lambda path: path.write_bytes(b"\xff"), id="no text encoding"),
        pytest.param(Path.mkdir, id="a directory"),
    ],
)
def test_a_spoilt_file_is_one_line(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    """A file that cannot be read is never replaced, which would lose every key: it is named."""
    path = tmp_path / SECRETS_FILE
    spoil(path)
    before = _state(path)
    with pytest.raises(SettingsError) as refusal:
        load_secret_keys(load_settings(data_dir=tmp_path))

    assert str(refusal.value).startswith(f"{path} is unreadable")
    assert "\n" not in str(refusal.value)
    assert _state(path) == before


def _state(path: Path) -> tuple[int, ...]:
    # Without the time of the last reading, which the test's own reading changes.
    found = path.stat()
    return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def test_a_data_directory_that_is_none_is_one_line(tmp_path: Path) -> None:
    """Where the data directory cannot be made the setting is named."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^GRANTLEDGER_DATA_DIR: ") as refusal:
        load_secret_keys(load_settings(data_dir=tmp_path / "file"))

    assert "\n" not in str(refusal.value)


def test_writes_over_what_was_there(tmp_path: Path) -> None:
    """A file is replaced as a whole, a readable one by a private one; whoever has the old one open
    reads it to its end.
    """
    path = tmp_path / "file"
    path.write_text("before")
    path.chmod(0o644)
    with path.open() as reader:
        write_private(path, "after")

        assert reader.read() == "before"

    assert (path.read_text(), mode_of(path)) == ("after", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_keeps_what_was_there(tmp_path: Path) -> None:
    """Where it may not replace, what is there stays, and nothing is left lying beside it."""
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(FileExistsError):
        write_private(path, "after", overwrite=False)

    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
