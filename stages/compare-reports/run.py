"""One HTML page about two runs: what each came to, and what differs between them."""

from importlib.metadata import version
from pathlib import Path

from compare_accuracy import comparison, protocols
from compare_pictures import gallery, shared_images
from compare_sides import alone, pairs, sides
from compare_stages import stage_rows
from compare_training import training_charts

from _report.evaluations import latencies
from _report.page import counted, render
from _runtime import run, write_text

TEMPLATES = Path(__file__).resolve().parent / "templates"


def main(task):
    """Compare, then render."""
    first, second = sides(task)
    accuracy = pairs(first, second, coco=True)
    names, told, shown = [first.name, second.name], list(alone(first, second)), []
    compared = []
    for number, (one, other) in enumerate(accuracy):
        artifacts = [
            next(each for each in side.artifacts.of("evaluation") if each.name == of["name"])
            for side, of in ((first, one), (second, other))
        ]
        compared.append(comparison(one, other, names, artifacts, number))
        pictures = _pictures((one, other), (first, second), task.params, number, len(accuracy), told)
        if pictures:
            shown.append(pictures)
        task.progress(number + 1, len(accuracy), "evaluation")
    html = render(
        TEMPLATES,
        "compare.html",
        {
            "sides": [first, second],
            "names": names,
            "facts": [side.facts() for side in (first, second)],
            "cards": _cards(compared, first, second),
            "unchecked": told,
            "accuracy": compared,
            "protocols": [each for pair in pairs(first, second, coco=False) for each in protocols(*pair)],
            "galleries": shown,
            "trainings": training_charts(first, second),
            "stages": stage_rows(first, second),
            "latencies": _latencies(first, second),
        },
    )
    write_text(task.output / "report.html", html)
    task.tools.update({name: version(name) for name in ("jinja2", "matplotlib", "pillow")})
    task.metrics.update(bytes=len(html.encode("utf-8")), pictures=sum(len(each["pictures"]) for each in shown))


def _pictures(pair, both, params, number, count, told):
    """A gallery of the pair, or None; what keeps pictures or numbers from being compared is added to `told`."""
    datasets = [side.artifacts.dataset_of(each["name"]) for side, each in zip(both, pair, strict=True)]
    split = pair[0]["split"]
    shared = None if None in datasets else shared_images(*datasets, split)
    if shared is None:
        told.append(f"Whether the split {split} has the same pictures in both is not known: a dataset is not among the artifacts.")
        return None
    told += _differences(shared, split, both)
    if any(each["matches"] is None for each in pair):
        told.append(f"What was found in each picture of the split {split} is not told by both evaluations: no pictures are compared.")
    made = gallery(pair, both, datasets, shared, params["pictures"], params["picture_bytes"] // count, number)
    return made if made and made["pictures"] else None


def _differences(shared, split, both):
    for side, only in zip(both, shared.alone, strict=True):
        if only:
            pictures = f"{counted(only, 'picture')} of the split {split} {'is' if only == 1 else 'are'}"
            yield f"{pictures} in {side.name} alone: the numbers are not of the same pictures."
    if shared.changed:
        pictures = f"{counted(shared.changed, 'picture')} of the split {split} {'has' if shared.changed == 1 else 'have'}"
        yield f"{pictures} other annotations in {both[1].name} than in {both[0].name}."


def _cards(compared, first, second):
    """The most telling differences: (label, second minus first, note); mAP@0.5 of each evaluation, and the size of the .tflite."""
    cards = []
    for each in compared:
        one, other, change = next((row[1:] for row in each["measures"] if row[0] == "mAP@0.5"), (None, None, None))
        cards.append({"label": f"mAP@0.5 on {each['split']}", "format": "metric", "values": (one, other), "change": change})
    sizes = [next((each.bytes_of("model.tflite") for each in side.artifacts.of("tflite")), None) for side in (first, second)]
    if None not in sizes:
        cards.append({"label": "size of the .tflite", "format": "bytes", "values": sizes, "change": None})
    return cards


def _latencies(first, second):
    """[(model, seconds an image of the first, of the second)] of the models that both have under the same name."""
    tables = [{each["name"]: each["timing"].get("seconds_per_image") for each in latencies(side.artifacts)} for side in (first, second)]
    return [(name, tables[0][name], tables[1][name]) for name in tables[0] if name in tables[1]]


if __name__ == "__main__":
    run(main)
