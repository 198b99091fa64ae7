"""Splits that are drawn: pictures that belong together stay together, and both val and test get their part."""

import io
from collections import Counter

import numpy as np
import pytest
from _detection import dataset as datasets
from _runtime import StageError
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from voc_files import ingest, write_pair

from stage_helpers import load

choice = load("ingest", "split_choice")


def splits(task):
    """{image's name: split}."""
    return {image["name"]: image["split"] for image in datasets.load(task.output).images()}


def test_val_and_test_are_parts_of_the_whole(tmp_path):
    for number in range(40):
        write_pair(tmp_path / "root", "i%02d" % number)
    task = ingest(tmp_path / "out", tmp_path / "root", val_fraction=0.25, test_fraction=0.1)
    assert Counter(splits(task).values()) == {"train": 26, "val": 10, "test": 4}


@pytest.mark.parametrize(
    ("group_by", "names"),
    [
        (r"^([a-z]+)-[0-9]+", ["table-%02d" % number for number in range(12)] + ["sofa-%02d" % number for number in range(12)] + ["z"]),
        ("folder", ["%s/%02d" % (room, number) for room in ("kitchen", "hall", "attic") for number in range(8)]),
    ],
)
def test_a_group_is_never_torn_apart(tmp_path, group_by, names):
    annotations, images = tmp_path / "root" / "xml", tmp_path / "root"
    annotations.mkdir(parents=True)
    for name in names:
        write_pair((images / name).parent, name.rsplit("/", 1)[-1], seed=names.index(name))
        moved = images / (name + ".xml")
        text = moved.read_text().replace("<filename>", "<filename>%s" % (name.rsplit("/", 1)[0] + "/" if "/" in name else ""))
        (annotations / (name.replace("/", "_") + ".xml")).write_text(text)
        moved.unlink()
    for seed in range(4):
        spec = {"train": {"annotations": "xml", "images": "."}}
        task = ingest(tmp_path / str(seed), images, splits=spec, val_fraction=0.3, group_by=group_by, seed=seed, near_duplicates=0)
        where = {}
        for name, split in splits(task).items():
            where.setdefault(name.split("-")[0] if "-" in name else name.rsplit("/", 1)[0], set()).add(split)
        assert all(len(found) == 1 for found in where.values())
        assert {split for found in where.values() for split in found} == {"train", "val"}


def scene(seed, shift):
    """JPEG bytes of coloured blocks; `shift` moves one of them by some pixels."""
    random = np.random.RandomState(seed)
    image = Image.new("RGB", (160, 120), tuple(random.randint(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for number in range(14):
        x, y = random.randint(0, 130), random.randint(0, 90)
        draw.rectangle([x + shift * (number == 0), y, x + 30, y + 30], fill=tuple(random.randint(0, 256, 3).tolist()))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def test_pictures_that_look_alike_stay_together(tmp_path):
    root = tmp_path / "root"
    for number in range(24):
        write_pair(root, "s%02d" % number, size=(160, 120))
        (root / ("s%02d.jpg" % number)).write_bytes(scene(number // 3, number % 3))
    task = ingest(tmp_path / "out", root, val_fraction=0.3, group_by="similar")
    found = splits(task)
    for first in range(0, 24, 3):
        assert len({found["s%02d.jpg" % number] for number in range(first, first + 3)}) == 1
    assert not any("near-duplicate-across-splits" in warning for warning in task.warnings)
    apart = ingest(tmp_path / "apart", root, val_fraction=0.3)
    assert any("near-duplicate-across-splits" in warning for warning in apart.warnings)


# the images' names, parameters
NOTHING_TO_TAKE = {
    "one image": (["a"], {"val_fraction": 0.5}),
    "one folder": (["a", "b", "c"], {"val_fraction": 0.3, "group_by": "folder"}),
    "one name": (["a1", "a2", "a3"], {"test_fraction": 0.3, "group_by": "(a)"}),
    "two images for three splits": (["a", "b"], {"val_fraction": 0.3, "test_fraction": 0.3}),
}


@pytest.mark.parametrize("policy", ["refuse", "drop"])
@pytest.mark.parametrize("case", NOTHING_TO_TAKE, ids=lambda case: case.replace(" ", "-"))
def test_a_part_that_would_be_empty_is_refused(tmp_path, case, policy):
    names, params = NOTHING_TO_TAKE[case]
    for name in names:
        write_pair(tmp_path / "root", name)
    with pytest.raises(StageError, match="1 split-empty") as caught:
        ingest(tmp_path / "out", tmp_path / "root", on_error=policy, **params)
    assert "_fraction takes no image" in caught.value.found
    assert "leave the split, or its fraction, out" in caught.value.remedy


def test_pictures_that_look_alike_are_not_kept_together_without_looking(tmp_path):
    write_pair(tmp_path / "root", "a")
    with pytest.raises(StageError, match="look alike") as caught:
        ingest(tmp_path / "out", tmp_path / "root", group_by="similar", near_duplicates=0, val_fraction=0.5)
    assert caught.value.where == "params.near_duplicates"


def test_copies_of_one_picture_stay_together(tmp_path):
    for number in range(20):
        write_pair(tmp_path / "root", "i%02d" % number, seed=number // 2)
    found = splits(ingest(tmp_path / "out", tmp_path / "root", val_fraction=0.3))
    assert all(found["i%02d.jpg" % number] == found["i%02d.jpg" % (number + 1)] for number in range(0, 20, 2))


# parameters, what, found, remedy
REFUSED = {
    "a broken expression": ({"group_by": "(", "val_fraction": 0.1}, "group_by is not usable", "(", "correct"),
    "an expression without a group": ({"group_by": "^abc", "val_fraction": 0.1}, "group_by is not usable", "no group", "correct"),
    "nothing left to train on": ({"val_fraction": 0.5, "test_fraction": 0.5}, "nothing would be left", "1", "smaller"),
    "a test split that is there": (
        {"splits": {"train": {"folder": "."}, "test": {"folder": "."}}, "test_fraction": 0.2},
        "test_fraction needs",
        "test, train",
        "take out",
    ),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_refuses(tmp_path, case):
    params, what, found, remedy = REFUSED[case]
    write_pair(tmp_path / "root", "a")
    with pytest.raises(StageError, match=what) as caught:
        ingest(tmp_path / "out", tmp_path / "root", **params)
    assert found in caught.value.found
    assert remedy in caught.value.remedy


GROUPED = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 30), st.sets(st.sampled_from("xyz"))), max_size=40)


@given(GROUPED, st.floats(0.01, 0.9), st.integers(0, 3))
def test_whole_groups_are_chosen_and_some_are_left(images, fraction, seed):
    images = [(group, "%s-%d" % (group, content), classes) for group, content, classes in images]
    chosen = choice.choose(images, fraction, seed)
    groups = {group for group, _, _ in images}
    assert chosen < groups or not groups
    assert chosen == choice.choose(list(reversed(images)), fraction, seed)
