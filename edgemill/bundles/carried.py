"""Finding the data that came with a bundle, under the name that a pipeline has for it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from edgemill import PROJECT

PLACES = PROJECT / "bundled" / "data.json"


def carried(path: str) -> str | None:
    """Where an installed bundle put what a pipeline means by an absolute path; None where no bundle brought it."""
    try:
        places = {str(entry["path"]): str(entry["place"]) for entry in json.loads(PLACES.read_bytes())["data"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    place = places.get(path) or places.get(Path(os.path.relpath(path, PROJECT)).as_posix())
    found = None if place is None else str(PROJECT / place)
    return found if found is not None and os.path.exists(found) else None
