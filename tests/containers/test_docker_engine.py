"""The Docker engine: what a stage sees and may do, how it ends, and what is left behind. All of it with a real daemon."""

import contextlib
import errno
import io
import json
import os
import re
import shutil
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path

import pytest
from docker_mini import BASE, docker
from mini import in_child, manifest, only, wait_until

from edgemill.engines.daemon import Daemon
from edgemill.engines.docker_engine import DockerEngine
from edgemill.engines.seam import Ending
from edgemill.errors import EngineError, StageFailedError, StoppedError
from edgemill.workspace import Workspace


def notes(mini, do):
    """What a stage that behaves so wrote of itself."""
    mini.build("act", f"act.do={do}")
    return json.loads((mini.workspace.pipelines / "act" / "act" / "notes.json").read_text())


def limit(mini, **limits):
    path = mini.stages / "act" / "stage.yaml"
    path.write_text(path.read_text() + "".join(f"{name}: {value}\n" for name, value in limits.items()))
    return mini


def test_a_pipeline_is_built_and_its_manifests_say_with_what(mini):
    mini.build("act")
    told = manifest(mini.workspace.pipelines / "act" / "act")
    assert told["engine"] == "docker"
    built = docker("image", "inspect", "-f", "{{.Id}}", f"edgemill/host:{mini.image().identity[:16]}").stdout.strip()
    stand_in = json.loads((mini.root / "docker" / "stand-ins.yaml").read_text())["stand_ins"]
    assert told["realised"] == {"image_id": built, "base": BASE, "stand_in": only(list(stand_in.values()))["id"]}
    assert mini.containers() == []


def test_the_same_artifacts_as_with_the_local_engine(mini, tmp_path):
    """Same interpreter version, same source, same inputs: every artifact has the same digest."""
    from edgemill.engines.local import LocalEngine
    from edgemill.workspace import Workspace

    settings = ("act.do=well",)
    docker_built = mini.build("act", *settings)
    mini.workspace = Workspace(tmp_path / "another")
    local_built = mini.build("act", *settings, engine=LocalEngine())
    for name, status in docker_built.items():
        assert (name, status.artifact.key, status.artifact.digest) == (
            name,
            local_built[name].artifact.key,
            local_built[name].artifact.digest,
        )
        assert status.artifact.manifest["engine"] != local_built[name].artifact.manifest["engine"]


def test_it_writes_nowhere_but_into_its_output(mini):
    assert notes(mini, "write_outside")["written"] == []


def test_it_has_no_network(mini):
    told = notes(mini, "reach_out")
    assert (told["reached"], told["interfaces"]) == ([], ["lo"])


def test_it_is_not_root_has_no_capability_and_sees_nothing_of_the_user(mini, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    told = notes(mini, "who_am_i")
    assert told["uid"] != 0
    assert told["gid"] != 0
    assert set(told["capabilities"]) == {"0"}
    assert told["no_new_privs"] == "1"
    assert told["tries"] == {"become root": "refused", "give away": "refused", "make a device": "refused"}
    assert told["home"] == []
    assert "secret" not in json.dumps(told["environ"])


def test_what_it_wrote_belongs_to_this_user(mini):
    mini.build("act", "act.do=who_am_i")
    for path in [mini.workspace.root, *mini.workspace.root.rglob("*")]:
        assert (path.lstat().st_uid, path.lstat().st_gid) == (os.getuid(), os.getgid()), path


def test_processes_without_end_are_limited(mini):
    assert 1 <= notes(limit(mini, pids=40), "fork_without_end")["children"] < 40
    assert mini.containers() == []


def with_a_variant(mini):
    """The stage `act` in a variant of its image that is handed the graphics processors."""
    folder = mini.root / "docker"
    with (folder / "images.yaml").open("a") as stream:
        stream.write("  host-gpu: {help: With graphics processors., extends: host, gpus: all}\n")
    (folder / "locks" / "host-gpu.lock").write_bytes((folder / "locks" / "host.lock").read_bytes())
    path = mini.root / "pipelines" / "act.yaml"
    path.write_text(path.read_text().replace("act: {", "act: {image: host-gpu, "))
    mini.pin()
    return mini


@pytest.mark.parametrize(
    ("ask", "option"),
    [(lambda mini: limit(mini, gpus=2), "--gpus=2"), (with_a_variant, "--gpus=all")],
    ids=["by the stage", "by the image"],
)
def test_gpus_are_asked_for(mini, ask, option):
    """Where the daemon has none, it says so; the stage does not run without them."""
    if "nvidia" in docker("info", "-f", "{{json .Runtimes}}").stdout:
        pytest.skip("this daemon has graphics processors")
    with pytest.raises(EngineError, match="refused to start a container") as raised:
        ask(mini).build("act")
    assert "gpu" in raised.value.found
    assert option in raised.value.where


def test_out_of_memory_is_told_as_what_it_is(mini):
    with pytest.raises(StageFailedError, match=r"needed more memory than its limit of 0\.0625 GiB and was killed") as raised:
        limit(mini, memory="64MiB").build("act", "act.do=eat_memory")
    assert "exit status: 137" in str(raised.value)


def test_a_child_that_was_killed_for_memory_is_no_failure_of_the_stage(mini):
    """Docker says OOMKilled here too."""
    limit(mini, memory="96MiB").build("act", "act.do=eat_memory_in_a_child")
    assert (mini.workspace.pipelines / "act" / "act" / "model.bin").is_file()


@pytest.mark.parametrize(
    ("do", "parts"),
    [
        ("exit_3", ["its program ended without saying why", "exit status: 3", "the last words"]),
        ("nothing", ["it exited with 0, but left nothing"]),
        ("stub", ["not a valid model", "at least 16 bytes"]),
        ("crash", ["ZeroDivisionError: division by zero", "exit status: 1"]),
        ("kill_self", ["it was killed by signal 9", "exit status: 137", "before the end"]),
        ("stage_error", ["the third record is wrong", "records.csv:3", "remove the comma"]),
    ],
)
def test_a_bad_stage_is_named_and_nothing_of_it_is_published(mini, do, parts):
    with pytest.raises(StageFailedError) as raised:
        mini.build("act", f"act.do={do}")
    for part in [*parts, "command: docker run --rm", "log: "]:
        assert part in str(raised.value)
    assert list(mini.workspace.artifacts.glob("act/*")) == []
    assert mini.containers() == []


def test_the_command_that_a_failure_names_does_the_same(mini, capfd):
    """As a person would: paste it into a shell."""
    with pytest.raises(StageFailedError) as raised:
        mini.build("act", "act.do=stage_error")
    command = re.search(r"command: (docker run .*)", str(raised.value))[1]
    work = only([path for path in mini.workspace.work.glob("act/*") if path.is_dir()])
    for path in [work, *work.rglob("*")]:
        path.chmod(0o777)
    assert os.waitstatus_to_exitcode(os.system(command)) == 1  # what a person does
    assert "the third record is wrong" in capfd.readouterr().err


@pytest.fixture
def impatient(monkeypatch):
    """Wait less between the signals that ask a stage to stop."""
    from edgemill.engines import process

    monkeypatch.setattr(process, "PATIENCE_SECONDS", tuple((signum, 1.0) for signum, _ in process.PATIENCE_SECONDS))


@pytest.mark.parametrize("do", ["sleep", "stubborn"])
def test_a_stage_that_takes_too_long_ends(mini, impatient, do):
    path = mini.stages / "act" / "stage.yaml"
    path.write_text(path.read_text().replace("timeout: 20", "timeout: 1"))
    with pytest.raises(StageFailedError, match="it took longer than its limit of 1 s"):
        mini.build("act", f"act.do={do}")
    assert mini.containers() == []


@pytest.mark.parametrize(("do", "presses"), [("sleep", 1), ("stubborn", 2)])
def test_ctrl_c_stops_a_stage(mini, do, presses):
    said = io.StringIO()
    job = mini.job("act", f"act.do={do}", stream=said)

    def press():
        wait_until(lambda: "sleeping" in said.getvalue(), "the stage")
        for _ in range(presses):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(StoppedError):
        job.run()
    presser.join()
    assert mini.containers() == []


def test_output_comes_while_the_stage_runs(mini):
    process = mini.start("build", "-p", "act", "--engine", "docker", "--set", "act.do=sleep")
    try:
        wait_until(lambda: "sleeping" in mini.output, "the stage's words")
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert mini.containers() == []


@pytest.fixture
def killed(mini):
    """A build whose host process was killed while its stage ran; the container runs on."""
    process = mini.start("build", "-p", "act", "--engine", "docker", "--set", "act.do=stubborn")
    wait_until(lambda: "sleeping" in mini.output, "the stage")
    process.kill()
    process.wait()
    assert len(mini.containers()) == 1
    return mini


def test_the_next_run_ends_what_a_killed_one_left(killed):
    left = only(killed.containers())
    killed.build("act", "act.do=well")
    assert left not in killed.containers()


def test_so_does_a_run_with_another_engine_on_the_same_artifact(killed):
    from edgemill.engines.local import LocalEngine

    job = killed.job("act", "act.do=stubborn", engine=LocalEngine())
    timer = threading.Timer(3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer2 = threading.Timer(4, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start(), timer2.start()
    with pytest.raises(StoppedError):
        job.run()
    timer2.join()
    assert killed.containers() == []


def test_containers_of_other_live_processes_are_left_alone(mini):
    process = mini.start("build", "-p", "act", "--engine", "docker", "--set", "act.do=sleep")
    try:
        wait_until(lambda: "sleeping" in mini.output, "the stage")
        DockerEngine().prepare(mini.image(), print)
        assert len(mini.containers()) == 1
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def test_a_container_that_is_taken_away_is_a_failure_and_no_success(mini):
    said = io.StringIO()
    job = mini.job("act", "act.do=sleep", stream=said)

    def take():
        wait_until(lambda: "sleeping" in said.getvalue(), "the stage")
        docker("rm", "-f", only(mini.containers()))

    taker = threading.Thread(target=take)
    taker.start()
    with pytest.raises(StageFailedError, match=r"killed by signal 9|went away while it ran"):
        job.run()
    taker.join()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_user_who_is_not_root_gets_files_of_their_own(mini, tmp_path_factory):
    """Uid 1234 and gid 2345, through a socket that they may use."""

    import docker as _docker  # noqa: F401  what a user who cannot read our environment could not import later

    place = Path(tempfile.mkdtemp(prefix="edgemill-user-"))
    place.chmod(0o755)
    wire = Wire(place / "docker.sock", os.environ["DOCKER_HOST"].removeprefix("unix://"))
    (place / "docker.sock").chmod(0o666)
    shutil.copytree(mini.root, place / "project")
    for path in [place, *place.rglob("*")]:
        os.chown(path, 1234, 2345, follow_symlinks=False)

    def as_user():
        os.setgroups([])
        os.setgid(2345)
        os.setuid(1234)
        own = {"EDGEMILL_ENVS": "envs", "EDGEMILL_STAND_INS": "project/docker/stand-ins.yaml", "HOME": ".", "BUILDX_CONFIG": "buildx"}
        os.environ |= {"DOCKER_HOST": wire.address, **{name: str(place / path) for name, path in own.items()}}
        mini.root, mini.stages = place / "project", place / "project" / "stages"
        mini.workspace = Workspace(place / "project" / "workspace")
        mini.build("act", "act.do=who_am_i")

    try:
        assert in_child(as_user) == 0
        told = json.loads((place / "project" / "workspace" / "pipelines" / "act" / "act" / "notes.json").read_text())
        assert (told["uid"], told["gid"]) == (1234, 2345)
        for path in (place / "project" / "workspace").rglob("*"):
            assert (path.lstat().st_uid, path.lstat().st_gid) == (1234, 2345), path
    finally:
        wire.cut()
        shutil.rmtree(place)


class Wire:
    """A socket beside the daemon's that hands everything on until it is cut: how a daemon that goes away looks to its clients."""

    def __init__(self, path, target):
        self.address = f"unix://{path}"
        self._target, self._open = target, []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                daemon = socket.socket(socket.AF_UNIX)
                daemon.connect(self._target)
                self._open += [client, daemon]
                for one, other in ((client, daemon), (daemon, client)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one, other):
        with contextlib.suppress(OSError):
            while block := one.recv(65536):
                other.sendall(block)
            other.shutdown(socket.SHUT_WR)

    def cut(self):
        for end in [self._server, *self._open]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def test_a_daemon_that_goes_away_is_told_as_what_it_is_and_its_container_ended_later(mini, tmp_path):
    wire = Wire(tmp_path / "wire.sock", os.environ["DOCKER_HOST"].removeprefix("unix://"))
    said = io.StringIO()
    engine = DockerEngine(daemon=Daemon(wire.address, "a test", None))
    job = mini.job("act", "act.do=sleep", stream=said, engine=engine)

    def cut():
        wait_until(lambda: "sleeping" in said.getvalue(), "the stage")
        wire.cut()

    cutter = threading.Thread(target=cut)
    cutter.start()
    with pytest.raises(StageFailedError, match="its engine went away while it ran, so how it ended is not known") as raised:
        job.run()
    cutter.join()
    assert "exit status: 125" in str(raised.value)
    assert wire.address in str(raised.value)
    work = only([path for path in mini.workspace.work.glob("act/*") if path.is_dir()])
    assert len(mini.containers()) == 1
    DockerEngine().sweep(work)  # as the next run does before it works there
    assert mini.containers() == []


def test_a_full_disk_under_the_log_is_no_lost_daemon(mini, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("edgemill.console.OutputSplitter.feed", full)
    with pytest.raises(StageFailedError, match="could not be run or published: No space left on device"):
        mini.build("act", "act.do=warnings")
    assert mini.containers() == []


def test_no_daemon(mini, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
        with pytest.raises(EngineError) as raised:
            mini.build("act")
    assert raised.value.where == f"unix://{tmp_path}/nobody.sock (DOCKER_HOST)"
    assert "--engine local" in raised.value.remedy


@pytest.mark.parametrize("name", ["with spaces", "ünïcode-日本", "x" * 200, "with,comma", "with\"quote'"])
def test_any_workspace_path_will_do(mini, tmp_path, name):
    from edgemill.workspace import Workspace

    mini.workspace = Workspace(tmp_path / name)
    mini.build("act", "act.do=who_am_i")
    assert (mini.workspace.pipelines / "act" / "act" / "model.bin").is_file()


@pytest.mark.parametrize("place", ["/usr/share/work", "/etc/work", "/venv"])
def test_a_workspace_that_would_cover_the_image_is_refused(place):
    from pathlib import Path

    from edgemill.engines.docker_engine import check_place

    with pytest.raises(EngineError, match="under its own name"):
        check_place(Path(place))


def test_endings_have_names():
    assert {ending.name for ending in Ending} == {"EXITED", "KILLED", "OUT_OF_MEMORY", "LOST", "TIMEOUT", "STOPPED"}
