"""Boxes judged in columns: every verdict, EXIF's eight orientations, and repeated rows."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from stage_helpers import load

check = load("ingest", "box_check")

# box, verdict, the box within an image of 64 × 48
CASES = {
    "inside": ((1, 2, 30, 40), check.OK, (1, 2, 30, 40)),
    "the whole image": ((0, 0, 64, 48), check.OK, (0, 0, 64, 48)),
    "a fraction of a pixel": ((1.25, 2, 1.5, 2.125), check.OK, (1.25, 2, 1.5, 2.125)),
    "outside by a rounding": ((-0.005, 0, 64.005, 48.009), check.OK, (0, 0, 64, 48)),
    "reaches out at the left": ((-5, 2, 30, 40), check.REACHES, (0, 2, 30, 40)),
    "reaches out at the bottom": ((1, 2, 30, 48.02), check.REACHES, (1, 2, 30, 48)),
    "around the image": ((-9, -9, 99, 99), check.REACHES, (0, 0, 64, 48)),
    "beside the image": ((70, 2, 90, 40), check.OUTSIDE, None),
    "touches the edge from outside": ((64, 2, 90, 40), check.OUTSIDE, None),
    "no width": ((5, 2, 5, 40), check.EMPTY, None),
    "no height": ((5, 9, 8, 9), check.EMPTY, None),
    "no width, outside": ((99, 2, 99, 40), check.EMPTY, None),
    "narrower than rounding": ((5, 2, 5.0099, 40), check.EMPTY, None),
    "as wide as rounding": ((5, 2, 5.0101, 40), check.OK, (5, 2, 5.0101, 40)),
    "narrower than a float": ((1e-300, 2, 2e-300, 40), check.EMPTY, None),
    "so little of it inside": ((63.9999999, 2, 90, 40), check.OUTSIDE, None),
    "swapped by less than rounding": ((5.001, 2, 5, 40), check.INVERTED, None),
    "too wide for a float": ((-1.7e308, 2, 1.7e308, 40), check.REACHES, (0, 2, 64, 40)),
    "left and right swapped": ((30, 2, 1, 40), check.INVERTED, None),
    "top and bottom swapped": ((1, 40, 30, 2), check.INVERTED, None),
    "one pair swapped, the other empty": ((9, 9, 1, 9), check.INVERTED, None),
    "not a number": ((math.nan, 2, 30, 40), check.NOT_A_NUMBER, None),
    "infinite": ((1, 2, math.inf, 40), check.NOT_A_NUMBER, None),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.replace(" ", "-"))
def test_judges(case):
    box, verdict, inside = CASES[case]
    verdicts, cut = check.judge(np.array([box], np.float64), np.array([64.0]), 48)
    assert verdicts.tolist() == [verdict]
    if inside is not None:
        assert cut.tolist() == [list(inside)]


def test_every_verdict_but_ok_has_a_code():
    assert set(check.CODES) == set(range(1, 6))


EDGES = st.one_of(st.integers(-20, 90), st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 64.0, 48.0, -0.0]))


@given(st.lists(st.tuples(EDGES, EDGES, EDGES, EDGES), max_size=8))
def test_what_is_let_through_is_sound_and_each_row_is_judged_alone(boxes):
    box = np.array(boxes, np.float64).reshape(-1, 4)
    verdicts, inside = check.judge(box, 64, 48)
    for row, verdict in enumerate(verdicts):
        assert check.judge(box[row : row + 1], 64, 48)[0][0] == verdict
        if verdict in (check.OK, check.REACHES):
            xmin, ymin, xmax, ymax = inside[row]
            assert 0 <= np.float32(xmin / 64) < np.float32(xmax / 64) <= 1  # as records hold them
            assert 0 <= np.float32(ymin / 48) < np.float32(ymax / 48) <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_turned_as_pillow_turns_the_picture(orientation):
    width, height, box = 7, 5, (2, 1, 5, 3)
    pixels = np.zeros((height, width), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    shown = ImageOps.exif_transpose(image)
    turned = check.upright(np.array([box], np.float64), np.array([orientation]), width, height)
    assert tuple(turned[0].astype(int)) == shown.getbbox()


ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.lists(st.sampled_from([0.0, -0.0, 1.0, 2.5]), min_size=4, max_size=4)))


@given(ROWS)
def test_repeated_rows_are_found_with_the_first_of_their_kind(rows):
    image, label = (np.array([row[place] for row in rows], np.int64) for place in (0, 1))
    box = np.array([row[2] for row in rows], np.float64).reshape(-1, 4)
    expected, seen = [], {}
    for place, row in enumerate(rows):
        first = seen.setdefault((row[0], row[1], *row[2]), place)
        expected += [(place, first)] if first != place else []
    found = check.repeated(image, label, box)
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


def test_corners_are_put_in_order():
    assert check.sorted_corners(np.array([[9.0, 1.0, 2.0, 5.0], [1.0, 2.0, 3.0, 4.0]])).tolist() == [[2, 1, 9, 5], [1, 2, 3, 4]]
