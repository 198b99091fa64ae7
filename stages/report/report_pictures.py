"""The page's pictures: of each evaluation that tells what was found in each, the ones that are worth a look."""

from _detection.dataset import load
from _report.gallery import filters, frames, images_of, picture
from _report.matches import choose, read_lines, scan

GROUPS = [("worst", "worst"), ("differing", "models differ"), ("best", "best")]


def galleries(artifacts, found, count, budget, progress):
    """A gallery for each evaluation with matches: what gallery.html takes, and {"of", "threshold"}.

    found: of `evaluations.readable`, COCO's; count: pictures of each; budget: bytes of all JPEGs; progress: called with (done, all).
    """
    shown, made = [each for each in found if each["matches"]], []
    if artifacts.first("dataset") is None or not count:
        return []
    for number, each in enumerate(shown, 1):
        dataset = load(artifacts.dataset_of(each["name"]).path)
        made.append(_gallery(dataset, each, count, budget // len(shown)))
        progress(number, len(shown))
    return [gallery for gallery in made if gallery["pictures"]]


def _gallery(dataset, evaluation, count, budget):
    seen = list(scan(evaluation["matches"]))
    choice = choose(seen, count)
    chosen = choice.all()
    lines = read_lines(evaluation["matches"], [each.offset for each in chosen])
    images = images_of(dataset, evaluation["split"], {each.id for each in chosen})
    made = frames([dataset.path(images[each.id]) if each.id in images else None for each in chosen], budget)
    groups = {"worst": {each.offset for each in choice.worst}, "best": {each.offset for each in choice.best}}
    pictures = []
    for number, (each, line, frame) in enumerate(zip(chosen, lines, made, strict=True)):
        if frame is not None:
            words = [word for word, offsets in groups.items() if each.offset in offsets] + ["differing"] * bool(each.differ)
            name = images[each.id]["name"]
            pictures.append(picture(f"{evaluation['id']}-p{number}", name, frame, line, dataset.classes, evaluation["names"], words))
    return {
        "id": f"{evaluation['id']}-gallery",
        "title": evaluation["title"],
        "pictures": pictures,
        "of": len(seen),
        "threshold": evaluation["threshold"],
        **filters(pictures, dataset.classes, evaluation["names"], GROUPS),
    }
