"""Registries to publish to: a real one with a token, and servers that misbehave."""

import base64
import contextlib
import hashlib
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tasks.system.addresses import free_port

TOKEN = "pypi-only-for-tests"
KNOWN = {"TWINE_USERNAME": "__token__", "TWINE_PASSWORD": TOKEN}


@contextlib.contextmanager
def real_registry(folder: Path) -> Iterator[str]:
    """Run a pypiserver that asks for a token, also to read; yield its URL."""
    packages = folder / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    hashed = base64.b64encode(hashlib.sha1(TOKEN.encode()).digest()).decode()
    (folder / "passwords").write_text(f"__token__:{{SHA}}{hashed}\n")
    port = free_port()
    command = [sys.executable, "-m", "pypiserver", "run", "--disable-fallback"]
    command += ["--interface", "127.0.0.1", "--port", str(port)]
    command += ["--authenticate", "update,list,download"]
    command += ["--passwords", str(folder / "passwords"), str(packages)]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until_answers(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def wait_until_answers(url: str) -> None:
    """Wait until a URL answers anything."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


class Misbehaving(BaseHTTPRequestHandler):
    """Answers uploads as it was told to, and lists what it was told to."""

    server: "Server"

    def do_POST(self) -> None:
        if self.server.behaviour == "dies":
            self.rfile.read(1000)
            self.connection.close()
            return
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(int(self.server.behaviour))
        self.end_headers()

    def do_GET(self) -> None:
        name = self.server.lists
        if name and self.path.endswith(".whl"):
            body = b"other bytes"
        elif name:
            body = f'<a href="/{name}">{name}</a>'.encode()
        else:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """What a misbehaving registry was told to do."""

    daemon_threads = True
    behaviour = "200"
    lists = ""


@contextlib.contextmanager
def bad_registry(behaviour: str, lists: str = "") -> Iterator[str]:
    """
    Run a registry that misbehaves; yield its URL.

    Parameters
    ----------
    behaviour : str
        The status that answers an upload, or ``dies``: half-way through.
    lists : str
        A file that it claims to have once it was asked to take it.
    """
    server = Server(("127.0.0.1", 0), Misbehaving)
    server.behaviour, server.lists = behaviour, lists
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
