"""A streaming replica of a server that runs."""

import shutil
import subprocess
from pathlib import Path

import psycopg

from maintenance.demo.account import server_account
from maintenance.demo.postgres import PostgresServer


def make_replica(primary: PostgresServer, home: Path, binaries: Path) -> PostgresServer:
    """Copy a running server and start the copy as its standby; it goes with `remove`.

    Args:
        primary: runs, with a `wal_level` of at least replica.
        home: the folder of the copy; its parent must be open to the server's account.
        binaries: the programs the primary was made with.
    """
    standby = PostgresServer(binaries, home, fsync=False, settings=primary.settings)
    standby.data.mkdir(parents=True)
    shutil.copy(primary.data / "password", standby.data)
    account = server_account()
    if account:
        account.own(standby.data, standby.data / "password")
    subprocess.run(
        [
            standby.binaries / "pg_basebackup",
            f"--dbname={primary.url()}",
            f"--pgdata={standby.data / 'cluster'}",
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
        ],
        check=True,
        capture_output=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
    )
    standby.start()
    return standby


def caught_up(primary: PostgresServer, replica: PostgresServer) -> bool:
    """Tell whether the replica has replayed all that the primary has written."""
    with psycopg.connect(primary.url(), autocommit=True) as connection:
        row = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    with psycopg.connect(replica.url(), autocommit=True) as connection:
        assert row is not None
        done = connection.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", row).fetchone()
    return done == (True,)
