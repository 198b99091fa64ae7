"""The pictures that are worth a look are chosen, small enough, and shown with every box as what it is."""

import base64
import io
import json

import pytest
from _report.gallery import SIDE, Frame, frames, picture
from _report.matches import choose, in_short, read_lines, scan
from hypothesis import given
from hypothesis import strategies as st
from page_text import SVG, words
from PIL import Image
from run_files import box, read, write

CLASSES = ["cat", "dog"]
CAT, DOG = {"class": "cat", "bbox": [0, 0, 50, 40], "ignored": False}, {"class": "dog", "bbox": [50, 40, 100, 80], "ignored": False}
CROWD = {"class": "cat", "bbox": [0, 40, 50, 80], "ignored": True}


def hit(name="cat", index=0, score=0.9):
    return box(name, score, [0, 0, 50, 40], "correct", index)


def wrong(kind, name="cat", index=None, score=0.6):
    return box(name, score, [10, 10, 60, 50], kind, index)


def line(number=1, truth=(CAT,), **models):
    """A line of matches.jsonl; models: (found boxes, missed indices) of each."""
    return {
        "id": number,
        "truth": list(truth),
        "models": {name: {"found": list(found), "missed": list(missed)} for name, (found, missed) in models.items()},
    }


# What a picture shows.


@pytest.mark.parametrize(
    ("models", "errors", "right", "differ"),
    [
        ({"a": ([hit()], [])}, 0, 1, 0),
        ({"a": ([], [0])}, 1, 0, 0),
        ({"a": ([hit(), wrong("background"), wrong("duplicate", index=0)], [])}, 2, 1, 0),
        ({"a": ([hit(), box("cat", 0.5, CROWD["bbox"], "ignored", None)], [])}, 0, 1, 0),
        ({"a": ([hit()], []), "b": ([hit()], [])}, 0, 1, 0),
        ({"a": ([hit()], []), "b": ([], [0])}, 1, 0, 1),
        ({"a": ([hit(), wrong("background")], []), "b": ([hit()], [])}, 1, 1, 1),
        ({"a": ([wrong("background", "dog")], [0]), "b": ([wrong("background", "cat")], [0])}, 2, 0, 2),
        ({}, 0, 0, 0),
    ],
)
def test_a_picture_in_short_counts_the_worst_models_errors_and_what_models_differ_in(models, errors, right, differ):
    seen = in_short(line(**models))
    assert (seen.errors, seen.right, seen.differ) == (errors, right, differ)


def test_an_error_belongs_to_the_class_that_was_found_and_to_the_one_that_is_there():
    seen = in_short(line(truth=[CAT, DOG], a=([wrong("classification", "dog", 0)], [1])))
    assert seen.errors_of == {("a", "dog", "classification"), ("a", "cat", "classification"), ("a", "dog", "missed")}


# Which pictures.


def worse(number, errors, name="cat"):
    return line(number, a=([wrong("background", name)] * errors, []))


def numbers(choice):
    return [[int(each.id) for each in part] for part in choice]


def chosen(lines, count):
    return choose([in_short(each, offset) for offset, each in enumerate(lines)], count)


def test_half_are_the_worst_a_quarter_differs_a_quarter_is_the_best():
    lines = [worse(number, number) for number in range(1, 11)]
    lines += [line(number, a=([hit()], []), b=([], [0])) for number in range(11, 21)]
    lines += [line(number, a=([hit(score=number / 100)], [])) for number in range(21, 31)]
    assert numbers(chosen(lines, 8)) == [[10, 9, 8, 11], [12, 13], [30, 29]]  # 11 is the first picture with a missed object


def test_the_worst_have_the_most_errors_and_rare_errors_are_among_them():
    lines = [worse(number, 9 - number % 3) for number in range(1, 30)] + [worse(99, 1, "dog")]
    worst, _, _ = numbers(chosen(lines, 4))
    assert worst[0] == 3
    assert worst[-1] == 99  # the only dog


def test_the_best_have_no_error_and_the_most_right_boxes():
    few, many, flawed = (
        line(1, a=([hit()], [])),
        line(2, a=([hit(), hit()], [])),
        line(3, a=([hit()] * 5 + [wrong("duplicate", index=0)], [])),
    )
    assert numbers(chosen([few, many, flawed], 3))[2][0] == 2
    assert 3 not in numbers(chosen([few, many, flawed], 3))[2]


def test_a_share_that_is_not_used_up_goes_to_the_others():
    assert numbers(chosen([line(number, a=([hit()], [])) for number in range(1, 9)], 8)) == [[], [], list(range(1, 9))]
    assert [len(part) for part in numbers(chosen([worse(number, 1) for number in range(1, 9)], 8))] == [8, 0, 0]


def test_a_picture_without_objects_and_boxes_is_in_no_group():
    assert numbers(chosen([line(1, truth=(), a=([], []))], 4)) == [[], [], []]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), max_size=40), st.integers(0, 20))
def test_never_more_than_asked_for_none_twice_and_as_many_as_there_are(kinds, count):
    lines = [
        line(number, truth=[CAT] * 3, a=([hit()] * right + [wrong("background")] * errors, []), b=([hit()] * right, range(missed)))
        for number, (right, errors, missed) in enumerate(kinds)
    ]
    choice = chosen(lines, count)
    every = [each for part in numbers(choice) for each in part]
    worth = sum(bool(sum(kind)) for kind in kinds)
    assert len(every) == len(set(every)) == min(count, worth)
    assert [int(each.id) for each in choice.all()] == every


def test_lines_are_found_again_where_they_begin(tmp_path):
    lines = [line(number, a=([hit()] * number, [])) for number in range(5)]
    path = write(tmp_path / "matches.jsonl", "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines))
    seen = list(scan(path))
    assert list(read_lines(path, [seen[3].offset, seen[1].offset])) == [lines[3], lines[1]]


# Their JPEGs.


@pytest.fixture
def photos(tmp_path):
    """Three noisy pictures, which compress badly."""
    paths = []
    for number, size in enumerate([(1200, 800), (300, 900), (64, 48)]):
        paths.append(tmp_path / ("%d.jpg" % number))
        Image.effect_noise(size, 80).convert("RGB").save(paths[-1], quality=92)
    return paths


def data_of(frame):
    return base64.b64decode(frame.uri.removeprefix("data:image/jpeg;base64,"))


@pytest.mark.parametrize("budget", [10**7, 60000, 20000])
def test_all_jpegs_together_fit_into_their_bytes(photos, budget):
    made = frames(photos, budget)
    assert sum(len(data_of(frame)) for frame in made) <= budget
    assert all(Image.open(io.BytesIO(data_of(frame))).format == "JPEG" for frame in made)


def test_a_picture_keeps_its_shape_and_a_small_one_is_not_blown_up(photos):
    wide, tall, small = frames(photos, 10**7)
    assert (wide.width, wide.height) == (SIDE, pytest.approx(SIDE * 800 / 1200, abs=0.1))
    assert (tall.width, tall.height) == (pytest.approx(SIDE / 3, abs=0.1), SIDE)
    assert Image.open(io.BytesIO(data_of(small))).size == (64, 48)
    assert small.width == SIDE


def test_a_picture_that_is_not_there_has_no_frame(photos, tmp_path):
    assert [frame is None for frame in frames([photos[0], None, tmp_path / "gone.jpg"], 10**6)] == [False, True, True]


def test_no_budget_still_gives_pictures(photos):
    assert all(max(Image.open(io.BytesIO(data_of(frame))).size) <= 96 for frame in frames(photos, 0))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "1"])
def test_pictures_of_other_modes_are_shown_in_colour(tmp_path, mode):
    path = tmp_path / ("x.tif" if mode in ("CMYK", "I;16") else "x.png")
    Image.new(mode, (40, 30)).save(path)
    assert Image.open(io.BytesIO(data_of(frames([path], 10**6)[0]))).mode == "RGB"


# What is drawn.

FRAME = Frame("data:", 320.0, 256.0, 3.2)  # of 100 x 80 pixels


def panels(told, models=("a",)):
    return picture("p1", "x.jpg", FRAME, told, CLASSES, list(models), []).panels


def test_the_truth_and_each_model_have_a_panel_with_their_boxes_in_the_drawings_units():
    truth, model = panels(line(truth=[CAT, DOG, CROWD], a=([hit()], [1])))
    assert (truth.title, truth.note) == ("Ground truth", "2 objects, 1 region not counted")
    assert [(shape.kind, shape.text) for shape in truth.shapes] == [("truth", "cat"), ("truth", "dog"), ("ignored", "cat")]
    assert (model.title, model.note) == ("a", "1 right, 1 missed")
    assert {(shape.kind, shape.text, shape.x, shape.y, shape.width, shape.height) for shape in model.shapes} == {
        ("correct", "cat 0.90", 0, 0, 160, 128),
        ("missed", "", 160, 128, 160, 128),
    }


def test_boxes_are_told_in_words():
    _, model = panels(line(truth=[CAT, DOG], a=([hit(), wrong("background", "dog")], [1])))
    assert model.words == "a: cat 0.90 right; dog 0.60 where nothing is; dog missed."
    truth, model = panels(line(truth=[], a=([], [])))
    assert (truth.words, model.words, model.note) == ("Ground truth: no object.", "a: no box.", "nothing found, nothing to find")


def test_a_box_beyond_the_picture_ends_at_its_edge():
    far = box("cat", 0.9, [-1e6, -5, 1e6, 81], "background", None)
    _, model = panels(line(truth=[], a=([far], [])))
    (shape,) = model.shapes
    assert (shape.x, shape.y, shape.width, shape.height) == (0, 0, 320, 256)


def test_a_label_that_would_leave_the_picture_ends_at_the_box():
    truth, _ = panels(line(truth=[{"class": "cat" * 20, "bbox": [70, 40, 99, 80], "ignored": False}], a=([], [0])))
    (shape,) = truth.shapes
    assert shape.end
    assert shape.at <= 320
    assert len(shape.text) == 28


def test_labels_do_not_lie_on_each_other():
    same = [wrong("background", score=score) for score in (0.9, 0.8, 0.7, 0.6)]
    _, model = panels(line(truth=[], a=(same, [])))
    assert [shape.text for shape in model.shapes] == ["cat 0.90", "cat 0.80", "cat 0.70", ""]
    bases = [shape.base for shape in model.shapes[:3]]
    assert [base - bases[0] for base in bases] == [0, 13, 26]


def test_a_model_that_did_not_see_the_picture_has_no_panel():
    assert [panel.title for panel in panels(line(b=([hit()], [])), ("a", "b"))] == ["Ground truth", "b"]


def test_what_a_picture_can_be_found_by():
    made = picture(
        "p1", "x", FRAME, line(truth=[CAT], a=([wrong("background", "dog")], [0]), b=([hit()], [])), CLASSES, ["a", "b"], ["worst"]
    )
    assert made.classes == [0, 1]
    assert made.errors == ["0.0.missed", "0.1.background"]


# In the page.


def test_each_picture_is_in_the_page_once_and_every_panel_shows_it(page):
    made = page()
    figures = made.part("pictures").xpath(".//figure")
    assert len(figures) == 5
    for figure in figures:
        assert [words(each).split()[0] for each in figure.xpath(".//b")] == ["Ground", "infer-float", "infer-frozen", "infer-tflite"]
        (shown,) = figure.xpath(".//*[local-name()='image']")
        assert shown.get("href").startswith("data:image/jpeg;base64,")
        assert figure.xpath(".//*[local-name()='use']/@href") == ["#" + shown.get("id")] * 3
        assert all(figure.xpath(".//" + SVG + "/@aria-label"))


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (1, 1), (3, 3), (100, 5)])
def test_as_many_pictures_as_asked_for_and_none_twice(page, count, shown):
    made = page(params={"pictures": count})
    section = made.part("pictures")
    names = [] if section is None else [words(each).split()[0] for each in section.xpath(".//figcaption")]
    assert len(names) == len(set(names)) == shown


def test_a_picture_that_the_dataset_does_not_have_is_left_out(page):
    def change(root):
        lines = [
            {**each, "id": "gone"} if number == 0 else each
            for number, each in enumerate(map(json.loads, (root / "evaluate" / "matches.jsonl").read_text().splitlines()))
        ]
        write(root / "evaluate" / "matches.jsonl", "".join(json.dumps(each) + "\n" for each in lines))

    assert len(page(change=change).part("pictures").xpath(".//figure")) == 4


def test_without_one_line_there_is_no_gallery(page):
    assert page(change=lambda root: write(root / "evaluate" / "matches.jsonl", "")).part("pictures") is None


def test_the_filter_offers_what_some_picture_has(page):
    def change(root):
        metrics = read(root / "evaluate" / "metrics.json")
        truth = [{"class": "square", "bbox": [0, 0, 20, 20], "ignored": False}]
        found = {name: {"found": [], "missed": [0] if name == "infer-tflite" else []} for name in metrics["models"]}
        write(root / "evaluate" / "matches.jsonl", json.dumps({"id": 2, "truth": truth, "models": found}) + "\n")

    (form,) = page(change=change).part("pictures").xpath(".//form")
    offered = {each.get("name"): [words(option) for option in each.xpath("./option")] for each in form.xpath(".//select")}
    assert offered == {
        "group": ["all", "worst"],
        "class": ["any", "square"],
        "kind": ["any", "missed"],
        "size": ["small", "medium", "large"],
    }
