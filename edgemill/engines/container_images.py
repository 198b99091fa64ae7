"""Container images: built with BuildKit from what is pinned, recorded by ID, and never found by tag."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgemill import PROJECT, SCHEMA, VERSION
from edgemill.documents import check, load_yaml
from edgemill.engines.base_layouts import load_base
from edgemill.engines.daemon import find_daemon
from edgemill.engines.environments import environments_folder
from edgemill.engines.process import StopRequests, supervise
from edgemill.engines.seam import Ending, Say
from edgemill.errors import EngineError, ImageError
from edgemill.files import write_json
from edgemill.image_pins import BASES, check_pins, mirrored
from edgemill.images import DOCKER, Image
from edgemill.wheels import is_offline, source_for

SOURCE_DATE_EPOCH = 1700000000  # the time stamp of everything in an image; any will do, as long as it stays
BUILD_SECONDS = 3600.0
SAID_LINES = 14
LABEL = "org.edgemill."
STAND_INS = "EDGEMILL_STAND_INS"
_STAND_INS = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "stand_ins"],
    "properties": {
        "schema": {"const": SCHEMA},
        "stand_ins": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["image", "id", "reason"],
                "properties": {
                    "image": {"type": "string"},
                    "id": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
                    "reason": {"type": "string", "minLength": 1},
                },
            },
        },
    },
}


@dataclass(frozen=True)
class Built:
    """A built image: its ID, and the ID of the site's own image that stands in for the pinned base, None where none does."""

    image: str
    identity: str
    id: str
    stand_in: str | None


@dataclass(frozen=True)
class StandIn:
    """An image of this site's own that is used instead of a base that it cannot have."""

    image: str
    id: str
    reason: str


def stand_ins() -> Mapping[str, StandIn]:
    """The bases for which this site uses images of its own: EDGEMILL_STAND_INS, or docker/stand-ins.yaml. Raises RequestError."""
    path = Path(os.environ.get(STAND_INS) or DOCKER / "stand-ins.yaml")
    if not path.is_file() and STAND_INS not in os.environ:
        return {}
    document = load_yaml(path)
    check(document, _STAND_INS)
    return {base: StandIn(**fields) for base, fields in document.data["stand_ins"].items()}


def tag_of(image: Image) -> str:
    """The tag that people see. Nothing is run by it."""
    return f"edgemill/{image.name}:{image.identity[:16]}"


def record_path(image: Image) -> Path:
    """Where the ID of a built image is recorded; one built on a stand-in has a place of its own."""
    own = stand_ins().get(image.base)
    suffix = "" if own is None else f"-on-{own.id.removeprefix('sha256:')[:12]}"
    return environments_folder() / "docker" / f"{image.name}-{image.identity[:16]}{suffix}.json"


def recorded(image: Image) -> Built | None:
    """What was recorded when the image was built here or came with a bundle; None where it was not."""
    built = _read(record_path(image))
    return built if built is not None and built.identity == image.identity else None


def _read(path: Path) -> Built | None:
    try:
        fields = json.loads(path.read_bytes())
        return Built(*(fields[name] for name in ("image", "identity", "id", "stand_in")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def record(image: Image, image_id: str) -> Built:
    """Record a built image's ID."""
    own = stand_ins().get(image.base)
    built = Built(image.name, image.identity, image_id, own.id if own else None)
    path = record_path(image)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"schema": SCHEMA, **asdict(built)})
    return built


def outdated(images: Iterable[Image]) -> Iterator[tuple[Path, Built]]:
    """The records of images that none of `images` is, and what they record."""
    identities = {image.identity for image in images}
    for path in sorted((environments_folder() / "docker").glob("*.json")):
        built = _read(path)
        if built is not None and built.identity not in identities:
            yield path, built


def remove_image(path: Path, built: Built) -> bool:
    """Remove an image and its record; False where a container uses it."""
    done = subprocess.run([docker_program(), "rmi", "--force", built.id], capture_output=True, text=True, check=False)
    if done.returncode and image_id(built.id) is not None:
        return False
    path.unlink(missing_ok=True)
    return True


def image_id(reference: str) -> str | None:
    """The ID that the daemon has for a name or ID, None for an unknown one. Raises EngineError where no daemon answers."""
    daemon = find_daemon()
    try:
        found = daemon.get(f"/images/{urllib.parse.quote(reference, safe='/:@')}/json").get("Id")
    except (OSError, ValueError) as error:
        raise EngineError("the Docker daemon does not answer", where=daemon.address, found=str(error)) from None
    return None if found is None else str(found)


def docker_program() -> str:
    """The docker command. Raises ImageError."""
    found = shutil.which("docker")
    if found is None:
        raise ImageError("there is no docker command", where="PATH", remedy="install Docker's command line with its buildx plugin")
    return found


def build(image: Image, say: Say, stops: StopRequests, *, cache: bool = True, tag: str | None = None) -> str:
    """Build an image from what is pinned; returns its ID.

    The wheels come from the wheelhouse where that has all of them, and then the build has no network. The base comes from the registry, by
    digest; from a mirror or an OCI layout where EDGEMILL_BASES names one, by the same digest; or is this site's stand-in.

    Raises:
        ImageError: something is not as pinned, cannot be had, or does not build.
        StoppedError: the user asked for a stop.
    """
    check_pins(image)
    wheels = source_for(image.lock)
    with tempfile.TemporaryDirectory(prefix="edgemill-build-") as room:
        id_file = Path(room) / "id"
        command = [
            docker_program(),
            "buildx",
            "build",
            "--builder",
            "default",
            "--progress",
            "plain",
            "--load",
            "--provenance",
            "false",
            "--iidfile",
            str(id_file),
        ]
        command += ["--file", str(image.dockerfile), "--tag", tag or tag_of(image)]
        for name, value in _arguments(image).items():
            command += ["--build-arg", f"{name}={value}"]
        for name, place in _contexts(image, wheels).items():
            command += ["--build-context", f"{name}={place}"]
        quiet = wheels is not None and (is_offline() or all(deb_folder(deb) for deb in image.debs))
        command += ["--network", "none"] if quiet else []
        command += [] if cache else ["--no-cache"]
        say(f"building the image {image.name} ({'from what is here, with no network' if quiet else 'with the network'}; once)")
        _run([*command, str(image.dockerfile.parent.parent)], image, stops)
        # Where Docker keeps images in containerd's store, an image's ID is its manifest's digest, not what BuildKit writes.
        found = image_id(id_file.read_text(encoding="utf-8").strip()) or image_id(tag or tag_of(image))
        if found is None:
            raise ImageError(
                "the daemon does not have the image that was just built", where=image.name, remedy="run the same command again"
            )
        return found


def _arguments(image: Image) -> dict[str, str]:
    # Values that change without the image's parts would change its ID: the revision is the last one that touched them.
    arguments = {
        "SOURCE_DATE_EPOCH": str(SOURCE_DATE_EPOCH),
        "SOURCE": "edgemill",
        "REVISION": revision(image),
        "VERSION": VERSION,
        "IDENTITY": image.identity,
    }
    if image.gpus:
        arguments["IMAGE"] = image.name  # the Dockerfile is that of the image that it is a variant of
    for deb, sums in image.debs.items():
        arguments |= {"DEB": deb, "DEB_SHA256": sums or "", "APT_REPOSITORY": os.environ.get("EDGEMILL_APT_REPOSITORY", "")}
    return arguments


def revision(image: Image) -> str:
    """The last commit that touched the image's parts; `unknown` outside a git checkout."""
    parts = [*image.build_files, image.lock, *(image.patches.patches if image.patches else ())]
    command = ["git", "log", "-1", "--format=%H", "--", *map(str, parts)]
    try:
        done = subprocess.run(command, cwd=image.dockerfile.parent, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def _contexts(image: Image, wheels: Path | None) -> dict[str, str]:
    contexts = {} if wheels is None or not image.lock.stat().st_size else {"wheels": str(wheels)}
    for deb in image.debs:
        folder = deb_folder(deb)
        if folder is not None:
            contexts["deb"] = str(folder)
    pinned = f"{image.base}@{image.base_digest}"
    own = stand_ins().get(image.base)
    bases = os.environ.get(BASES, "")
    if own is not None:
        contexts[pinned] = "docker-image://" + _checked(image.base, own)
    elif bases.startswith("oci:"):
        contexts[pinned] = "docker-image://" + _under_own_name(image.base, load_base(Path(bases[4:]).absolute(), str(image.base_digest)))
    elif (mirror := mirrored(image.base)) is not None:
        contexts[pinned] = f"docker-image://{mirror}@{image.base_digest}"
    return contexts


def deb_folder(deb: str) -> Path | None:
    """The folder that holds a Debian package for an image: EDGEMILL_DEBS, or beside the Dockerfiles."""
    for folder in (Path(os.environ.get("EDGEMILL_DEBS") or DOCKER / "debs"), DOCKER):
        if (folder / deb).is_file():
            return folder
    return None


def _checked(base: str, own: StandIn) -> str:
    """The stand-in under a name of its own, so that nobody can move it between this check and the build."""
    found = image_id(own.image)
    if found != own.id:
        raise ImageError(
            f"the image that stands in for {base} is not the recorded one",
            where=own.image,
            expected=own.id,
            found=found or "no such image",
            remedy=f"./mill images.stand-in --base {base} --image {own.image} --reason TEXT records another",
        )
    return _under_own_name(base, own.id)


def _under_own_name(base: str, found: str) -> str:
    """A name of an image that only we use; BuildKit takes no IDs."""
    name = f"edgemill-base/{base.split(':', maxsplit=1)[0].replace('/', '-')}:{found.removeprefix('sha256:')[:12]}"
    subprocess.run([docker_program(), "tag", found, name], check=True, capture_output=True)
    return name


def _run(command: Sequence[str], image: Image, stops: StopRequests) -> None:
    output = bytearray()
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(SOURCE_DATE_EPOCH), "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    outcome = supervise(command, env=env, cwd=PROJECT, on_output=output.extend, timeout=BUILD_SECONDS, stops=stops)
    stops.check()
    if outcome.exit_code != 0 or outcome.ending is not Ending.EXITED:
        text = output.decode(errors="replace").strip()
        raise ImageError(
            f"the image {image.name!r} could not be built ({outcome.ending.value}, exit status {outcome.exit_code})",
            where=shlex.join([*command[:3], "…", "--file", str(image.dockerfile)]),
            found=_said(text),
            remedy=_remedy(text, image),
        )


def _said(text: str) -> str:
    """What the step that failed printed last, without BuildKit's step numbers and times; else the last lines of everything."""
    failed = re.search(r"(?m)^(#\d+) ERROR", text)
    lines = re.findall(rf"(?m)^{failed[1]} [\d.]+ (.*)$", text) if failed else []
    return "\n".join((lines or text.splitlines())[-SAID_LINES:])


def _remedy(text: str, image: Image) -> str:
    if "HASHES" in text or "Hashes" in text or "hashes are required" in text:
        return "a wheel is not the one that the lock pins: throw that wheel away, or review the lock"
    if f"{image.base}@" in text and ("resolve" in text or "not found" in text or "lookup" in text):
        return (
            "the base cannot be had: where the registry cannot be reached, EDGEMILL_BASES names a mirror (HOST/PATH) or an OCI layout "
            "(oci:FOLDER) that has it under the same digest, or ./mill images.stand-in records an image of this site's own"
        )
    if "buildx" in text and "unknown" in text:
        return "install Docker's buildx plugin"
    return "mend that, then run the same command again"


def write_stand_in(base: str, reference: str, reason: str) -> StandIn:
    """Record that this site's own image is used instead of a base. Raises ImageError where there is no such image."""
    found = image_id(reference)
    if found is None:
        raise ImageError("there is no such image", where=reference, remedy="docker image ls")
    path = Path(os.environ.get(STAND_INS) or DOCKER / "stand-ins.yaml")
    declared: dict[str, Any] = {name: asdict(own) for name, own in (stand_ins() if path.is_file() else {}).items()}
    own = StandIn(reference, found, reason)
    write_json(path, {"schema": SCHEMA, "stand_ins": {**declared, base: asdict(own)}})
    return own
