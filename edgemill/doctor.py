"""`doctor`: what this machine has of what a pipeline needs, and what to do about the rest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edgemill.engines import environments
from edgemill.engines.choice import decide
from edgemill.engines.container_images import recorded
from edgemill.engines.docker_doctor import examine_daemon, examine_image
from edgemill.engines.pythons import find_python
from edgemill.engines.seam import Engine
from edgemill.errors import EdgeMillError, ImageError, StageFailedError
from edgemill.images import Image
from edgemill.pipelines import Pipeline
from edgemill.wheels import is_offline, lacking
from edgemill.workspace import Workspace

LEAST_FREE_BYTES = 5 << 30  # the images' environments and the demo's artifacts take about 2 GiB


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `fatal`: the pipeline cannot be built like this."""

    good: bool
    text: str
    fatal: bool = True


def examine(pipeline: Pipeline, workspace: Workspace, engine: Engine, named: str | None = None, *, verify: bool = False) -> None:
    """Print a line for each thing looked at; `named` is the engine that the command line names.

    Raises:
        StageFailedError: something that the pipeline needs is missing.
    """
    missing = 0
    for finding in _findings(pipeline, workspace, engine, named, verify=verify):
        print(f"  {'ok     ' if finding.good else 'missing' if finding.fatal else 'note   '}  {finding.text}")
        missing += not finding.good and finding.fatal
    if missing:
        raise StageFailedError(
            f"the pipeline {pipeline.name!r} cannot be built on this machine as it is", found=f"{missing} missing (see above)"
        )


def _findings(pipeline: Pipeline, workspace: Workspace, engine: Engine, named: str | None, *, verify: bool) -> Iterator[Finding]:
    choice = decide(named, pipeline.engine)
    yield Finding(True, f"engine {choice.name}, because {choice.why}; {engine.isolation}")
    images = {step.image.name: step.image for step in pipeline.steps.values()}
    if engine.name == "docker":
        yield from (Finding(*said) for said in examine_daemon())
        yield from (Finding(*said) for image in images.values() for said in examine_image(image))
    else:
        for image in images.values():
            yield _environment(image, verify=verify)
    yield _offline(images.values(), engine)
    for step in pipeline.steps.values():
        reason = engine.lacks(step.image, step.contract.tools)
        if reason is not None:
            yield Finding(
                False,
                f"the stage {step.name!r} cannot run: {reason}" + ("; it is optional" if step.optional else ""),
                fatal=not step.optional,
            )
    root = workspace.root
    while not root.exists():
        root = root.parent
    free = shutil.disk_usage(root).free
    yield Finding(free >= LEAST_FREE_BYTES, f"{free / 2**30:.0f} GiB free for the workspace {workspace.root}")
    yield Finding(os.access(root, os.W_OK), f"{root} can be written")


def _offline(images: Iterable[Image], engine: Engine) -> Finding:
    """Whether all images could be made here without a network."""
    waiting = [image for image in images if not _is_there(image, engine) and lacking(image.lock)]
    names = ", ".join(image.name for image in waiting)
    if not waiting:
        return Finding(True, "ready without a network: every image is there, or the wheelhouse has its wheels")
    return Finding(False, f"not ready without a network: no wheels for {names} (./mill images.wheels gets them)", fatal=is_offline())


def _is_there(image: Image, engine: Engine) -> bool:
    return recorded(image) is not None if engine.name == "docker" else environments.is_made(image)


def _environment(image: Image, *, verify: bool) -> Finding:
    try:
        if environments.is_made(image):
            if verify:
                environments.verify(image)
            return Finding(
                True,
                f"image {image.name}: environment made{' and unchanged' if verify else ''}: {environments.environment_path(image).name}",
            )
        return Finding(True, f"image {image.name}: will be made with {find_python(image.python)}")
    except ImageError as error:
        return Finding(False, f"image {image.name}: {error}")
    except EdgeMillError as error:
        return Finding(False, f"image {image.name}: {error.what}")
