"""Runs one program for exactly as long as the process that asked for it lives.

Started as a file of its own by a bare interpreter (`python -I -S keeper.py`), so it imports the
standard library alone. Its standard input is a pipe whose only writer is the process it
serves. The kernel closes that end whatever happens there, SIGKILL too; then the program gets
SIGINT, and SIGQUIT if that was not enough (PostgreSQL: fast, then immediate shutdown); what it
had started in its process group goes with it. As the program's parent the keeper can never
signal a pid that has been given to somebody else.

PR_SET_PDEATHSIG would need no process, but it fires when the starting *thread* ends, and
only Linux has it.
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
"""How long SIGINT may take before SIGQUIT follows, and SIGQUIT before SIGKILL."""

AT_ONCE = b"at once"
"""Written to the pipe before it is closed: begin with SIGQUIT."""


def command(
    uid: int | None, gid: int | None, program: Sequence[str], patience_s: float = PATIENCE_S
) -> list[str]:
    """Return the command that runs a program under a keeper, as another user if one is given."""
    owner = "-" if uid is None else f"{uid}:{gid}"
    keeper = [sys.executable, "-I", "-S", str(Path(__file__).resolve())]
    return [*keeper, owner, str(patience_s), *program]


def _main(owner: str, patience_s: str, *program: str) -> int:
    uid, gid = (None, None) if owner == "-" else map(int, owner.split(":"))
    groups = None if uid is None else list[str]()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # SIGQUIT would leave a core file
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
        os.killpg(child.pid, signal.SIGKILL)  # what it had started
    return code


def _end_with_asker(child: "subprocess.Popen[bytes]", patience_s: float) -> None:
    # Unbuffered: a thread inside a buffered read makes the interpreter abort at its exit.
    asked = b"".join(iter(lambda: os.read(0, 64), b""))
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
