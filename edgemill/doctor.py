"""`doctor`: what this machine has of what a pipeline needs, and what to do about the rest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from edgemill.engines import environments
from edgemill.engines.pythons import find_python
from edgemill.engines.seam import Engine
from edgemill.errors import EdgeMillError, ImageError, StageFailedError
from edgemill.images import Image
from edgemill.pipelines import Pipeline
from edgemill.workspace import Workspace

LEAST_FREE_BYTES = 5 << 30  # the images' environments and the demo's artifacts take about 2 GiB


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `fatal`: the pipeline cannot be built like this."""

    good: bool
    text: str
    fatal: bool = True


def examine(pipeline: Pipeline, workspace: Workspace, engine: Engine, *, verify: bool = False) -> None:
    """Print a line for each thing looked at.

    Raises:
        StageFailedError: something that the pipeline needs is missing.
    """
    missing = 0
    for finding in _findings(pipeline, workspace, engine, verify=verify):
        print(f"  {'ok     ' if finding.good else 'missing' if finding.fatal else 'note   '}  {finding.text}")
        missing += not finding.good and finding.fatal
    if missing:
        raise StageFailedError(
            f"the pipeline {pipeline.name!r} cannot be built on this machine as it is", found=f"{missing} missing (see above)"
        )


def _findings(pipeline: Pipeline, workspace: Workspace, engine: Engine, *, verify: bool) -> Iterator[Finding]:
    yield Finding(True, f"engine {engine.name}; {engine.isolation}")
    images = {step.image.name: step.image for step in pipeline.steps.values()}
    for image in images.values():
        yield _environment(image, verify=verify)
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
