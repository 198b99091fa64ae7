"""Masks of the dataset: COCO's run-length encoding checked in NumPy, and the PNG of the training records."""

import io
import zlib

import numpy as np
import pytest
from _detection import rle as rles
from _detection.mask_picture import mask_png, png_mask
from _runtime import StageError
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

MASK = np.array([[0, 1, 1, 0], [0, 1, 0, 1], [0, 0, 0, 1]], bool)


def noise(seed, height, width, share=0.5):
    return np.random.RandomState(seed).uniform(0, 1, (height, width)) < share


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 1])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 4), (1, 50), (50, 1), (479, 640)])
def test_a_mask_survives_both_ways(height, width, share):
    mask = noise(height + width, height, width, share)
    rle = rles.encode(mask)
    assert (rles.decode(rle) == mask).all()
    assert (coco_mask.decode({"size": rle["size"], "counts": rle["counts"].encode()}) == mask).all()


def test_a_list_of_run_lengths_is_read_as_pycocotools_reads_it():
    lengths = {"size": [3, 4], "counts": [3, 2, 1, 1, 3, 2]}
    assert (rles.decode(lengths) == MASK).all()
    assert (coco_mask.decode(coco_mask.frPyObjects(lengths, 3, 4)) == MASK).all()


@pytest.mark.parametrize(
    ("rle", "told"),
    [
        (None, "size is None"),
        ([[0, 0, 1, 1]], "size is None"),
        ({"counts": [12]}, "size is None"),
        ({"size": [3], "counts": [12]}, r"size is \[3\]"),
        ({"size": [3, -4], "counts": [12]}, "size is"),
        ({"size": [3, 4.0], "counts": [12]}, "size is"),
        ({"size": [True, 12], "counts": [12]}, "size is"),
        ({"size": [1 << 20, 1 << 20], "counts": [1 << 40]}, "too large"),
        ({"size": [3, 4]}, "counts are None"),
        ({"size": [3, 4], "counts": [1.5]}, r"counts are \[1.5\]"),
        ({"size": [3, 4], "counts": ["12"]}, "counts are"),
        ({"size": [3, 4], "counts": []}, "not those of 4 x 3"),
        ({"size": [3, 4], "counts": [11]}, "not those of 4 x 3"),
        ({"size": [3, 4], "counts": [13]}, "not those of 4 x 3"),
        ({"size": [3, 4], "counts": [6, -1, 7]}, "not those of 4 x 3"),
        ({"size": [3, 4], "counts": [1 << 70]}, "not those of 4 x 3"),
        ({"size": [3, 4], "counts": ""}, "compressed text"),
        ({"size": [3, 4], "counts": "é"}, "compressed text"),
        ({"size": [3, 4], "counts": "\x00"}, "compressed text"),
        ({"size": [3, 4], "counts": "o"}, "compressed text"),  # says that the number goes on
        ({"size": [3, 4], "counts": "ooooooooooo0"}, "12 characters"),
        ({"size": [3, 4], "counts": ";"}, "not those of 4 x 3"),  # 11
    ],
)
def test_what_is_no_mask_of_its_size_is_told(rle, told):
    with pytest.raises(rles.MaskError, match=told) as error:
        rles.decode(rle)
    assert error.value.code == "mask-broken"


GOOD = rles.encode(noise(1, 9, 7))["counts"]


@given(st.integers(1, 9), st.integers(1, 9), st.one_of(st.binary(max_size=40), st.text(max_size=20)))
@example(9, 7, GOOD)
@example(7, 9, GOOD)
@example(9, 7, GOOD[:-1])
def test_any_compressed_text_is_a_mask_or_an_error(height, width, counts):
    try:
        mask = rles.decode({"size": [height, width], "counts": counts})
    except rles.MaskError:
        return
    assert mask.shape == (height, width)
    data = counts.encode("ascii") if isinstance(counts, str) else counts
    assert (coco_mask.decode({"size": [height, width], "counts": data}) == mask).all()


def test_the_picture_is_8_bit_grey_of_0_and_1():
    picture = Image.open(io.BytesIO(mask_png(rles.encode(MASK))))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (4, 3))
    assert (np.asarray(picture) == MASK).all()


def test_the_pictures_bytes_follow_from_the_pixels_and_zlib_alone():
    data = mask_png(rles.encode(MASK))
    rows = zlib.compress(bytes([0, 0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1]), 6)
    kinds = [data[place : place + 4] for place in (12, 37, len(data) - 8)]
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    assert data[41 : 41 + len(rows)] == rows
    assert data == mask_png({"size": [3, 4], "counts": [3, 2, 1, 1, 3, 2]})


@pytest.mark.parametrize(("height", "width"), [(1, 1), (37, 53)])
def test_a_picture_gives_its_mask_back(height, width):
    rle = rles.encode(noise(3, height, width))
    assert png_mask(mask_png(rle)) == rle


def test_every_grey_that_is_not_0_is_the_objects():
    encoded = io.BytesIO()
    Image.fromarray(np.array([[0, 255], [7, 0]], np.uint8)).save(encoded, "PNG")
    assert (rles.decode(png_mask(encoded.getvalue())) == [[False, True], [True, False]]).all()


def test_a_damaged_mask_of_the_dataset_names_the_remedy():
    with pytest.raises(StageError) as error:
        mask_png({"size": [2, 2], "counts": [5]})
    assert error.value.remedy == "build the dataset again"


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", mask_png(rles.encode(noise(1, 99, 99)))[:60]])
def test_a_damaged_picture_is_told(data):
    with pytest.raises(rles.MaskError, match="cannot be decoded"):
        png_mask(data)


def test_a_picture_in_colour_is_told():
    encoded = io.BytesIO()
    Image.new("RGB", (2, 2)).save(encoded, "PNG")
    with pytest.raises(rles.MaskError, match="3 channels"):
        png_mask(encoded.getvalue())
