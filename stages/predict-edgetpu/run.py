"""Tell what the Edge TPU would run of a model, and refuse one of which too much would stay on the CPU."""

from pathlib import Path

from _edgetpu.prediction import predict
from _edgetpu.prediction_text import table_lines
from _edgetpu.targets import TARGETS
from _runtime import StageError, run, sha256_file, write_json, write_text
from _tflite.model import short_name


def main(task):
    """Write prediction.json and prediction.txt, which are kept for a model that is refused, too."""
    path, where = _model(task)
    prediction = predict(path.read_bytes(), TARGETS[task.params["target"]], where)
    model = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
    write_json(task.output / "prediction.json", dict(prediction.as_json(), model=model))
    write_text(task.output / "prediction.txt", "".join(line + "\n" for line in table_lines(prediction)))
    counts = {verdict: prediction.count(verdict) for verdict in ("mapped", "cpu", "unknown")}
    task.metrics.update(counts)
    if task.params["max_cpu_ops"] is not None:
        _gate(task, prediction, where)


def _model(task):
    """(path, its name in messages) of what is predicted about: the bound model or the given file."""
    model, path = task.input("model"), task.params["path"]
    if (model is None) == (path is None):
        raise StageError(
            "there is not exactly one model to predict about",
            "model, path",
            "a bound model or the path of a file",
            "neither" if model is None else "both",
            "bind `model` to a stage that makes a tflite, or give `path`",
        )
    return (Path(path), Path(path).name) if model is None else (model.path / "model.tflite", "model.tflite of %s" % model.name)


def _gate(task, prediction, where):
    most, allowed = task.params["max_cpu_ops"], set(task.params["allow"])
    if prediction.refused:
        refused = prediction.refused
        raise StageError(refused.what, refused.where, "a model that the compiler takes", refused.found, refused.remedy)
    left = [each for each in prediction.verdicts if each.verdict == "cpu" and each.op not in allowed]
    unsure = [each for each in prediction.verdicts if each.verdict == "unknown" and each.op not in allowed]
    worst = left + unsure if task.params["unknown"] == "refuse" else left
    if len(worst) > most:
        raise StageError(
            "more of the model would run on the CPU than max_cpu_ops allows",
            "%s, operator %d, %s" % (where, worst[0].index, short_name(worst[0].layer)),
            "%d operators or fewer besides %s" % (most, ", ".join(sorted(allowed)) or "none"),
            "%d on the CPU, %d unknown; first %s: %s" % (len(left), len(unsure), worst[0].op, worst[0].reason),
            "prediction.txt has the whole table; change the layers that it names, or raise max_cpu_ops",
        )
    if len(left) + len(unsure) > most:
        task.warn(
            "the gate max_cpu_ops %d holds only if the %d operators that are unknown are mapped; first operator %d, %s: %s"
            % (most, len(unsure), unsure[0].index, unsure[0].op, unsure[0].reason)
        )


if __name__ == "__main__":
    run(main)
