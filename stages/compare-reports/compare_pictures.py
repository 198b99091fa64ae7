"""Pictures that one run gets right and the other not, of the images that both have with the same annotations."""

import json
from typing import NamedTuple

from _detection.dataset import load
from _report.gallery import filters, frames, picture
from _report.matches import in_short, read_lines

_COMPARED = ("class", "bbox", "ignored")


class Shared(NamedTuple):
    """Images of a split in both datasets. same: {id in the first: id in the second} as text, of those with the same content; changed: how
    many of them have other annotations (they are not in `same`); alone: how many only the first, and only the second has.
    """

    same: dict
    changed: int
    alone: tuple


def shared_images(first, second, split):
    """The Shared of two dataset artifacts, or None where one of them lacks the split."""
    datasets = [load(each.path) for each in (first, second)]
    if any(split not in each.splits for each in datasets):
        return None
    tables = [{image["sha256"]: (str(image["id"]), _meaning(image)) for image in each.stream(split)} for each in datasets]
    both = [sha256 for sha256 in tables[0] if sha256 in tables[1]]
    same = {tables[0][each][0]: tables[1][each][0] for each in both if tables[0][each][1] == tables[1][each][1]}
    return Shared(same, len(both) - len(same), tuple(len(table) - len(both) for table in tables))


def _meaning(image):
    return sorted((item["class"], *item["bbox"], item["crowd"], item["group_of"]) for item in image["objects"])


def gallery(pair, sides, datasets, shared, count, budget, number):
    """What gallery.html takes of a pair of evaluations, or None where there is nothing to show. datasets: the two artifacts."""
    models = [each["models"][-1]["name"] if each["models"] else None for each in pair]
    if None in models or not all(each["matches"] for each in pair) or not count:
        return None
    dataset = load(datasets[0].path)
    tables = [_outcomes(each["matches"], model) for each, model in zip(pair, models, strict=True)]
    chosen = _chosen(*tables, shared.same, count)
    lines = [read_lines(each["matches"], [tables[place][row[place]].offset for row, _ in chosen]) for place, each in enumerate(pair)]
    wanted = {row[0] for row, _ in chosen}
    images = {str(image["id"]): image for image in dataset.stream(pair[0]["split"]) if str(image["id"]) in wanted}
    made = frames([dataset.path(images[row[0]]) for row, _ in chosen], budget)
    names, pictures = [side.name for side in sides], []
    for place, ((row, group), one, other, frame) in enumerate(zip(chosen, *lines, made, strict=True)):
        if frame is not None and _same_truth(one, other):
            told = {"truth": one["truth"], "models": {names[0]: one["models"][models[0]], names[1]: other["models"][models[1]]}}
            pictures.append(picture(f"c{number}-p{place}", images[row[0]]["name"], frame, told, dataset.classes, names, [group]))
    groups = [(side, f"only {name} is right") for side, name in zip(("first", "second"), names, strict=True)]
    return {
        "id": f"c{number}-gallery",
        "title": f"the split {pair[0]['split']}",
        "pictures": pictures,
        **filters(pictures, dataset.classes, names, groups),
    }


def _outcomes(path, model):
    """{image's id: its Seen, for one model alone}."""
    found, offset = {}, 0
    with open(path, "rb") as stream:
        for raw in stream:
            line = json.loads(raw)
            if model in line["models"]:
                seen = in_short({**line, "models": {model: line["models"][model]}}, offset)
                found[seen.id] = seen
            offset += len(raw)
    return found


def _chosen(first, second, same, count):
    """[((id in the first, id in the second), group)]: of those that one run alone gets right, where the other has the most errors."""
    groups = {"first": [], "second": []}
    for one, other in same.items():
        if one in first and other in second:
            errors = (first[one].errors, second[other].errors)
            if min(errors) == 0 < max(errors):
                groups["first" if errors[0] == 0 else "second"].append((-max(errors), one, other))
    half = {"first": count - count // 2, "second": count // 2}
    left = count - sum(min(half[name], len(group)) for name, group in groups.items())
    chosen = []
    for name, group in groups.items():
        most = min(len(group), half[name] + max(0, left))
        left -= max(0, most - half[name])
        chosen += [((one, other), name) for _, one, other in sorted(group, key=lambda each: each[0])[:most]]
    return chosen


def _same_truth(one, other):
    return [[each[key] for key in _COMPARED] for each in one["truth"]] == [[each[key] for key in _COMPARED] for each in other["truth"]]
