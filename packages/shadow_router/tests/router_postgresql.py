"""A real PostgreSQL server of our own, run by a user who is not root."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from router_system import free_port, is_running, wait_until

#: Long and odd, so that finding it anywhere means that it leaked there.
PASSWORD = "canary-4f9d1c-password"
USER = "shadow"


def _programs():
    """Return the directory of initdb, postgres and pg_ctl."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    for place in [*debian, *([Path(on_path).resolve().parent] if on_path else [])]:
        if all((place / name).exists() for name in ("initdb", "postgres", "pg_ctl")):
            return place
    raise RuntimeError(
        "these tests need a PostgreSQL server: initdb, postgres and pg_ctl on the PATH "
        "or in /usr/lib/postgresql/*/bin; on Debian: apt-get install postgresql"
    )


def _somebody():
    """Return ids of a user whom PostgreSQL serves: ourselves, unless we are root."""
    if os.getuid() != 0:
        return os.getuid(), os.getgid()
    names = {one.pw_name: one for one in pwd.getpwall()}
    found = names.get("postgres") or names["nobody"]
    return found.pw_uid, found.pw_gid


class PostgreSQL:
    """One server; each test gets a database of its own."""

    def __init__(self):
        self.programs = _programs()
        self.uid, self.gid = _somebody()
        self.directory = Path(tempfile.mkdtemp(prefix="shadow-pg-", dir="/tmp"))
        os.chown(self.directory, self.uid, self.gid)
        self.data = self.directory / "data"
        self.port = free_port()
        self._databases = 0

    def __enter__(self):
        password = self.directory / "password"
        password.write_text(PASSWORD)
        os.chown(password, self.uid, self.gid)
        self._run(
            "initdb",
            f"--pgdata={self.data}",
            f"--username={USER}",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        )
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\n"
                f"unix_socket_directories = '{self.directory}'\n"
                "shared_buffers = 64MB\nmax_connections = 40\n"
            )
        self.start()
        return self

    def __exit__(self, *_):
        self.resume()
        self.stop("immediate")
        shutil.rmtree(self.directory)

    def start(self):
        self._run("pg_ctl", "start", "-w", f"-D{self.data}", f"-l{self.log_path}")

    def stop(self, mode="immediate"):
        self._run("pg_ctl", "stop", "-w", f"-m{mode}", f"-D{self.data}")

    @property
    def log_path(self):
        return self.directory / "log"

    def pids(self):
        """Return the server's process and all that it has started."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        path = Path(f"/proc/{postmaster}/task/{postmaster}/children")
        return [postmaster, *map(int, path.read_text().split())]

    def pause(self):
        """Stop every process of the server where it is, as a hung machine would."""
        self._paused = self.pids()
        for pid in self._paused:
            os.kill(pid, signal.SIGSTOP)

    def resume(self):
        """Let them go on."""
        for pid in filter(is_running, getattr(self, "_paused", ())):
            os.kill(pid, signal.SIGCONT)
        self._paused = []

    def new_database(self):
        """Return the name of an empty database."""
        self._databases += 1
        name = f"run{self._databases}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def url(self, database, password=PASSWORD):
        place = f"127.0.0.1:{self.port}/{database}"
        return f"postgresql+psycopg://{USER}:{password}@{place}"

    def connect(self, database="postgres"):
        """Return a connection of the driver's own, one statement a transaction."""
        import psycopg

        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD,
            dbname=database,
            autocommit=True,
        )

    def execute(self, statement, database="postgres"):
        with self.connect(database) as connection:
            connection.execute(statement)

    def wait_ready(self):
        return wait_until(lambda: self.connect().close() is None, what="the server")

    def _run(self, program, *arguments):
        done = subprocess.run(
            [self.programs / program, *arguments],
            user=self.uid,
            group=self.gid,
            extra_groups=[] if os.getuid() == 0 else None,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        if done.returncode:
            log = self.log_path.read_text() if self.log_path.exists() else ""
            raise RuntimeError(f"{program}: {done.stdout or ''}{log}")
