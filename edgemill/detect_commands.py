"""`detect`: what a pipeline's package finds in pictures and videos, by a stage that no pipeline names."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgemill.commands import Request
from edgemill.console import printable
from edgemill.data_commands import beyond, build_step
from edgemill.documents import display, parse_value
from edgemill.errors import RequestError, StageFailedError
from edgemill.workspace import MANIFEST

DETECT = "detect"
FOLDER = "detections"
SUMMARY = "summary.json"
TOLD = 10  # problems that are listed


def detect(
    request: Request,
    paths: Sequence[str],
    output: str = "",
    *,
    stage: str = "",
    threshold: str = "",
    every: int = 1,
    overwrite: bool = False,
) -> None:
    """Run a pipeline's package on pictures, videos and folders of them; copy the results into `output` and print what was found.

    output: a folder that is empty or not there (with `overwrite` any), else the first of detections, detections-2, … that is not there.

    Raises:
        RequestError: a path or an option is wrong.
        StageFailedError: some of them could not be read; the results of the others are there.
        EdgeMillError: as in `Build.run`.
    """
    if not paths:
        raise RequestError(
            "there is nothing to look at", expected="pictures, videos, or folders", remedy=f"./mill detect -p {request.pipeline} PATH"
        )
    sources = [_existing(path) for path in paths]
    folder = _place(output, sources, overwrite=overwrite)
    params: dict[str, Any] = {"paths": [str(source) for source in sources], "names": [printable(path) for path in paths], "every": every}
    if threshold:
        params["threshold"] = parse_value(threshold)
    pipeline = beyond(request, "package", stage, DETECT, params, "add the stage `package`")
    made = build_step(request, pipeline, DETECT)
    _copy(made, folder)
    summary = json.loads((made / SUMMARY).read_bytes())
    for line in summary["notes"]:
        print(f"note: {printable(line)}", file=sys.stderr)
    print(_counted(summary))
    for label, path in (("with boxes", folder), ("table", folder / "detections.csv"), ("COCO JSON", folder / "detections.json")):
        print(f"{label + ':':<12}{display(path)}")
    if summary["problems"]:
        _fail(summary["problems"], folder)


def _existing(path: str) -> Path:
    """Without links, because an engine shows a stage the place that a path names and no other."""
    try:
        path.encode()
        found = Path(path).expanduser().resolve(strict=True)
    except UnicodeEncodeError:
        raise RequestError("the path is not UTF-8", where=ascii(path), remedy="rename it, or name a folder above it") from None
    except (OSError, RuntimeError):
        raise RequestError("no such file or folder", where=path, remedy="give pictures, videos, or folders of them") from None
    return found


def _place(output: str, sources: Sequence[Path], *, overwrite: bool) -> Path:
    """The folder for the results. Raises RequestError where it may not be that."""
    folder = Path(output).expanduser().absolute() if output else _free(Path.cwd() / FOLDER)
    for source in sources:
        if folder.resolve().is_relative_to(source):
            raise RequestError(
                "the results would go among the pictures, and be read as such the next time",
                where=display(folder),
                expected=f"a folder outside of {display(source)}",
                remedy="--output FOLDER names another one",
            )
    if folder.exists() and not folder.is_dir():
        raise RequestError(
            "the results go into a folder, and this is a file", where=display(folder), remedy="--output FOLDER names another one"
        )
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise RequestError(
            "the folder for the results holds something already",
            where=display(folder),
            remedy="--output FOLDER names another one; --overwrite writes into it, over files of the same names",
        )
    return folder


def _free(folder: Path) -> Path:
    number, free = 1, folder
    while os.path.lexists(free):
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


def _copy(made: Path, folder: Path) -> None:
    """Copy the results out of the workspace, where nothing may be changed."""
    for path in sorted(made.rglob("*")):
        below = path.relative_to(made)
        if path.is_dir() or str(below) in (MANIFEST, SUMMARY):
            continue
        (folder / below).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / below)


def _counted(summary: Mapping[str, Any]) -> str:
    """`12 pictures, 1 video, 60 frames, 31 objects: queen 14, king 17`."""
    objects = summary["objects"]
    counts = [(summary[f"{word}s"], word) for word in ("picture", "video", "frame")] + [(sum(objects.values()), "object")]
    told = ", ".join(f"{number} {word}{'' if number == 1 else 's'}" for number, word in counts if number or word == "object")
    classes = ", ".join(f"{printable(name)} {number}" for name, number in sorted(objects.items(), key=lambda item: (-item[1], item[0])))
    return f"{told}: {classes}" if classes else told


def _fail(problems: Sequence[str], folder: Path) -> None:
    more = [f"and {len(problems) - TOLD} more"] if len(problems) > TOLD else []
    raise StageFailedError(
        f"not everything could be read ({len(problems)})",
        where="\n".join([*map(printable, problems[:TOLD]), *more]),
        remedy=f"mend or leave out what is named; what the others gave is in {display(folder)}",
    )
