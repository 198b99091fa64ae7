"""Models are compared only where all saw every image once, in one order, as the same pixels; what cannot be scored is named."""

import json
import struct

import numpy as np
import pytest
from _detection.dataset import load
from _detection.detection_checks import Seen, mask_codes, pixel_boxes, read_models, stream_checked
from _detection.detection_records import read_index, stream_detections
from _detection.rle import encode
from _runtime import Input, StageError
from detection_files import example, write_detections, write_examples
from synthetic import dataset, image, obj

CLASSES = ["circle", "square"]
IMAGES = [image(number, [obj("circle", 10, 10, 30, 30)], sha256=str(number) * 64) for number in (1, 2, 3)]
FOUND = {1: [(1, 0.9, 10, 10, 30, 30), (2, 0.5, 0, 0, 9, 9)], 3: [(2, 0.25, 1, 1, 99, 79)]}


def model(folder, name="first", images=IMAGES, found=FOUND, classes=CLASSES, **more):
    return write_detections(folder / name, name, images, found, classes, **more)


def check(tmp_path, *artifacts):
    """Read all models as an evaluation does: {name: [(image's id, number of detections)]}."""
    truth = load(dataset(tmp_path / "dataset", [*IMAGES, image(9, [], split="train")], CLASSES)["path"])
    models = read_models([Input(each) for each in artifacts], truth)
    images, seen = {each["id"]: each for each in truth.images("val")}, Seen()
    return {
        each.name: [(shown["id"], len(found.detections.scores)) for shown, found in stream_checked(each, images, CLASSES, seen)]
        for each in models
    }


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("inputs", ["pixels", None])
def test_every_image_is_seen_with_what_was_found_in_it(tmp_path, shards, inputs):
    first, second = model(tmp_path), model(tmp_path, "second", shards=shards, inputs=inputs, kind="external")
    seen = [(1, 2), (2, 0), (3, 1)]
    assert check(tmp_path, first, second) == {"first": seen, "second": seen}


def test_the_order_need_not_be_the_datasets(tmp_path):
    assert check(tmp_path, model(tmp_path, images=IMAGES[::-1])) == {"first": [(3, 1), (2, 0), (1, 2)]}


DIFFERENT = {
    "other order": ({"images": IMAGES[::-1]}, "first and second did not run on the same images in the same order", "image 1", "image 3"),
    "other pixels": ({"inputs": "others"}, "first and second were fed different pixels", "input sha256 ", " (second)"),
    "image missing": ({"images": IMAGES[:2]}, "second did not run on every image of the split val", "3 images", "2 images"),
    "image twice": ({"images": [*IMAGES, IMAGES[0]]}, "second ran twice on an image", "each image once", "image 1 again"),
    "image unknown": (
        {"images": [*IMAGES, image(9, [])]},
        "second ran on an image that the dataset's split val lacks",
        "images of the split",
        "image 9",
    ),
    "another picture": (
        {"images": [{**IMAGES[0], "sha256": "f" * 64}, *IMAGES[1:]]},
        "second ran on another picture than the dataset's image 1",
        "sha256 1111",
        "sha256 ffff",
    ),
    "a picture of another size": (
        {"images": [{**IMAGES[0], "width": 101}, *IMAGES[1:]]},
        "second ran on another picture than the dataset's image 1",
        "100 x 80 pixels",
        "101 x 80 pixels",
    ),
    "other split": ({"split": "train"}, "first and second ran on different splits", "val", "train"),
    "a class fewer": ({"classes": ["circle"]}, "the classes of second are not the dataset's", "square", "1 classes"),
    "classes in another order": ({"classes": CLASSES[::-1]}, "the classes of second are not the dataset's", "circle", "square"),
    "a count that is not so": ({"detections": 4}, "the detections of second are not those that were written", "4", "3"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_models_that_saw_different_images_are_not_compared(tmp_path, case):
    change, what, expected, found = DIFFERENT[case]
    with pytest.raises(StageError) as error:
        check(tmp_path, model(tmp_path), model(tmp_path, "second", **change))
    told = error.value
    assert told.what == what
    assert expected in told.expected
    assert found in told.found
    assert str(tmp_path / "second") in told.where
    assert told.remedy


def test_pixels_are_compared_with_every_model_before(tmp_path):
    models = [model(tmp_path, "first", inputs=None), model(tmp_path, "second"), model(tmp_path, "third", inputs="others")]
    with pytest.raises(StageError, match="second and third were fed different pixels"):
        check(tmp_path, *models)


def test_a_split_that_the_dataset_lacks_is_an_error(tmp_path):
    with pytest.raises(StageError, match="the dataset has no split holdout"):
        check(tmp_path, model(tmp_path, split="holdout"))


def test_nothing_to_evaluate_is_an_error(tmp_path):
    with pytest.raises(StageError, match="nothing to evaluate"):
        check(tmp_path)


def test_two_inputs_of_one_name_are_an_error(tmp_path):
    with pytest.raises(StageError, match="two models have one name"):
        check(tmp_path, model(tmp_path), model(tmp_path))


NAN = float("nan")
BAD = {
    "NaN in a box": ((1, 0.5, NAN, 0, 5, 5), "its box is not finite", "nan"),
    "infinite box": ((1, 0.5, 0, 0, float("inf"), 5), "its box is not finite", "inf"),
    "NaN as score": ((1, NAN, 0, 0, 5, 5), "its score is not in 0..1", "nan"),
    "score below 0": ((1, -0.5, 0, 0, 5, 5), "its score is not in 0..1", "-0.5"),
    "score above 1": ((1, 1.5, 0, 0, 5, 5), "its score is not in 0..1", "1.5"),
    "class 0": ((0, 0.5, 0, 0, 5, 5), "it is of no class", "0"),
    "class past the last": ((3, 0.5, 0, 0, 5, 5), "it is of no class", "3"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_detection_that_cannot_be_scored_is_named_with_file_and_record(tmp_path, case):
    row, what, found = BAD[case]
    made = model(tmp_path, found={1: FOUND[1], 3: [*FOUND[3], row]}, shards=2)
    with pytest.raises(StageError) as error:
        check(tmp_path, made)
    assert error.value.what == "first has a detection that cannot be scored: " + what
    assert error.value.where.endswith("val.detections-00001-of-00002, record 2, detection 2")
    assert found in error.value.found


def test_a_damaged_record_is_named(tmp_path):
    made = model(tmp_path)
    path = tmp_path / "first" / "val.detections-00000-of-00001"
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack_from("<Q", data)
    data[12 + length // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(StageError, match="a record of detections is damaged") as error:
        check(tmp_path, made)
    assert error.value.where.endswith("val.detections-00000-of-00001, record 1")


def test_boxes_are_clipped_to_the_image_and_then_in_pixels():
    boxes = np.array([[0.25, 0.5, 0.5, 0.75], [-0.5, -0.5, 2, 2], [1.5, 0, 2, 1]], np.float32)
    assert pixel_boxes(boxes, 200, 80).tolist() == [[100, 20, 150, 40], [0, 0, 200, 80], [0, 80, 200, 80]]
    assert pixel_boxes(np.zeros((0, 4), np.float32), 200, 80).shape == (0, 4)


def found_with(tmp_path, masks):
    """The `Found` of an image whose masks are these pixels."""
    rows = [(1, 0.5, 0, 0, 5, 5, encode(mask)) for mask in masks]
    folder = tmp_path / "masks"
    write_examples(folder, "masks", [example(IMAGES[0], rows, masks=True)], CLASSES, masks=True)
    return next(stream_detections(folder, read_index(folder)))


def test_masks_come_back_as_run_lengths(tmp_path):
    pixels = np.zeros((80, 100), bool)
    pixels[10:20, 30:60] = True
    assert mask_codes(found_with(tmp_path, [pixels, ~pixels])) == [encode(pixels), encode(~pixels)]
    assert mask_codes(found_with(tmp_path, [])) == []
    folder = tmp_path / "first"
    model(tmp_path)
    assert mask_codes(next(stream_detections(folder, read_index(folder)))) is None


def test_a_mask_of_another_size_is_named(tmp_path):
    with pytest.raises(StageError, match="a detection's mask is not of the image's size") as error:
        mask_codes(found_with(tmp_path, [np.ones((80, 100)), np.ones((79, 100))]))
    assert (error.value.expected, error.value.found) == ("100 x 80", "100 x 79")
    assert error.value.where.endswith("record 1, detection 2: mask")


def test_a_mask_that_is_no_picture_is_named(tmp_path):
    found = found_with(tmp_path, [np.ones((80, 100))])
    with pytest.raises(StageError, match="a detection's mask cannot be read") as error:
        mask_codes(found._replace(masks=[b"no picture"]))
    assert error.value.where.endswith("record 1, detection 1: mask")


def test_a_model_that_says_that_it_has_masks_must_have_them(tmp_path):
    made = model(tmp_path)
    path = tmp_path / "first" / "inference.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "masks": True}))
    with pytest.raises(StageError, match="a record of first has no masks"):
        check(tmp_path, made)
