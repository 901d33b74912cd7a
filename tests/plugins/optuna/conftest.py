"""A PostgreSQL server for the tests, where the machine has one."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS_TO_START = 60


def _program(name: str) -> str:
    found = shutil.which(name) or next(iter(glob.glob(f"/usr/lib/postgresql/*/bin/{name}")), None)
    if found is None:
        pytest.skip(f"PostgreSQL is not installed: no {name} (Debian package postgresql)")
    return found


def _unprivileged() -> int | None:
    """PostgreSQL refuses to run as root: return another user then."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """The address of a server that listens on a socket in a temporary folder."""
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed (pip: psycopg2-binary)")
    initdb, postgres, ready = map(_program, ("initdb", "postgres", "pg_isready"))
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has a limit
    try:
        if user is not None:
            os.chown(folder, user, -1)
        data = folder / "data"
        subprocess.run(
            [initdb, "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"],
            user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        server = subprocess.Popen(
            [postgres, "-D", data, "-k", folder, "-F", "-c", "listen_addresses="],
            user=user, cwd=folder, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + SECONDS_TO_START
            while subprocess.run([ready, "-q", "-h", folder], check=False).returncode:
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.skip("the PostgreSQL server does not start")
                time.sleep(0.2)
            yield f"postgresql+psycopg2://postgres@/postgres?host={folder}"
        finally:
            server.send_signal(signal.SIGINT)  # do not wait for connections
            server.wait(SECONDS_TO_START)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
