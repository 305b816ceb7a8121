"""Every Python that the project says it runs on can at least load it."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PROGRAMS = "import api.cli, api.projector, api.mtls_listener, tests.benchmarks.sign_only"
_SAME_MINOR = f"python3.{sys.version_info.minor}"


def _others() -> list[str]:
    """Return interpreters of this minor version on the machine, but for the one that runs."""
    folders = [*os.get_exec_path(), "/usr/bin"]
    found = {shutil.which(_SAME_MINOR, path=folder) for folder in folders} - {None}
    versions = {_version(str(one)): str(one) for one in found}
    return [path for version, path in versions.items() if version not in (sys.version, "")]


def _version(interpreter: str) -> str:
    asked = [interpreter, "-I", "-c", "import sys; print(sys.version, end='')"]
    return subprocess.run(asked, check=False, capture_output=True, text=True).stdout


def test_loads_on_the_other_interpreters_here() -> None:
    """HTTPStatus members of members are there from Python 3.11.4 on: 3.11.2 ended at the import."""
    others = _others()
    if not others:
        pytest.skip(f"no other {_SAME_MINOR} on this machine")
    path = os.pathsep.join((str(_ROOT), sysconfig.get_path("platlib")))
    for interpreter in others:
        loaded = subprocess.run(
            [interpreter, "-c", _PROGRAMS],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

        assert loaded.returncode == 0, f"{interpreter}: {loaded.stderr}"
