"""The generated dataset: the same on every machine, labelled truthfully, and hard enough to be worth training on."""

import hashlib

import numpy as np
import pytest
from lxml import etree
from voc_files import ingest, run_here

from stage_helpers import load

drawing = load("shapes", "shape_drawing")


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_parameters_give_the_same_bytes(tmp_path):
    one, two = (run_here("shapes", tmp_path / name, {}, train=4, val=3, size=96) for name in "ab")
    assert files(one.output) == files(two.output)
    assert len(files(one.output)) == 14


def test_pixels_are_those_of_every_other_machine():
    picture, shapes = drawing.draw(160, 1, "train", 0)
    assert hashlib.sha256(picture.tobytes()).hexdigest() == "17579240a6239b200d596e1c254126be5d496d9b43f083d995aee3b974976dda"
    assert shapes == [drawing.Shape(label="circle", box=(48, 103, 92, 147))]


def test_a_picture_does_not_depend_on_how_many_there_are(tmp_path):
    few, many = (run_here("shapes", tmp_path / str(number), {}, train=number, val=3, size=64) for number in (3, 6))
    assert files(few.output).items() <= files(many.output).items()


@pytest.mark.parametrize("change", [{"seed": 2}, {"split": "val"}, {"index": 1}])
def test_seed_split_and_index_change_the_picture(change):
    base = {"size": 96, "seed": 1, "split": "train", "index": 0}
    assert drawing.draw(**base)[0].tobytes() != drawing.draw(**dict(base, **change))[0].tobytes()


def test_every_class_is_in_each_split_of_the_smallest_dataset(tmp_path):
    task = run_here("shapes", tmp_path, {}, train=3, val=3, size=64)
    for split in ("train", "val"):
        labels = {name.text for path in (task.output / split).glob("*.xml") for name in etree.parse(str(path)).iterfind("object/name")}
        assert labels == set(drawing.CLASSES)


@pytest.mark.parametrize("size", [64, 160, 333])
def test_boxes_are_inside_large_enough_and_apart(size):
    for index in range(60):
        _, shapes = drawing.draw(size, 7, "train", index)
        assert 1 <= len(shapes) <= drawing.MOST_SHAPES
        for number, shape in enumerate(shapes):
            xmin, ymin, xmax, ymax = shape.box
            assert 0 <= xmin < xmax <= size
            assert 0 <= ymin < ymax <= size
            assert max(xmax - xmin, ymax - ymin) >= 0.2 * size
            for other in shapes[:number]:
                width, height = min(xmax, other.box[2]) - max(xmin, other.box[0]), min(ymax, other.box[3]) - max(ymin, other.box[1])
                smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (shape.box, other.box))
                assert max(width, 0) * max(height, 0) <= 0.05 * smaller


@pytest.mark.parametrize("label", drawing.CLASSES)
def test_a_box_touches_its_shape_on_all_four_sides(label):
    """Painted on black, the shape's pixels reach within a pixel of the box's edges."""
    rng = np.random.Generator(np.random.PCG64(3))
    for _ in range(20):
        outline = drawing._place(label, 160, [], rng)
        canvas = drawing.Image.new("RGB", (160, 160))
        drawing._paint(canvas, outline, rng)
        rows, columns = np.nonzero(np.asarray(canvas).max(axis=2) > 20)
        painted = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert all(abs(edge - drawn) <= 1 for edge, drawn in zip(drawing._box(outline), painted, strict=False))


def test_colours_do_not_tell_the_class():
    """Each class comes in red, green and blue: a detector must look at the shape."""
    strongest = {label: set() for label in drawing.CLASSES}
    for index in range(90):
        picture, shapes = drawing.draw(96, 1, "train", index)
        for shape in shapes:
            centre = np.asarray(picture)[(shape.box[1] + shape.box[3]) // 2, (shape.box[0] + shape.box[2]) // 2]
            strongest[shape.label].add(int(centre.argmax()))
    assert set(map(frozenset, strongest.values())) == {frozenset({0, 1, 2})}


def test_ingest_finds_nothing_wrong(tmp_path):
    shapes = run_here("shapes", tmp_path / "shapes", {}, train=6, val=3, size=64)
    task = ingest(tmp_path / "dataset", shapes.output, splits={"train": {"folder": "train"}, "val": {"folder": "val"}})
    assert task.warnings == []
    assert task.metrics["images"] == 9
    assert task.metrics["objects"] == shapes.metrics["objects"]
