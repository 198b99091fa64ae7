"""`edgetpu.predict`, `edgetpu.inspect`: what the Edge TPU would run of a model, and what is in a compiled one, told by stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgemill.commands import Request
from edgemill.data_commands import alone, existing, tell_step
from edgemill.documents import parse_value

PREDICT, INSPECT = "predict-edgetpu", "inspect-edgetpu"


def predict(request: Request, path: str, target: str = "", max_cpu_ops: str = "", allow: Sequence[str] = (), unknown: str = "") -> None:
    """Print which operators of a .tflite the compiler would map; with `max_cpu_ops` fail where more are not. Raises EdgeMillError."""
    given = prediction_params(target, max_cpu_ops, allow, unknown)
    tell_step(request, alone(PREDICT, {"path": str(existing(path, "give a .tflite")), **given}), PREDICT, "prediction.txt")


def prediction_params(target: str, max_cpu_ops: str, allow: Sequence[str], unknown: str) -> dict[str, Any]:
    """Parameters of the stage that predicts, as options of the command line give them; an empty one is left out. Raises RequestError."""
    given: dict[str, Any] = {name: value for name, value in (("target", target), ("unknown", unknown)) if value}
    given |= {"max_cpu_ops": parse_value(max_cpu_ops)} if max_cpu_ops else {}
    return given | ({"allow": list(allow)} if allow else {})


def inspect(request: Request, path: str, target: str = "") -> None:
    """Print what is in a compiled model; with `target` fail where its runtime could not run it. Raises EdgeMillError."""
    given = {"path": str(existing(path, "give a compiled .tflite")), **({"target": target} if target else {})}
    tell_step(request, alone(INSPECT, given), INSPECT, "compiled.txt")
