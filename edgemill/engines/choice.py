"""Which engine runs the stages."""

from __future__ import annotations

import os

from edgemill.documents import unknown_name
from edgemill.engines.local import LocalEngine
from edgemill.engines.process import StopRequests
from edgemill.engines.seam import Engine

ENGINES = {"local": LocalEngine}
DEFAULT = "local"
VARIABLE = "EDGEMILL_ENGINE"


def choose_engine(named: str | None, by_pipeline: str | None, stops: StopRequests) -> Engine:
    """The engine named on the command line, in EDGEMILL_ENGINE, in the pipeline, or else the local one. Raises RequestError."""
    for name, where in ((named, "--engine"), (os.environ.get(VARIABLE), VARIABLE), (by_pipeline, "the pipeline's `engine`"), (DEFAULT, "")):
        if name:
            if name not in ENGINES:
                raise unknown_name("engine", name, ENGINES, where)
            return ENGINES[name](stops)
    raise AssertionError("unreachable: there is a default")
