"""Which engine is chosen, and how a daemon is found; the daemons here are sockets that answer a ping or do not."""

import http.server
import json
import socketserver
import threading

import pytest

from edgemill.engines import choice, daemon
from edgemill.engines.choice import decide
from edgemill.engines.daemon import candidates, find_daemon
from edgemill.errors import RequestError


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = int(self.server.status)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'{"Version": "1"}')

    def log_message(self, *_):
        pass

    def address_string(self):
        return "socket"


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def listen(tmp_path):
    """listen(status) gives the address of a socket that answers so."""
    servers = []

    def call(status=200, name="docker.sock"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        server = UnixServer(str(path), Answer)
        server.status = status
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"unix://{path}"

    yield call
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch, tmp_path):
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR", "EDGEMILL_ENGINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))


@pytest.mark.parametrize(
    ("named", "variable", "pipeline", "name", "why"),
    [
        ("local", "docker", "docker", "local", "--engine says so"),
        (None, "docker", "local", "docker", "EDGEMILL_ENGINE says so"),
        (None, None, "local", "local", "the pipeline's `engine` says so"),
    ],
)
def test_what_is_named_first_is_taken(monkeypatch, named, variable, pipeline, name, why):
    if variable:
        monkeypatch.setenv("EDGEMILL_ENGINE", variable)
    assert decide(named, pipeline) == choice.Choice(name, why)


def test_docker_where_a_daemon_answers(monkeypatch, listen):
    monkeypatch.setenv("DOCKER_HOST", listen())
    decided = decide(None, None)
    assert decided.name == "docker"
    assert "answers at unix://" in decided.why
    assert "DOCKER_HOST" in decided.why


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("unix:///no/such.sock", "No such file or directory"),
        ("tcp://192.0.2.1:2375", "it is not on this machine"),
        ("ssh://somebody@elsewhere", "it is not on this machine"),
    ],
)
def test_local_where_none_answers_and_why(monkeypatch, address, reason):
    monkeypatch.setenv("DOCKER_HOST", address)
    decided = decide(None, None)
    assert decided.name == "local"
    assert reason in decided.why
    assert address in decided.why


def test_a_socket_that_is_no_daemon(monkeypatch, listen):
    monkeypatch.setenv("DOCKER_HOST", listen(404))
    assert find_daemon().problem == "it answers with 404"


def test_a_socket_that_nobody_serves(monkeypatch, tmp_path):
    import socket

    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        monkeypatch.setattr(daemon, "PING_SECONDS", 0.2)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/silent.sock")
        assert "timed out" in find_daemon().problem


@pytest.mark.parametrize(
    ("named", "variable", "pipeline", "where"),
    [("lcal", None, None, "--engine"), (None, "lcal", None, "EDGEMILL_ENGINE"), (None, None, "lcal", "the pipeline's `engine`")],
)
def test_an_unknown_engine_is_refused_where_it_is_named(monkeypatch, named, variable, pipeline, where):
    if variable:
        monkeypatch.setenv("EDGEMILL_ENGINE", variable)
    with pytest.raises(RequestError, match="unknown engine 'lcal'") as raised:
        decide(named, pipeline)
    assert (raised.value.where, raised.value.remedy) == (where, "did you mean 'local'?")


def context(folder, name, host, current=True):
    meta = folder / "contexts" / "meta" / name
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    (folder / "config.json").write_text(json.dumps({"currentContext": name} if current else {}))


def test_the_current_context_comes_before_the_usual_sockets(monkeypatch, tmp_path):
    context(tmp_path / "config", "rootless", "unix:///run/user/7/docker.sock")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    addresses = [address for address, _ in candidates()]
    assert addresses == [
        "unix:///run/user/7/docker.sock",
        "unix:///var/run/docker.sock",
        "unix:///run/user/7/docker.sock",
        "unix:///run/user/7/podman/podman.sock",
    ]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"currentContext": "gone"}'])
def test_a_broken_docker_configuration_is_no_context(tmp_path, text):
    context(tmp_path / "config", "one", "unix:///one.sock", current=False)
    (tmp_path / "config" / "config.json").write_text(text)
    assert next(candidates())[0] == "unix:///var/run/docker.sock"


def test_podman_is_found_where_docker_is_not(monkeypatch, listen, tmp_path):
    address = listen(name="podman/podman.sock")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    found = find_daemon()
    if found.address != "unix:///var/run/docker.sock":  # this machine has one
        assert (found.address, found.found, found.problem) == (address, "Podman's socket", None)


def test_what_a_daemon_tells_of_itself(listen, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", listen())
    assert find_daemon().get("/version") == {"Version": "1"}
