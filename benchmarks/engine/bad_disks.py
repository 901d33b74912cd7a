"""Folders that are full, cannot be written, go away, or have another process in them."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from naslib_diffusion.benchmarks.engine.kills import LIMIT, Case, wait_for_progress

SMALL = "12k"
"""Size of the disk that becomes full: three pages, for settings, log and predictions."""
PRIVATE = ("unshare", "--map-root-user", "--mount", "sh", "-c")
"""Runs a shell script that may mount what nobody else sees."""


def full(case: Case, folder: Path) -> tuple[int, str, Path]:
    """Let a command fill its disk, and go on when that has grown."""
    return _on_own_disk(case, folder, f"size={SMALL}", "size=64m")


def read_only(case: Case, folder: Path) -> tuple[int, str, Path]:
    """Let a command begin on a disk that cannot be written, and begin anew when that can be."""
    return _on_own_disk(case, folder, "ro", "rw")


def gone(case: Case, folder: Path) -> tuple[int, str, Path]:
    """Take the folder away after the first evaluations, and bring it back when all is over."""
    out, away = folder / case.out, folder / "away"
    process = case.start(out, resumed=False)
    wait_for_progress(case, out, process)
    out.rename(away)
    _, errors = process.communicate(timeout=LIMIT)
    shutil.rmtree(out, ignore_errors=True)
    away.rename(out)
    case.finish(out, resumed=True)
    return process.returncode, errors.decode(), out


def shared(case: Case, folder: Path) -> tuple[int, str, Path]:
    """Start the command a second time in the folder that it works in."""
    out = folder / case.out
    process = case.start(out, resumed=False)
    wait_for_progress(case, out, process)
    process.send_signal(signal.SIGSTOP)  # else it may have ended before the other has begun
    second = case.start(out, resumed=True)
    _, errors = second.communicate(timeout=LIMIT)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=LIMIT)
    return second.returncode, errors.decode(), out


TROUBLES: dict[str, Callable[[Case, Path], tuple[int, str, Path]]] = {
    "a full disk": full,
    "a disk that cannot be written": read_only,
    "a folder that goes away": gone,
    "another process in the folder": shared,
}
"""Each brings a command into trouble and out of it: exit code and errors, and the result."""


def can_mount() -> bool:
    """Whether this user may have disks of his own, as Linux mostly allows."""
    if shutil.which(PRIVATE[0]) is None:
        return False
    script = "mount -t tmpfs tmpfs /mnt"
    return not subprocess.run([*PRIVATE, script], capture_output=True, check=False).returncode


def look(case: Case, folder: Path, names: Sequence[str] = ()) -> list[dict[str, object]]:
    """Bring a command into troubles, those named or all that can be had here."""
    whole = folder / "whole" / case.out
    whole.parent.mkdir(parents=True)
    case.finish(whole, resumed=False)
    rows = []
    for name in names or TROUBLES:
        if TROUBLES[name] in (full, read_only) and not can_mount():
            continue
        own = folder / name.replace(" ", "-")
        own.mkdir()
        code, errors, out = TROUBLES[name](case, own)
        rows.append(
            {
                "trouble": name,
                "exit code": code,
                "lines": len(errors.splitlines()),
                "says": errors.replace(str(own), "...").strip(),
                "same result afterwards": case.result(out) == case.result(whole),
            }
        )
    return rows


def _on_own_disk(case: Case, folder: Path, first: str, later: str) -> tuple[int, str, Path]:
    """Run a command on a disk with some options, and go on when it has others."""
    disk, kept = folder / "disk", folder / "kept"
    disk.mkdir()
    command = [*case.program, *case.args, case.flag, str(disk / case.out)]
    resume = f"if [ -e {disk / case.out} ]; then set -- {shlex.join(case.resume)}; fi"
    script = f"""
        mount -t tmpfs -o {first} tmpfs {disk} || exit 99
        {shlex.join(command)}; code=$?
        mount -o remount,{later} {disk} || exit 98
        {resume}
        {shlex.join(command)} "$@" || exit 97
        cp -r {disk} {kept}
        exit $code
    """
    process = subprocess.run(
        [*PRIVATE, script], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    return process.returncode, process.stderr, kept / case.out
