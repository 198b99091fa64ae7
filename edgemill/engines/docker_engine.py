"""The Docker engine: a container for each stage, that sees its inputs (read-only) and its work folder, and nothing else."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgemill.engines import container_images, container_init, ownership
from edgemill.engines.daemon import Daemon, find_daemon
from edgemill.engines.process import POLL_SECONDS, StagedStop, StopRequests
from edgemill.engines.seam import Ending, Job, Outcome, Say
from edgemill.errors import EngineError, ImageError
from edgemill.images import Image

if TYPE_CHECKING:
    from docker.client import DockerClient
    from docker.models.containers import Container

API_SECONDS = 60
LOST = 125  # the exit status of `docker run` where the daemon, not the program, is at fault
WORK, OWNER, IDENTITY = (container_images.LABEL + name for name in ("work", "owner", "identity"))
TMP_BYTES = 1 << 30
ALL_GPUS = -1  # as Docker counts them
# Folders of the image that a host path, which a container sees under its own name, must not cover.
OF_THE_IMAGE = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/edgetpu", "/venv", "/proc", "/sbin", "/sys", "/usr")


class DockerEngine:
    """Runs stages in containers of a daemon on this machine."""

    name = "docker"
    isolation = "stages run in containers: no network, read-only inputs, no privileges, limits on memory, processors and processes"

    def __init__(self, stops: StopRequests | None = None, daemon: Daemon | None = None) -> None:
        self._stops = stops or StopRequests()
        self._daemon = daemon or find_daemon()
        self._opened: DockerClient | None = None
        self._info: dict[str, Any] = {}
        self._swept = False

    def lacks(self, image: Image, tools: Sequence[str]) -> str | None:
        """The first package from outside Debian that the image takes, and that neither an image nor a file here has."""
        if not tools or container_images.recorded(image) is not None:
            return None
        for deb, sums in image.debs.items():
            if sums is None:
                return f"{', '.join(tools)} comes in {deb}, whose sha256 is not pinned yet (./mill images.lock --deb FILE pins it)"
            if container_images.deb_folder(deb) is None and not os.environ.get("EDGEMILL_APT_REPOSITORY"):
                return f"{', '.join(tools)} comes in {deb}, which is not in docker/debs, and EDGEMILL_APT_REPOSITORY names no repository"
        return None

    def prepare(self, image: Image, say: Say) -> None:
        """Build the image if it is not there, and check that it is the recorded one."""
        self.built(image, say)

    def built(self, image: Image, say: Say) -> container_images.Built:
        """The image as `prepare` leaves it. Raises EngineError, ImageError."""
        client = self._client()
        self._sweep_dead(client)
        found = container_images.recorded(image)
        if found is not None and self._holds(client, image, found):
            return found
        fresh = container_images.record(image, container_images.build(image, say, self._stops))
        self._holds(client, image, fresh)  # a Dockerfile can forget the labels that an image is known by
        return fresh

    def _holds(self, client: DockerClient, image: Image, built: container_images.Built) -> bool:
        """Whether the daemon has the recorded image. Raises ImageError where its name is another one's, or its labels are not its own."""
        import docker.errors

        try:
            found = client.images.get(built.id)
        except docker.errors.ImageNotFound:
            found = None
        tagged = container_images.image_id(container_images.tag_of(image))
        if tagged is not None and tagged != built.id:
            raise ImageError(
                f"another image goes by the name of the image {image.name!r}",
                where=container_images.tag_of(image),
                expected=built.id,
                found=tagged,
                remedy=f"docker rmi {container_images.tag_of(image)}, then ./mill images.build --image {image.name}",
            )
        if found is not None and found.labels.get(IDENTITY) != image.identity:
            raise ImageError(
                f"the recorded image of {image.name!r} has another identity",
                where=built.id,
                expected=image.identity,
                found=str(found.labels.get(IDENTITY)),
                remedy=f"./mill images.build --image {image.name}",
            )
        return found is not None

    def run(self, job: Job, on_output: Callable[[bytes], None]) -> Outcome:
        """Run the stage's program in a container of its own."""
        begin = time.monotonic()
        client = self._client()
        built = container_images.recorded(job.image)
        if built is None:
            raise ImageError(f"the image {job.image.name!r} is gone", where=str(container_images.record_path(job.image)))
        settings = self._settings(job, built)
        command = as_command(settings)
        base = job.image.base if built.stand_in else f"{job.image.base}@{job.image.base_digest}"
        realised = {"image_id": built.id, "base": base, "stand_in": built.stand_in}
        with ownership.lent(job.work, self._user()):
            try:
                ending, code, note = self._supervise(client, settings, job, on_output)
            finally:
                with contextlib.suppress(*losses()):
                    self._remove(client, job.work)
        return Outcome(code, ending, command, time.monotonic() - begin, note, realised)

    def connect(self) -> DockerClient:
        """The client of the daemon. Raises EngineError where none answers."""
        return self._client()

    def describe(self, built: container_images.Built) -> str:
        """A built image in a line: its ID, its size, and what its base is. Raises EngineError."""
        size = self._client().images.get(built.id).attrs["Size"]
        return f"{built.id[:19]}, {size / 1e6:.0f} MB" + (f", on the stand-in {built.stand_in[:19]}" if built.stand_in else "")

    def sweep(self, work: Path) -> None:
        """Remove the containers that a dead run left on a work folder. Raises EngineError where the daemon does not answer."""
        self._remove(self._client(), work)

    def _supervise(
        self, client: DockerClient, settings: dict[str, Any], job: Job, on_output: Callable[[bytes], None]
    ) -> tuple[Ending, int, str | None]:
        staged = StagedStop(time.monotonic() + job.timeout, self._stops)
        self._stops.supervising = True
        try:
            with _calls():
                container, stream = self._start(client, settings, job)
            with contextlib.closing(stream):
                for block in self._watch(container, stream, staged):
                    on_output(block)
            with _calls():
                code = int(container.wait(timeout=API_SECONDS)["StatusCode"])
                container.reload()
        except _LostError as error:
            return Ending.LOST, LOST, f"the Docker daemon at {self._daemon.address}: {str(error)[:300]}"
        finally:
            self._stops.supervising = False
        return _verdict(container.attrs["State"], code, staged.ending)

    def _start(self, client: DockerClient, settings: dict[str, Any], job: Job) -> tuple[Container, Any]:
        """A started container, and its output from the first byte on. Raises EngineError where the daemon refuses it."""
        import docker.errors

        try:
            container = client.containers.create(**settings)
            stream = client.api.attach_socket(str(container.id), params={"stdout": 1, "stderr": 1, "stream": 1})
            container.start()
        except docker.errors.APIError as error:
            raise EngineError(
                "the daemon refused to start a container",
                where=f"{job.contract.name}: {shlex.join(as_command(settings))}",
                found=str(error.explanation or error),
                remedy="./mill doctor --engine docker tells what this daemon lacks",
            ) from None
        return container, stream

    def _watch(self, container: Container, stream: Any, staged: StagedStop) -> Iterator[bytes]:
        """The container's output as it comes, until it ends; signals it as `staged` says."""
        from docker.utils.socket import next_frame_header, read_exactly

        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while True:
                if selector.select(POLL_SECONDS):
                    with _calls():
                        _, size = next_frame_header(stream)
                        block = read_exactly(stream, size) if size > 0 else b""
                    if not block:
                        return
                    yield block
                signum = staged.due()
                if signum is not None:
                    with _calls():
                        self._signal(container, signum)

    def _signal(self, container: Container, signum: signal.Signals) -> None:
        import docker.errors

        with contextlib.suppress(docker.errors.APIError):  # it has ended meanwhile
            container.kill(signum.name)

    def _settings(self, job: Job, built: container_images.Built) -> dict[str, Any]:
        """What the container is made with. Paths have the same names inside, so that a message names a file that the user can open."""
        from docker.types import DeviceRequest, LogConfig, Mount

        reads = sorted({path.resolve() for path in job.reads})
        work = job.work.resolve()
        for path in (*reads, work):
            check_place(path)
        contract = job.contract
        mounts = [Mount(str(path), str(path), type="bind", read_only=True) for path in reads]
        mounts += [Mount(str(work), str(work), type="bind")]
        mounts += [Mount(str(path), str(path), type="bind", read_only=True) for path in (work / "source", job.task.resolve())]
        gpus = contract.gpus or (ALL_GPUS if job.image.gpus else 0)
        init, program = has_init(self._info), job.program.relative_to(job.source)
        cpus = min(contract.cpus, os.cpu_count() or 1)
        user = self._user()
        return {
            "image": built.id,
            "command": [*([] if init else _first()), "python", str(work / "source" / program), str(work / job.task.name)],
            "entrypoint": [],
            "user": f"{user[0]}:{user[1]}",
            "working_dir": str(work),
            "environment": {"HOME": "/tmp", "PYTHONPATH": str(work / "source"), **job.image.variables},  # noqa: S108  the container's own
            "mounts": mounts,
            "userns_mode": "host" if is_remapped(self._info) else None,
            "network_mode": "bridge" if contract.network else "none",
            "read_only": True,
            "tmpfs": {"/tmp": f"rw,nosuid,nodev,size={TMP_BYTES},mode=1777"},  # noqa: S108  the container's own
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "mem_limit": contract.memory,
            "memswap_limit": contract.memory,
            "nano_cpus": cpus * 10**9,
            "pids_limit": contract.pids,
            "device_requests": [DeviceRequest(count=gpus, capabilities=[["gpu"]])] if gpus else None,
            "init": init,
            "log_config": LogConfig(type="none"),  # its output goes to the run's log; the daemon keeps no second one
            "labels": {WORK: str(job.work), OWNER: ownership.this_process()},
        }

    def _user(self) -> tuple[int, int]:
        """Whom a stage runs as: this user. In a user namespace of this user's, that is the namespace's root."""
        return (0, 0) if is_rootless(self._info) else ownership.unprivileged()

    def _remove(self, client: DockerClient, work: Path) -> None:
        for container in client.containers.list(all=True, filters={"label": f"{WORK}={work}"}, ignore_removed=True):
            _remove(container)

    def _sweep_dead(self, client: DockerClient) -> None:
        """Remove, once, every container whose process on this machine is dead: a run that is never repeated leaves one too."""
        if self._swept:
            return
        self._swept = True
        for container in client.containers.list(all=True, filters={"label": OWNER}, ignore_removed=True):
            if not ownership.is_alive(container.labels[OWNER], running=container.status == "running"):
                _remove(container)

    def _client(self) -> DockerClient:
        import docker.errors

        import docker

        if self._opened is None:
            if self._daemon.problem:
                raise EngineError(
                    "no Docker daemon can be used",
                    where=f"{self._daemon.address} ({self._daemon.found})",
                    found=self._daemon.problem,
                    remedy="start it, or choose the local engine: --engine local",
                )
            os.environ.setdefault("DOCKER_HOST", self._daemon.address)  # so that the docker command speaks with the same one
        try:
            self._opened = self._opened or docker.DockerClient(base_url=self._daemon.address, timeout=API_SECONDS)
            self._info = self._info or self._opened.info()
            self._opened.ping()
        except losses() as error:
            raise EngineError(
                "the Docker daemon does not answer",
                where=self._daemon.address,
                found=str(error)[:300],
                remedy="start it, then run the same command again",
            ) from None
        return self._opened


def has_init(info: Mapping[str, Any]) -> bool:
    """Whether the daemon has docker-init (tini), the first process of a container that hands signals on."""
    return (info.get("InitCommit") or {}).get("ID") not in (None, "", "N/A")


def is_rootless(info: Mapping[str, Any]) -> bool:
    """Whether the daemon runs in a user namespace of its user's (Docker's and Podman's ways to say so)."""
    return bool(info.get("Rootless")) or any("rootless" in option for option in info.get("SecurityOptions") or ())


def is_remapped(info: Mapping[str, Any]) -> bool:
    """Whether a rootful daemon gives its containers other users than this machine's (`userns-remap`), who could not write for this one."""
    return any("name=userns" in option for option in info.get("SecurityOptions") or ())


def check_place(path: Path) -> None:
    """Raise EngineError where a host path cannot be shown to a container under its own name."""
    for taken in OF_THE_IMAGE:
        if path == Path(taken) or Path(taken) in path.parents:
            raise EngineError(
                "a folder cannot be shown to a container under its own name, which the image needs",
                where=str(path),
                remedy="move it, or choose the local engine: --engine local",
            )


def as_command(settings: dict[str, Any]) -> list[str]:
    """The `docker run` that does the same as a container made with `settings`."""
    command = [
        "docker",
        "run",
        "--rm",
        *(["--init"] if settings["init"] else []),
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
    ]
    command += [f"--user={settings['user']}", f"--network={settings['network_mode']}", f"--workdir={settings['working_dir']}"]
    command += [f"--memory={settings['mem_limit']}", f"--memory-swap={settings['memswap_limit']}", f"--pids-limit={settings['pids_limit']}"]
    command += [f"--cpus={settings['nano_cpus'] / 1e9:g}"]
    counts = [request["Count"] for request in settings["device_requests"] or ()]
    command += [f"--gpus={'all' if count == ALL_GPUS else count}" for count in counts]
    command += [f"--tmpfs={place}:{options}" for place, options in settings["tmpfs"].items()]
    for mount in settings["mounts"]:
        parts = f"type=bind,source={mount['Source']},target={mount['Target']}" + (",readonly" if mount["ReadOnly"] else "")
        command.append(f"--mount={parts}")
    command += [f"--env={name}={value}" for name, value in settings["environment"].items()]
    program = settings["command"] if settings["init"] else settings["command"][len(_first()) :]
    return [*command, settings["image"], *program]


def _first() -> list[str]:
    return ["python", "-I", "-c", Path(container_init.__file__).read_text(encoding="utf-8")]


def _verdict(state: dict[str, Any], code: int, ending: Ending) -> tuple[Ending, int, str | None]:
    """How a container ended. Docker says OOMKilled also where only a child of the program was killed, whatever the program did then."""
    note = None
    if state.get("OOMKilled"):
        if code == 128 + signal.SIGKILL and ending is Ending.EXITED:
            return Ending.OUT_OF_MEMORY, code, None
        note = "a process in the container was killed because the container's memory was used up"
    if state.get("Error"):
        note = f"Docker says: {state['Error']}"
    if (
        ending is Ending.EXITED
        and code > 128
        and code - 128 in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)
    ):
        return Ending.KILLED, code, note
    return ending, code, note


class _LostError(Exception):
    """The daemon is gone, or no longer answers."""


@contextlib.contextmanager
def _calls() -> Iterator[None]:
    """Tell a daemon that is gone from every other trouble, such as a full disk under the log."""
    try:
        yield
    except losses() as error:
        raise _LostError(str(error)) from error


def losses() -> tuple[type[Exception], ...]:
    """What the SDK raises where the daemon refuses or is gone."""
    import docker.errors
    import docker.utils.socket
    import requests

    return (docker.errors.DockerException, docker.utils.socket.SocketError, requests.exceptions.RequestException, OSError)


def _remove(container: Container) -> None:
    import docker.errors

    with contextlib.suppress(docker.errors.NotFound):
        try:
            container.remove(force=True, v=True)
        except docker.errors.APIError as error:
            if error.status_code != 409:  # 409: it is being removed already
                raise
