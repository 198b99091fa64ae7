"""A reader's mask becomes COCO's run-length encoding of the image's size, or says what is wrong with it."""

import numpy as np
import pytest
from _detection import rle as rles
from _detection.rle import MaskError
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from stage_helpers import load

load("ingest", "audit/findings")
masks = load("ingest", "masks")
PIXELS, FRACTION = "pixels", "fraction"
SQUARE = [1, 2, 1, 5, 4, 5, 4, 2]


def pixels(mask, width, height):
    return rles.decode(masks.to_rle(mask, width, height)).astype(int)


def block(width, height, xmin, ymin, xmax, ymax):
    made = np.zeros((height, width), int)
    made[ymin:ymax, xmin:xmax] = 1
    return made


def picture(folder, values, mode="L"):
    path = folder / "mask.png"
    made = Image.fromarray(np.array(values, np.uint8))
    if mode == "P":
        made.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0, 0, 0, 0, 0, 0, 200])
    (made.convert("1", dither=0) if mode == "1" else made).save(path)
    return str(path)


def test_a_polygon_covers_its_pixels():
    assert (pixels({"polygons": [SQUARE], "unit": PIXELS}, 8, 6) == block(8, 6, 1, 2, 4, 5)).all()


def test_a_polygon_in_fractions_is_of_the_images_sides():
    assert (pixels({"polygons": [[0.25, 0.5, 0.25, 1, 0.75, 1, 0.75, 0.5]], "unit": FRACTION}, 8, 6) == block(8, 6, 2, 3, 6, 6)).all()


def test_several_polygons_are_their_union():
    both = pixels({"polygons": [SQUARE, [5, 0, 5, 3, 8, 3, 8, 0], [2, 2, 2, 5, 4, 5, 4, 2]], "unit": PIXELS}, 8, 6)
    assert (both == (block(8, 6, 1, 2, 4, 5) | block(8, 6, 5, 0, 8, 3))).all()


def test_what_leads_out_of_the_image_is_cut():
    assert (pixels({"polygons": [[-3, -2, -3, 3, 2, 3, 2, -2]], "unit": PIXELS}, 8, 6) == block(8, 6, 0, 0, 2, 3)).all()


@pytest.mark.parametrize("counts", [[14, 3, 3, 3, 3, 3, 19], rles.encode(block(8, 6, 2, 2, 5, 5))["counts"]])
def test_run_lengths_of_either_form(counts):
    assert (pixels({"rle": {"size": [6, 8], "counts": counts}}, 8, 6) == block(8, 6, 2, 2, 5, 5)).all()


def test_runs_of_no_length_change_nothing():
    rle = masks.to_rle({"rle": {"size": [6, 8], "counts": [14, 3, 3, 3, 0, 0, 3, 3, 19, 0]}}, 8, 6)
    assert rle == rles.encode(block(8, 6, 2, 2, 5, 5))
    assert masks.area_box(rle) == [2.0, 2.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("L", None, [[0, 1], [1, 1]]),
        ("L", [2], [[0, 0], [1, 0]]),
        ("L", [1, 2], [[0, 1], [1, 0]]),
        ("P", None, [[0, 1], [1, 1]]),
        ("P", [2], [[0, 0], [1, 0]]),  # the palette's place, whatever its colour is
    ],
)
def test_a_picture_of_grey_values_or_of_palette_indices(tmp_path, mode, values, expected):
    path = picture(tmp_path, [[0, 1], [2, 255 if mode == "L" else 4]], mode)
    assert (pixels({"picture": path, "values": values}, 2, 2) == expected).all()


def test_a_picture_of_one_bit_has_the_greys_0_and_255(tmp_path):
    path = picture(tmp_path, [[0, 255], [255, 0]], "1")
    assert (pixels({"picture": path, "values": None}, 2, 2) == [[0, 1], [1, 0]]).all()
    assert (pixels({"picture": path, "values": [255]}, 2, 2) == [[0, 1], [1, 0]]).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[[0, 0, 0], [0, 0, 9]], [[1, 1, 1], [0, 0, 0]]], [[0, 1], [1, 0]]),
        ([[[9, 9, 9, 0], [0, 0, 9, 9]], [[0, 0, 0, 255], [1, 0, 0, 1]]], [[0, 1], [0, 1]]),
    ],
)
def test_a_picture_in_colour_is_the_objects_where_it_is_neither_black_nor_transparent(tmp_path, values, expected):
    assert (pixels({"picture": picture(tmp_path, values), "values": None}, 2, 2) == expected).all()


def test_a_mask_of_another_size_is_scaled_to_the_image_and_that_is_told():
    half = {"rle": rles.encode(block(4, 3, 1, 1, 3, 2))}
    rle, scaled_from = masks.rasterized(half, 8, 6)
    assert (rles.decode(rle) == block(8, 6, 2, 2, 6, 4)).all()
    assert scaled_from == (4, 3)
    assert masks.rasterized({"rle": rle}, 8, 6) == (rle, None)


def test_scaling_down_takes_the_pixel_nearest_to_the_centre():
    grid = np.arange(36).reshape(6, 6) % 3 == 1  # the middle column of each three
    assert pixels({"rle": rles.encode(grid)}, 2, 2).all()


def test_a_picture_of_another_size_is_scaled(tmp_path):
    path = picture(tmp_path, [[0, 7], [0, 0]])
    assert (pixels({"picture": path, "values": [7]}, 4, 4) == block(4, 4, 2, 0, 4, 2)).all()


BAD = [
    ({"polygons": [], "unit": PIXELS}, "no polygon"),
    ({"polygons": None, "unit": PIXELS}, "no polygon"),
    ({"polygons": [[1, 1, 2, 2, 3]], "unit": PIXELS}, "5 coordinates"),
    ({"polygons": [[1, 1, 4, 4]], "unit": PIXELS}, "2 points"),
    ({"polygons": [SQUARE, []], "unit": PIXELS}, "not a list of numbers|0 points"),
    ({"polygons": [[1, 1, 4, 4, float("nan"), 4]], "unit": PIXELS}, "not a finite number"),
    ({"polygons": [[1, 1, 4, 4, float("inf"), 4]], "unit": PIXELS}, "not a finite number"),
    ({"polygons": [[1, 1, 4, 4, "4", 4]], "unit": PIXELS}, "not a list of numbers"),
    ({"polygons": [[1, 1, 4, 4, None, 4]], "unit": PIXELS}, "not a list of numbers"),
    ({"polygons": [[1, 1, 4, 4, 1 << 70, 4]], "unit": PIXELS}, "not a list of numbers"),
    ({"polygons": [[[1, 1], [4, 4], [1, 4]]], "unit": PIXELS}, "not a list of numbers"),
    ({"polygons": [[[1, 1], [4]]], "unit": PIXELS}, "not a list of numbers"),
    ({"polygons": ["112233"], "unit": PIXELS}, "not a list of numbers"),
    ({"polygons": [[1, 1, 4, 4, 1e9, 4]], "unit": PIXELS}, "further out"),
    ({"polygons": [[1, 1, 4, 4, 1e300, 4]], "unit": FRACTION}, "further out"),
    ({"polygons": [[-6, -6, 12, 12] * 100_000], "unit": PIXELS}, "outline is longer"),
    ({"rle": {"size": [6, 8], "counts": [47]}}, "counts are not those"),
    ({"rle": {"size": [6, 8], "counts": "````"}}, "compressed text"),
    ({"rle": {"size": [8, 6], "counts": [0, 48]}}, "not the same shape"),
    ({"rle": None}, "size is None"),
]


@pytest.mark.parametrize(("mask", "told"), BAD)
def test_what_is_no_mask_is_told(mask, told):
    with pytest.raises(MaskError, match=told) as error:
        masks.to_rle(mask, 8, 6)
    assert error.value.code == "mask-broken"


@pytest.mark.parametrize(
    "mask",
    [
        {"polygons": [[0, 0, 0, 0, 0, 0]], "unit": PIXELS},
        {"polygons": [[9, 1, 9, 3, 12, 3]], "unit": PIXELS},
        {"rle": {"size": [6, 8], "counts": [48]}},
    ],
)
def test_a_mask_without_a_pixel_is_told_apart(mask):
    with pytest.raises(MaskError, match="no pixel") as error:
        masks.to_rle(mask, 8, 6)
    assert error.value.code == "mask-empty"


@pytest.mark.parametrize("data", [None, b"", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_a_picture_that_cannot_be_read_is_named(tmp_path, data):
    path = tmp_path / "mask.png"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(MaskError, match=r"mask\.png cannot be decoded: \w") as error:
        masks.to_rle({"picture": str(path), "values": None}, 8, 6)
    assert error.value.code == "mask-broken"


def test_values_are_not_looked_for_in_a_picture_in_colour(tmp_path):
    with pytest.raises(MaskError, match="3 channels"):
        masks.to_rle({"picture": picture(tmp_path, [[[0, 0, 1]]]), "values": [1]}, 1, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_turns_as_pillow_turns_its_image(orientation):
    mask = np.random.RandomState(orientation).uniform(0, 1, (5, 7)) < 0.4
    image = Image.fromarray(mask.astype(np.uint8))
    image.getexif()[0x0112] = orientation
    assert (rles.decode(masks.upright(rles.encode(mask), orientation)) == np.asarray(ImageOps.exif_transpose(image))).all()


def test_the_box_around_a_mask():
    rle = masks.to_rle({"polygons": [SQUARE, [6, 0, 6, 1, 8, 1, 8, 0]], "unit": PIXELS}, 8, 6)
    assert masks.area_box(rle) == [1.0, 0.0, 8.0, 5.0]
    assert masks.area(rle) == 11


def test_the_box_around_polygons_keeps_their_fractions():
    mask = {"polygons": [[1.25, 2, 1.5, 5, 4, 4.5], [0.5, 3, 1, 3, 1, 4]], "unit": PIXELS}
    assert masks.box_around(mask, 8, 6) == [0.5, 2.0, 4.0, 5.0]


@pytest.mark.parametrize(("size", "box"), [((8, 6), [4.0, 2.0, 8.0, 4.0]), ((0, 0), [2.0, 1.0, 4.0, 2.0])])
def test_the_box_around_run_lengths_is_of_the_image_or_of_their_own_size(size, box):
    assert masks.box_around({"rle": rles.encode(block(4, 3, 2, 1, 4, 2))}, *size) == box


def test_a_packed_mask_is_the_same_mask():
    mask = {"polygons": [SQUARE], "unit": PIXELS}
    data = masks.packed(mask, 8, 6)
    assert isinstance(data, bytes)
    assert masks.rasterized(data, 8, 6) == masks.rasterized(mask, 8, 6)
    assert masks.rasterized(data, 16, 12)[1] == (8, 6)


@pytest.mark.parametrize(
    ("mask", "size"),
    [({"polygons": [SQUARE], "unit": PIXELS}, (0, 0)), ({"polygons": [[1, 2]], "unit": PIXELS}, (8, 6)), ({"rle": {}}, (1 << 20, 1 << 20))],
)
def test_a_mask_that_cannot_be_packed_stays_as_it_is(mask, size):
    assert masks.packed(mask, *size) is mask


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=8), max_leaves=20
)
COORDINATES = st.lists(st.integers(-20, 30) | st.floats(-20, 30) | st.sampled_from([float("nan"), 1e9, -1e300]), max_size=12)
MASKS = st.one_of(
    st.fixed_dictionaries({"polygons": ANYTHING | st.lists(COORDINATES, max_size=4), "unit": st.sampled_from([PIXELS, FRACTION])}),
    st.fixed_dictionaries(
        {"rle": st.dictionaries(st.sampled_from(["size", "counts"]), ANYTHING | st.lists(st.integers(-1, 20), max_size=6))}
    ),
    st.fixed_dictionaries(
        {"rle": st.fixed_dictionaries({"size": st.just([6, 8]), "counts": st.text("0123456789:;<=>?@o`n", max_size=12)})}
    ),
)


@given(MASKS)
@example({"polygons": [SQUARE], "unit": PIXELS})
def test_anything_is_a_mask_of_the_images_size_or_an_error(mask):
    try:
        rle = masks.to_rle(mask, 8, 6)
    except MaskError:
        return
    assert rles.decode(rle).shape == (6, 8)
    xmin, ymin, xmax, ymax = masks.area_box(rle)
    assert 0 <= xmin < xmax <= 8
    assert 0 <= ymin < ymax <= 6
