"""What is predicted of models against what the real compiler made of them: right, unknown or wrong, operator by operator.

FOLDER holds pairs, X.tflite and X_edgetpu.tflite, as google-coral/test_data does. An operator was mapped where no operator of the compiled
model that runs on the CPU puts out its outputs. Also told: how much larger the compiler's parameters are than the model's.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from measure import load

PROJECT = Path(__file__).resolve().parents[1]
PAIRS = PROJECT.parent / "shared" / "data" / "edgetpu" / "pairs"
END = "_edgetpu.tflite"


def main() -> int:
    """Print a line for each pair and their sum. Returns 1 where a prediction is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=PAIRS)
    parser.add_argument("--target", default="coral-runtime-14")
    given = parser.parse_args()
    sys.path.insert(0, str(PROJECT / "stages"))  # standard library only, as the compiler's image has no more
    totals = {"right": 0, "unknown": 0, "wrong": 0}
    for compiled in sorted(given.folder.rglob("*" + END)):
        model = compiled.with_name(compiled.name[: -len(END)] + ".tflite")
        if not model.is_file():
            continue
        counts, ratio, seconds = judge(model.read_bytes(), compiled.read_bytes(), given.target)
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        print(f"{model.stem}: {told}; compiled parameters {ratio:.2f} times the model's; {seconds:.2f} s")
        totals = {name: totals[name] + count for name, count in counts.items()}
    print("in all: " + ", ".join(f"{count} {name}" for name, count in totals.items()) + f" (none may be wrong); {load()}")
    return 1 if totals["wrong"] else 0


def judge(model: bytes, compiled: bytes, target: str) -> tuple[dict[str, int], float, float]:
    """(operators by what became of their prediction, compiled parameters by those predicted, seconds of the prediction) of a pair."""
    from _edgetpu.compiled import mapped_operators, read_compiled  # type: ignore[import-not-found]
    from _edgetpu.prediction import predict  # type: ignore[import-not-found]
    from _edgetpu.targets import TARGETS  # type: ignore[import-not-found]
    from _tflite.model import read_model  # type: ignore[import-not-found]

    begin = time.perf_counter()
    prediction = predict(model, TARGETS[target])
    seconds = time.perf_counter() - begin
    counts = {"right": 0, "unknown": 0, "wrong": 0}
    after, packages = read_compiled(compiled)
    for verdict, mapped in zip(prediction.verdicts, mapped_operators(read_model(model), after), strict=True):
        if verdict.verdict == "unknown":
            counts["unknown"] += 1
        else:
            counts["right" if (verdict.verdict == "mapped") == mapped else "wrong"] += 1
    made = sum(package.cached + package.streamed for package in packages)
    return counts, made / max(1, prediction.parameter_bytes), seconds


if __name__ == "__main__":
    sys.exit(main())
