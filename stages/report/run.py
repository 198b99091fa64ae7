"""One HTML page about a run: nothing on it that was not read from an artifact or the task."""

from importlib.metadata import version
from pathlib import Path

from report_dataset import datasets
from report_edgetpu import cards, compilations, predictions
from report_models import audits, packages, tflites
from report_overview import graph, headline, stages, tools, unchecked, warnings
from report_pictures import galleries
from report_provenance import provenance
from report_training import configs, trainings

from _report.artifacts import Artifacts
from _report.evaluations import evaluations, latencies, readable
from _report.page import render
from _report.verdict import verdict
from _runtime import run, write_text

TEMPLATES = Path(__file__).resolve().parent / "templates"


def main(task):
    """Gather, then render; an artifact of a kind that is absent leaves its part of the page out."""
    artifacts = Artifacts(task.inputs("artifacts"))
    rows, models, packed = stages(task.run, artifacts), tflites(artifacts), packages(artifacts)
    found, predicted, compiled = evaluations(artifacts), predictions(artifacts), compilations(artifacts)
    shown = galleries(
        artifacts,
        readable(found, coco=True),
        task.params["pictures"],
        task.params["picture_bytes"],
        lambda done, every: task.progress(done, every, "gallery"),
    )
    states = [(row["name"], row["state"], row["optional"]) for row in rows]
    html = render(
        TEMPLATES,
        "report.html",
        {
            "run": task.run,
            "rows": rows,
            "graph": graph(rows),
            "verdict": verdict(states, found, [model["name"] for model in models if model["usable"] is False]),
            "cards": headline(found, models, packed) + cards(predicted, compiled),
            "unchecked": unchecked(rows, artifacts, found),
            "datasets": datasets(artifacts),
            "configs": configs(artifacts),
            "trainings": trainings(artifacts),
            "accuracy": [each for each in found if each["coco"]],
            "protocols": readable(found, coco=False),
            "latencies": latencies(artifacts),
            "galleries": shown,
            "audits": audits(artifacts),
            "models": models,
            "predictions": predicted,
            "compilations": compiled,
            "packages": packed,
            "warnings": warnings(artifacts),
            "provenance": provenance(artifacts),
            "tools": tools(artifacts),
        },
    )
    write_text(task.output / "report.html", html)
    task.tools.update({name: version(name) for name in ("jinja2", "matplotlib", "pillow")})
    task.metrics.update(bytes=len(html.encode("utf-8")), pictures=sum(len(each["pictures"]) for each in shown))


if __name__ == "__main__":
    run(main)
