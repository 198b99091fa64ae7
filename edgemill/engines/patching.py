"""Applying a quilt series to installed packages: only to the expected files, with the expected result."""

from __future__ import annotations

import hashlib
import io
import logging
import shutil
import tempfile
from pathlib import Path

from edgemill.errors import ImageError
from edgemill.files import write_bytes
from edgemill.images import PatchSeries


def apply_series(series: PatchSeries, site_packages: Path) -> None:
    """Patch the series' targets below `site_packages`.

    Works on copies, and moves each file in once all of them are right, so that a file shared with a cache by a hard link is
    not written through.

    Raises:
        ImageError: a target is missing or not the expected one, a patch does not apply, touches another file, or gives another result.
    """
    with tempfile.TemporaryDirectory(prefix="edgemill-patch-") as name:
        room = Path(name)
        for target, (before, _) in series.targets.items():
            source = site_packages / target
            found = hashlib.sha256(source.read_bytes()).hexdigest() if source.is_file() else "no such file"
            if found != before:
                raise ImageError(
                    "a file to be patched is not the expected one",
                    where=str(source),
                    expected=before,
                    found=found,
                    remedy=f"the lock and the series {series.name!r} do not belong together: review both",
                )
            (room / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, room / target)
        for patch in series.patches:
            _apply(patch, room)
        _check_results(series, room)
        for target in series.targets:
            place = site_packages / target
            write_bytes(place, (room / target).read_bytes())
            for stale in place.parent.glob(f"__pycache__/{place.stem}.*.pyc"):
                stale.unlink()


def _apply(patch: Path, room: Path) -> None:
    import patch_ng

    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logger = logging.getLogger("patch_ng")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        parsed = patch_ng.fromfile(str(patch))
        applied = bool(parsed) and parsed.apply(strip=1, root=str(room), fuzz=False)
    except OSError as error:  # it removes or renames what is not there
        applied = False
        log.write(str(error))
    finally:
        logger.removeHandler(handler)
    if not applied:
        raise ImageError("a patch does not apply", where=str(patch), found=log.getvalue().strip() or "not a unified diff")


def _check_results(series: PatchSeries, room: Path) -> None:
    touched = {path.relative_to(room).as_posix() for path in room.rglob("*") if path.is_file()}
    for extra in sorted(touched - set(series.targets)):
        raise ImageError("a patch touches a file that targets.yaml does not list", where=f"series {series.name}: {extra}")
    for target, (_, after) in series.targets.items():
        found = hashlib.sha256((room / target).read_bytes()).hexdigest() if target in touched else "no such file"
        if found != after:
            raise ImageError("a patched file is not the expected one", where=f"series {series.name}: {target}", expected=after, found=found)
