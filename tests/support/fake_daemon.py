"""A stand-in for a Docker daemon on a Unix socket, which fails as it is told to. The real one is in tests/engines."""

from __future__ import annotations

import hashlib
import io
import json
import socketserver
import tarfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from edgemill.bundles.install import architecture


class FakeDaemon:
    """Knows images by ID; `manner` is how it fails: full, break, refuse, mute, another, or an architecture's name."""

    def __init__(self, place: Path, manner: str = "") -> None:
        self.manner = manner
        self.images: dict[str, bytes] = {}  # ID: what docker save would give
        self.tags: dict[str, str] = {}
        self.loads = 0
        self._server = socketserver.ThreadingUnixStreamServer(str(place), type("Handler", (_Handler,), {"daemon": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def load(self, archive: bytes) -> None:
        """What docker load does: every layer that the archive leaves out must be known."""
        with tarfile.open(fileobj=io.BytesIO(archive)) as members:
            contents = {member.name: members.extractfile(member).read() for member in members}
        for entry in json.loads(contents["manifest.json"]):
            config = contents[entry["Config"]]
            assert all(name in contents for name in entry["Layers"]), "a layer is missing"
            name = "sha256:" + hashlib.sha256(config + (b"!" if self.manner == "another" else b"")).hexdigest()
            self.images[name] = archive
            self.tags[entry["RepoTags"][0]] = name


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    daemon: FakeDaemon

    def address_string(self) -> str:
        return "here"

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""

    def answer(self, value: object, status: int = 200) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        daemon, name = self.daemon, self.path.split("/")[-2].replace("%3A", ":")
        if self.path == "/_ping":
            self.answer(b"OK")
        elif self.path == "/version":
            self.answer({"Arch": daemon.manner if daemon.manner == "s390x" else architecture()})
        elif self.path.startswith("/images/get?"):
            self.answer(daemon.images[self.path.partition("=")[2].replace("%3A", ":")])
        elif name not in daemon.images:
            self.answer({"message": "no such image"}, 404)
        else:
            self.answer({"Id": name})

    def do_POST(self) -> None:
        if "/tag?" in self.path:
            self.answer({}, 201)
            return
        if self.daemon.manner == "break":
            self.rfile.read(100)
            self.connection.close()
            return
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        self.daemon.loads += 1
        if self.daemon.manner == "refuse":
            self.answer({"message": "permission denied"}, 500)
        elif self.daemon.manner == "full":
            self.daemon.load(content)
            self.answer(b'{"stream":"Loading"}\n{"errorDetail":{"message":"x"},"error":"write: no space left on device"}\n')
        else:
            if self.daemon.manner != "mute":
                self.daemon.load(content)
            self.answer(b'{"stream":"Loaded image"}\n')

    def do_DELETE(self) -> None:
        self.daemon.images.pop(self.path.split("?")[0].split("/")[-1].replace("%3A", ":"), None)
        self.answer([])
