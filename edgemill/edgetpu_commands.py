"""`edgetpu.predict`, `edgetpu.inspect`: what the Edge TPU would run of a model, and what is in a compiled one, told by stages."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from edgemill.commands import Request
from edgemill.console import printable
from edgemill.data_commands import alone, build_step, existing
from edgemill.documents import display, parse_value
from edgemill.errors import EdgeMillError
from edgemill.plan import make_plan

PREDICT, INSPECT = "predict-edgetpu", "inspect-edgetpu"


def predict(request: Request, path: str, target: str = "", max_cpu_ops: str = "", allow: Sequence[str] = (), unknown: str = "") -> None:
    """Print which operators of a .tflite the compiler would map; with `max_cpu_ops` fail where more are not. Raises EdgeMillError."""
    given = prediction_params(target, max_cpu_ops, allow, unknown)
    _tell(request, PREDICT, {"path": str(existing(path, "give a .tflite")), **given}, "prediction.txt")


def prediction_params(target: str, max_cpu_ops: str, allow: Sequence[str], unknown: str) -> dict[str, Any]:
    """Parameters of the stage that predicts, as options of the command line give them; an empty one is left out. Raises RequestError."""
    given: dict[str, Any] = {name: value for name, value in (("target", target), ("unknown", unknown)) if value}
    given |= {"max_cpu_ops": parse_value(max_cpu_ops)} if max_cpu_ops else {}
    return given | ({"allow": list(allow)} if allow else {})


def inspect(request: Request, path: str, target: str = "") -> None:
    """Print what is in a compiled model; with `target` fail where its runtime could not run it. Raises EdgeMillError."""
    given = {"path": str(existing(path, "give a compiled .tflite")), **({"target": target} if target else {})}
    _tell(request, INSPECT, given, "compiled.txt")


def _tell(request: Request, stage: str, params: dict[str, Any], table: str) -> None:
    """Run a stage by itself and print its table, also where it refused the model."""
    pipeline = alone(stage, params)
    try:
        folder = build_step(request, pipeline, stage)
    except EdgeMillError:
        status = make_plan(pipeline, request.place(), request.choose(pipeline))[stage]
        left = None if status.key is None else request.place().work_folder(stage, status.key) / "output" / table
        if left is not None and left.is_file():
            sys.stdout.write(_printable(left.read_text(encoding="utf-8")))
        raise
    sys.stdout.write(_printable((folder / table).read_text(encoding="utf-8")))
    print(f"all of it: {display(folder)}")


def _printable(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))
