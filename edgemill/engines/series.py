"""Applying a quilt series to installed packages: only to the expected files, with the expected result.

The local engine imports this module; an image's build runs it as a program inside the image (`series.py SERIES SITE_PACKAGES`).
So it needs nothing but patch_ng and Python 3.7.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Mapping, Sequence, Tuple  # noqa: UP035  Python 3.7 has no collections.abc generics

import patch_ng

TARGETS = "targets.json"


class SeriesError(Exception):
    """A series that cannot be applied: what, where, expected and found."""

    def __init__(self, what: str, where: str, expected: str | None = None, found: str | None = None) -> None:
        super().__init__(what)
        self.what, self.where, self.expected, self.found = what, where, expected, found

    def __str__(self) -> str:
        return "\n".join(f"  {name + ':':<10}{value}" for name, value in self.__dict__.items() if value)


def names(series: Path) -> Sequence[str]:
    """The patches that a quilt `series` file names, in order."""
    lines = (line.split("#")[0].strip() for line in series.read_text(encoding="utf-8").splitlines())
    return [name for name in lines if name]


def apply_patches(patches: Sequence[Path], targets: Mapping[str, Tuple[str, str]], site_packages: Path) -> None:  # noqa: UP006
    """Apply patches below `site_packages`; `targets` maps each file to its sha256 before and after all of them.

    Works on copies, and moves each file in once all of them are right, so that a file shared with a cache by a hard link is
    not written through.

    Raises:
        SeriesError: a target is missing or not the expected one, a patch does not apply, touches another file, or gives another result.
    """
    with tempfile.TemporaryDirectory(prefix="edgemill-patch-") as name:
        room = Path(name)
        for target, (before, _) in targets.items():
            source = site_packages / target
            found = _sha256(source)
            if found != before:
                raise SeriesError("a file to be patched is not the expected one", str(source), before, found)
            (room / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(source), str(room / target))
        for patch in patches:
            _apply(patch, room)
        _check_results(targets, room)
        for target in targets:
            place = site_packages / target
            fresh = place.with_name(place.name + ".patched")
            shutil.copyfile(str(room / target), str(fresh))
            os.chmod(str(fresh), 0o644)
            os.replace(str(fresh), str(place))
            for stale in place.parent.glob(f"__pycache__/{place.stem}.*.pyc"):
                stale.unlink()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no such file"


def _apply(patch: Path, room: Path) -> None:
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logger = logging.getLogger("patch_ng")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        parsed = patch_ng.fromfile(str(patch))
        # From the name of a file that a patch creates (or fills, where it was empty), patch_ng takes the b/ away before it strips.
        creates = bool(parsed) and all(item.source == b"/dev/null" for item in parsed.items)
        applied = bool(parsed) and parsed.apply(strip=0 if creates else 1, root=str(room), fuzz=False)
    except OSError as error:  # it removes or renames what is not there
        applied = False
        log.write(str(error))
    finally:
        logger.removeHandler(handler)
    if not applied:
        raise SeriesError("a patch does not apply", str(patch), found=log.getvalue().strip() or "not a unified diff")


def _check_results(targets: Mapping[str, Tuple[str, str]], room: Path) -> None:  # noqa: UP006
    touched = {path.relative_to(room).as_posix() for path in room.rglob("*") if path.is_file()}
    for extra in sorted(touched - set(targets)):
        raise SeriesError(f"a patch touches a file that {TARGETS} does not list", extra)
    for target, (_, after) in targets.items():
        found = _sha256(room / target)
        if found != after:
            raise SeriesError("a patched file is not the expected one", target, after, found)


def main(series: str, site_packages: str) -> None:
    """Apply the series in a folder. Exits with 1 and one message where it cannot be."""
    folder = Path(series)
    declared = json.loads((folder / TARGETS).read_text(encoding="utf-8"))["targets"]
    targets = {name: (sums["before"], sums["after"]) for name, sums in declared.items()}
    try:
        apply_patches([folder / name for name in names(folder / "series")], targets, Path(site_packages))
    except SeriesError as error:
        sys.exit(f"the patch series {folder.name} cannot be applied\n{error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
