"""Finding a Docker daemon (or Podman's compatible socket) on this machine, quickly: asked before every command."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PING_SECONDS = 2.0


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the socket of a `unix://` address."""

    def __init__(self, address: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = address.removeprefix("unix://")

    def connect(self) -> None:
        """Connect to the socket file instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Daemon:
    """A daemon that may answer: its address, where that was found, and why it does not answer (None: it does)."""

    address: str
    found: str
    problem: str | None

    def get(self, path: str) -> dict[str, Any]:
        """What the daemon answers to a GET, such as `/info`. Raises OSError or ValueError."""
        connection = UnixConnection(self.address, PING_SECONDS)
        try:
            connection.request("GET", path)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()


def candidates() -> Iterator[tuple[str, str]]:
    """Addresses and where each is found: DOCKER_HOST alone where it is set; else the current context's, and the usual sockets'."""
    named = os.environ.get("DOCKER_HOST")
    if named:
        yield named, "DOCKER_HOST"
        return
    context = _current_context()
    if context:
        yield context, "Docker's current context"
    yield "unix:///var/run/docker.sock", "the system's socket"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        yield f"unix://{runtime}/docker.sock", "rootless Docker's socket"
        yield f"unix://{runtime}/podman/podman.sock", "Podman's socket"


def _current_context() -> str | None:
    """The address of the context that `docker context use` chose."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        name = os.environ.get("DOCKER_CONTEXT") or json.loads((folder / "config.json").read_bytes()).get("currentContext")
        for meta in (folder / "contexts" / "meta").glob("*/meta.json"):
            fields = json.loads(meta.read_bytes())
            if name and fields.get("Name") == name:
                return str(fields["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return None


def find_daemon() -> Daemon:
    """The first daemon that answers; else the first one that does not, with the reason."""
    silent: list[Daemon] = []
    for address, found in candidates():
        daemon = _ask(address, found)
        if daemon.problem is None:
            return daemon
        silent.append(daemon)
    return silent[0]


def _ask(address: str, found: str) -> Daemon:
    if not address.startswith("unix://"):
        return Daemon(address, found, "it is not on this machine, so it cannot see this machine's files")
    try:
        connection = UnixConnection(address, PING_SECONDS)
        connection.request("GET", "/_ping")
        status = connection.getresponse().status
        connection.close()
    except OSError as error:
        return Daemon(address, found, error.strerror or str(error))
    except http.client.HTTPException as error:
        return Daemon(address, found, f"it does not speak HTTP: {error}")
    return Daemon(address, found, None if status == 200 else f"it answers with {status}")
