"""One HTML page about a run: nothing on it that was not read from an artifact or the task."""

from importlib.metadata import version

from example_pictures import boxes_above, pictures
from page import render
from report_artifacts import Artifacts
from report_dataset import datasets
from report_models import audits, compilations, evaluations, packages, tflites
from report_overview import graph, headline, stages, tools, unchecked, verdict, warnings
from report_training import configs, trainings

from _detection.dataset import load
from _runtime import run, write_text


def main(task):
    """Gather, then render; an artifact of a kind that is absent leaves its part of the page out."""
    artifacts = Artifacts(task.inputs("artifacts"))
    rows, models = stages(task.run, artifacts), tflites(artifacts)
    measured, packed = evaluations(artifacts), packages(artifacts)
    html = render(
        {
            "run": task.run,
            "rows": rows,
            "graph": graph(rows),
            "verdict": verdict(rows, measured, models),
            "cards": headline(measured, models, packed),
            "unchecked": unchecked(rows, artifacts, measured),
            "datasets": datasets(artifacts),
            "configs": configs(artifacts),
            "trainings": trainings(artifacts),
            "evaluations": measured,
            "galleries": _galleries(task, artifacts),
            "audits": audits(artifacts),
            "models": models,
            "compilations": compilations(artifacts),
            "packages": packed,
            "warnings": warnings(artifacts),
            "tools": tools(artifacts),
            "threshold": task.params["threshold"],
        }
    )
    write_text(task.output / "report.html", html)
    task.tools.update({name: version(name) for name in ("jinja2", "pillow")})
    task.metrics["bytes"] = len(html.encode("utf-8"))


def _galleries(task, artifacts):
    """Example pictures of each split that a model ran on: [{"split", "worst", "best"}]."""
    dataset, count = artifacts.first("dataset"), task.params["pictures"]
    if dataset is None or not count:
        return []
    by_split = {}
    for each in artifacts.of("detections"):
        by_split.setdefault(each.json("inference.json")["split"], []).append(each)
    galleries = []
    for split, models in by_split.items():
        # Cut down one by one: the lists of a large split are large.
        boxes = [(model.name, boxes_above(model.json("detections.json"), task.params["threshold"])) for model in models]
        galleries.append({"split": split, **pictures(load(dataset.path), split, boxes, count)})
        task.progress(len(galleries), len(by_split), "gallery")
    return galleries


if __name__ == "__main__":
    run(main)
