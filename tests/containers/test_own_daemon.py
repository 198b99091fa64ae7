"""What is done to a daemon: killed while a stage runs, or out of disk. It is one of the test's own, with nothing in it."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from docker_mini import docker
from mini import only, wait_until

from edgemill.bundles.daemon import Daemon
from edgemill.engines import container_images
from edgemill.engines.daemon import Daemon as Address
from edgemill.engines.docker_engine import DockerEngine
from edgemill.errors import BundleError, StageFailedError

SMALL = 64 << 20  # bytes: less than any image here


class OwnDaemon:
    """dockerd with its data in a folder, and no network for its containers."""

    def __init__(self, folder, data):
        self.folder, self.data = folder, data
        self.address = f"unix://{folder}/docker.sock"
        self.process = None

    def start(self):
        # In a network of its own: a daemon without a bridge removes that of the one beside it.
        command = ["unshare", "--net", "dockerd", "--host", self.address, "--pidfile", str(self.folder / "pid")]
        command += ["--data-root", str(self.data), "--exec-root", str(self.folder / "exec")]
        command += ["--bridge", "none", "--iptables=false", "--ip6tables=false"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(lambda: docker("--host", self.address, "version", check=False).returncode == 0, "the daemon")

    def kill(self):
        """As the machine's own killer would: no chance to tidy up. Its containerd, which it started, goes on."""
        self.process.kill()
        self.process.wait()
        (self.folder / "pid").unlink(missing_ok=True)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.folder / "exec" / "containerd" / "containerd.pid").read_text()), signal.SIGTERM)
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):  # a killed one leaves its containers' file systems
            place = line.split()[1]
            if f"{place}/".startswith((f"{self.folder}/", f"{self.data}/")):
                subprocess.run(["umount", "-l", place], check=False, capture_output=True)


@pytest.fixture
def own(tmp_path):
    """own(data) starts a daemon with its data there."""
    if os.getuid() != 0 or shutil.which("dockerd") is None:
        missing = "a daemon of the test's own takes root and dockerd on PATH"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    folder = tmp_path / "own"
    folder.mkdir()
    daemons = []

    def call(data=None):
        daemon = OwnDaemon(folder, data or folder / "data")
        daemons.append(daemon)
        daemon.start()
        return daemon

    yield call
    for daemon in daemons:
        daemon.stop()
    shutil.rmtree(folder, ignore_errors=True)


def carry(image_id, address):
    """Load an image of the shared daemon into another one; it keeps its ID."""
    with subprocess.Popen(["docker", "save", image_id], stdout=subprocess.PIPE) as saved:
        subprocess.run(["docker", "--host", address, "load"], stdin=saved.stdout, check=True, capture_output=True)


@pytest.mark.slow
def test_a_daemon_that_is_killed_in_mid_stage_is_told_and_its_container_ended_by_the_next_run(mini, own):
    DockerEngine().prepare(mini.image(), print)
    built = container_images.recorded(mini.image())
    daemon = own()
    carry(built.id, daemon.address)
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", daemon.address)
        job = mini.job("act", "act.do=stubborn", stream=said, engine=DockerEngine(daemon=Address(daemon.address, "a test", None)))

        def kill():
            wait_until(lambda: "sleeping" in said.getvalue(), "the stage")
            daemon.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(StageFailedError, match="its engine went away while it ran, so how it ended is not known") as raised:
            job.run()
        killer.join()
        assert daemon.address in str(raised.value)
        assert "exit status: 125" in str(raised.value)
        daemon.start()
        work = only([path for path in mini.workspace.work.glob("act/*") if path.is_dir()])
        DockerEngine(daemon=Address(daemon.address, "a test", None)).sweep(work)
        assert mini.containers() == []
        mini.build("act", "act.do=well", engine=DockerEngine(daemon=Address(daemon.address, "a test", None)))
    assert (mini.workspace.pipelines / "act" / "act" / "model.bin").is_file()


@pytest.mark.slow
def test_a_full_disk_while_images_are_loaded_is_named(mini, own, tmp_path):
    DockerEngine().prepare(mini.image(), print)
    built = container_images.recorded(mini.image())
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(small)], check=True)
    try:
        daemon = own(small / "data")
        archive = subprocess.run(["docker", "save", built.id], check=True, capture_output=True).stdout
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_HOST", daemon.address)
            with pytest.raises(BundleError, match="could not load the images") as raised:
                Daemon().load(iter([archive]))
            assert "no space left on device" in str(raised.value)
            assert docker("image", "ls", "--quiet").stdout == ""
        daemon.stop()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
