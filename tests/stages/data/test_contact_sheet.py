"""The audit's picture: the worst images first, and every bad box to be seen, wherever it lies."""

from collections import Counter
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from stage_helpers import load

sheets = load("ingest", "audit/contact_sheet")
Box, Entry = sheets.Box, sheets.Entry
BAD, GOOD = (ImageColor.getrgb(colour) for colour in (sheets._BAD, sheets._GOOD))


@pytest.fixture
def sheet(tmp_path):
    """sheet(entries…) draws them; returns the sheet's pixels, int [height, width, 3]."""

    def call(*entries):
        sheets.draw(list(entries), tmp_path / "sheet.jpg")
        with Image.open(tmp_path / "sheet.jpg") as image:
            assert image.format == "JPEG"
            return np.asarray(image.convert("RGB")).astype(int)

    return call


@pytest.fixture
def picture(tmp_path):
    """picture(size, …) makes a black image file; returns its path."""

    def call(size=(400, 300), name="a.jpg", **more):
        Image.new(more.pop("mode", "RGB"), size).save(tmp_path / name, **more)
        return tmp_path / name

    return call


def near(pixels, colour, distance=60):
    """Where the pixels have about that colour, bool [height, width]."""
    return np.abs(pixels - np.array(colour)).sum(axis=2) < distance


def extent(mask):
    """(left, top, right, bottom) of the true pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0], rows[0], columns[-1], rows[-1]


@pytest.mark.parametrize(
    ("tallies", "number", "chosen"),
    [
        ([(1, "a", ["warning"] * 9), (2, "b", ["error"])], 2, [2, 1]),
        ([(1, "a", ["error"]), (2, "b", ["error", "error"])], 2, [2, 1]),
        ([(1, "a", ["error"]), (2, "b", ["warning", "error"])], 2, [2, 1]),
        ([(1, "b", ["error"]), (2, "a", ["error"])], 2, [2, 1]),
        ([(1, "b", ["error"]), (2, "a", ["error"]), (3, "c", ["error"])], 1, [2]),
        ([(1, "a", ["note", "note"]), (2, "b", [])], 2, []),
        ([], 3, []),
    ],
)
def test_the_worst_have_the_most_errors_then_the_most_warnings_then_the_first_name(tallies, number, chosen):
    assert sheets.worst(tallies, number) == chosen
    assert sheets.worst(iter(reversed(tallies)), number) == chosen


def test_two_images_of_one_name_are_both_chosen():
    assert sheets.worst([((1, 0), "a", ["error"]), (None, "a", ["error"])], 5) == [(1, 0), None]


def test_the_sheet_grows_with_its_entries_up_to_six_rows_of_four(picture, sheet):
    path, step = picture(), sheets.TILE + sheets._GAP
    for number, (columns, rows) in {1: (1, 1), 3: (3, 1), 4: (4, 1), 5: (4, 2), 24: (4, 6), 30: (4, 6)}.items():
        pixels = sheet(*[Entry(path, "a", ["box-empty"], [])] * number)
        assert pixels.shape == (rows * step + sheets._GAP, columns * step + sheets._GAP, 3)


def test_a_sheet_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs an entry"):
        sheets.draw([], tmp_path / "sheet.jpg")


def test_good_boxes_are_thin_and_bad_ones_thick_in_another_colour(picture, sheet):
    pixels = sheet(Entry(picture(), "a", ["box-repeated"], [Box(50, 50, 150, 250, "x"), Box(250, 50, 350, 250, "x", "box-repeated")]))
    across = pixels[sheets.TILE // 2]  # a line through both boxes; JPEG leaves a trace beside a line
    assert 1 <= near(across[np.newaxis], GOOD).sum() <= 4
    assert near(across[np.newaxis], BAD).sum() >= 6
    good, bad = extent(near(pixels, GOOD)), extent(near(pixels[: -sheets._CAPTION], BAD))
    assert good[2] < bad[0], "the bad one is the right one"


def test_a_box_is_where_it_belongs(picture, sheet):
    """400 x 300 pixels and a margin of 20 on each side, in a tile of 320 pixels: 1 pixel is 320 / 440."""
    left, top, right, bottom = extent(near(sheet(Entry(picture(), "a", [], [Box(100, 60, 300, 240, "x")])), GOOD))
    factor = sheets.TILE / 440
    assert right - left == pytest.approx(200 * factor, abs=2)
    assert bottom - top == pytest.approx(180 * factor, abs=2)
    assert left == pytest.approx(sheets._GAP + (20 + 100) * factor, abs=2)


@pytest.mark.parametrize(
    "corners",
    [
        pytest.param((-100, -80, 50, 50), id="reaches out"),
        pytest.param((450, 320, 500, 400), id="lies outside"),
        pytest.param((1e6, 100, 2e6, 200), id="far to the right"),
        pytest.param((-1e300, -1e300, -1e299, -1e299), id="far to the upper left"),
        pytest.param((200, 200, 200, 200), id="a point"),
        pytest.param((100, 200, 300, 200), id="a line"),
        pytest.param((300, 200, 100, 100), id="swapped"),
        pytest.param((0, 0, 0.01, 0.01), id="less than a pixel"),
        pytest.param((-1e9, -1e9, 1e9, 1e9), id="around everything"),
    ],
)
def test_every_bad_box_can_be_seen(picture, sheet, corners):
    path = picture()
    without, pixels = (sheet(Entry(path, "a", ["box-outside"], boxes)) for boxes in ([], [Box(*corners, "x", "box-outside")]))
    assert near(without, BAD).sum() == 0
    assert near(pixels, BAD).sum() > 150


def test_a_box_beyond_reach_does_not_make_the_picture_small(picture, sheet):
    path = picture()
    plain, far = (
        near(sheet(Entry(path, "a", [], boxes)), (0, 0, 0), 30).sum() for boxes in ([], [Box(90000, 0, 91000, 9, "x", "box-outside")])
    )
    assert far > 0.95 * plain


def test_a_bad_box_shows_its_number_or_its_place(picture, tmp_path):
    drawn = []
    for boxes in (
        [Box(90, 90, 190, 190, "x"), Box(90, 90, 190, 190, "x", "bad")],
        [Box(90, 90, 190, 190, "x"), Box(90, 90, 190, 190, "x", "bad", 2)],
        [Box(90, 90, 190, 190, "x"), Box(90, 90, 190, 190, "x", "bad", 7)],
    ):
        sheets.draw([Entry(picture(), "a", ["bad"], boxes)], tmp_path / "sheet.jpg")
        drawn.append((tmp_path / "sheet.jpg").read_bytes())
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_picture_is_shown_upright(picture, sheet):
    turned = Image.Exif()
    turned[0x0112] = 6
    upright = sheet(Entry(picture((300, 400), "b.jpg"), "a", [], [Box(10, 10, 20, 390, "x")]))
    assert (sheet(Entry(picture((400, 300), "c.jpg", exif=turned), "a", [], [Box(10, 10, 20, 390, "x")])) == upright).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "LA", "I;16"])
def test_every_mode_that_a_dataset_may_have_is_shown(picture, sheet, mode):
    pixels = sheet(Entry(picture(name="a.png", mode=mode), "a", [], []))
    assert near(pixels, (0, 0, 0), 30).sum() > 40000


def test_of_sixteen_bits_the_upper_eight_are_shown(tmp_path, sheet):
    Image.fromarray(np.full((90, 120), 0x8000, np.uint16)).save(tmp_path / "deep.png")
    assert near(sheet(Entry(tmp_path / "deep.png", "a", [], [])), (128, 128, 128), 20).sum() > 40000


def no_file(_folder):
    return None


def no_such_file(folder):
    return folder / "gone.jpg"


def truncated(folder):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:3000])
    return folder / "cut.jpg"


def text(folder):
    (folder / "text.png").write_text("<html>")
    return folder / "text.png"


def web_picture(folder):
    Image.new("RGB", (20, 20)).save(folder / "picture.webp")
    return folder / "picture.webp"


@pytest.mark.parametrize("make", [no_file, no_such_file, truncated, text, web_picture])
def test_an_image_that_cannot_be_decoded_is_a_grey_tile_with_a_reason(tmp_path, sheet, make):
    grey = ImageColor.getrgb(sheets._NO_PICTURE)
    pixels = sheet(Entry(make(tmp_path), "a", ["image-damaged"], [Box(1, 2, 3, 4, "x", "box-outside")]))
    shown = pixels[sheets._GAP + 4 : -sheets._CAPTION - 10, sheets._GAP + 4 : -sheets._GAP - 4]
    assert 0.9 < near(shown, grey, 40).mean() < 0.999


@pytest.mark.parametrize(
    "title", ["", "日本語.jpg", "a\udcff.jpg", "a\nb\0c.jpg", "\u202eright to left.jpg", "e\u0301" * 200, "long/" * 99, "\N{GRINNING FACE}"]
)
def test_a_name_may_hold_anything(picture, sheet, title):
    assert near(sheet(Entry(picture(), title, [title, "code"], []))[-sheets._CAPTION :], (255, 255, 255), 30).mean() > 0.6


def test_a_long_name_keeps_its_end():
    shown = sheets._cut_front("folder/" * 40 + "image_0001.jpg", 300)
    assert shown.startswith("...")
    assert shown.endswith("/image_0001.jpg")
    assert 200 < sheets._font().getlength(shown) <= 300


def test_codes_are_told_with_their_numbers(picture, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(sheets, "_lines", lambda text, *_: told.append(text) or [])
    sheets.draw([Entry(picture(), "bccd_00338.jpg", ["box-empty", "box-outside", "box-outside"], [])], tmp_path / "sheet.jpg")
    assert told == ["box-empty, box-outside 2"]


def test_the_same_entries_give_the_same_bytes(picture, tmp_path):
    entry = Entry(picture(), "a", ["box-outside"], [Box(-20, 5, 40, 50, "x", "box-outside"), Box(5, 5, 40, 50, "x")])
    for name in ("first.jpg", "second.jpg"):
        sheets.draw([entry, entry._replace(path=None)], tmp_path / name)
    assert (tmp_path / "first.jpg").read_bytes() == (tmp_path / "second.jpg").read_bytes()


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    boxes=st.lists(st.tuples(numbers, numbers, numbers, numbers, st.text(), st.sampled_from([None, "bad"])), max_size=4),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_no_box_of_finite_numbers_is_too_much(boxes, size):
    canvas = sheets._with_boxes(Image.new("RGB", size), [Box(*box) for box in boxes], sheets.TILE, 270)
    assert canvas.size == (sheets.TILE, 270)
    if any(box[5] for box in boxes):
        assert near(np.asarray(canvas).astype(int), BAD).any()


def blood_entry(folder, stem):
    boxes = []
    for number, item in enumerate(ET.parse(folder / "Annotations" / (stem + ".xml")).iter("object"), 1):
        corners = [float(item.findtext("bndbox/" + corner)) for corner in ("xmin", "ymin", "xmax", "ymax")]
        empty = corners[0] == corners[2] or corners[1] == corners[3]
        boxes.append(Box(*corners, item.findtext("name"), "box-empty" if empty else None, number))
    return Entry(folder / "JPEGImages" / (stem + ".jpg"), stem + ".jpg", [box.code for box in boxes if box.code], boxes)


def test_the_empty_boxes_of_the_blood_cells_are_crosses(shared_data, sheet):
    folder = shared_data("datasets/bccd") / "BCCD"
    entries = [blood_entry(folder, stem) for stem in ("BloodImage_00338", "BloodImage_00343")]
    assert [Counter(entry.codes) for entry in entries] == [{"box-empty": 1}] * 2
    pixels = sheet(*entries)
    for tile in np.split(pixels[:, : 2 * (sheets.TILE + sheets._GAP)], 2, axis=1):
        left, top, right, bottom = extent(near(tile, BAD))
        assert near(tile, BAD).sum() > 80
        assert right - left < 60, "a cross with its number"
        assert bottom - top < 60
