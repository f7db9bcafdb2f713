"""Runs one program exactly as long as the process that started it.

Started as a script by a bare interpreter (`python -I -S keeper.py`), so it imports only the
standard library. Its standard input is a pipe whose only writer is the process it serves.
The kernel closes that end when the process ends, even by SIGKILL; then the program gets SIGINT,
and SIGQUIT if that was not enough (PostgreSQL: fast, then immediate shutdown), and its process
group is killed. As the program's parent the keeper can never signal a pid that was reused by
another process.

PR_SET_PDEATHSIG would need no process, but it fires when the starting *thread* ends, and
exists only on Linux.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

PATIENCE_S = 20.0
"""Time from SIGINT to SIGQUIT, and from SIGQUIT to SIGKILL."""

AT_ONCE = b"at once"
"""Written to the pipe at once: start with SIGQUIT."""


def command(
    uid: int | None, gid: int | None, program: Sequence[str], patience_s: float = PATIENCE_S
) -> list[str]:
    """Return the command that runs a program under a keeper, optionally as another user."""
    owner = "-" if uid is None else f"{uid}:{gid}"
    keeper = [sys.executable, "-I", "-S", str(Path(__file__).resolve())]
    return [*keeper, owner, str(patience_s), *program]


def _main(owner: str, patience_s: str, *program: str) -> int:
    uid, gid = (None, None) if owner == "-" else map(int, owner.split(":"))
    groups = None if uid is None else list[str]()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # SIGQUIT would leave a core file
    # A shell starts background jobs with both ignored, and the program would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    child = subprocess.Popen(
        program,
        stdin=subprocess.DEVNULL,
        cwd="/",
        user=uid,
        group=gid,
        extra_groups=groups,
        process_group=0,
    )

    def forward(_number: int, _frame: object) -> None:
        child.send_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, forward)
    threading.Thread(target=_end_with_asker, args=[child, float(patience_s)], daemon=True).start()
    code = child.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)  # its child processes
    return code


def _end_with_asker(child: "subprocess.Popen[bytes]", patience_s: float) -> None:
    # Unbuffered: a thread in a buffered read makes the interpreter abort at its exit.
    # One read: a fork of the asker may hold a copy of the pipe, so that its end never comes.
    asked = os.read(0, 64)
    order = [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL]
    for number in order[1:] if asked == AT_ONCE else order:
        child.send_signal(number)
        try:
            child.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
        return


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
