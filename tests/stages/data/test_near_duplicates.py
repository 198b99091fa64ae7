"""Which pictures count as alike."""

import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from stage_helpers import load

near_duplicates = load("ingest", "pictures/near_duplicates")
FLAT = 0


def grid(*rows):
    """A picture of 9 × 8 cells of equal grey, each 30 pixels wide; rows: 8 lists of 9 greys, the last one repeated."""
    cells = np.array([*rows, *[rows[-1]] * (8 - len(rows))], np.uint8)
    return Image.fromarray(np.repeat(np.repeat(cells, 30, axis=0), 30, axis=1))


def rising(count):
    """Nine greys, of which the first `count` steps rise and the others fall."""
    return [100 + 10 * min(place, 2 * count - place) for place in range(9)]


def test_the_hash_has_a_bit_for_each_step_that_rises_rows_from_the_top():
    assert near_duplicates.picture_hash(grid(rising(8))) == 2**64 - 1
    assert near_duplicates.picture_hash(grid(rising(0))) == 0
    assert near_duplicates.picture_hash(grid(rising(3), rising(0), rising(1), rising(0))) >> 40 == 0b11100000_00000000_10000000


def test_a_flat_picture_has_no_bits():
    assert near_duplicates.picture_hash(Image.new("RGB", (50, 40), (90, 120, 30))) == FLAT


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"])
def test_pictures_of_any_mode_have_a_hash(mode):
    assert 0 <= near_duplicates.picture_hash(grid(rising(5)).convert(mode)) < 2**64


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (9, 8)])
def test_pictures_of_any_size_have_a_hash(size):
    assert 0 <= near_duplicates.picture_hash(Image.new("RGB", size)) < 2**64


def test_smaller_copies_of_real_photos_have_nearly_the_same_hash(shared_data):
    folder = shared_data("datasets/bccd") / "BCCD" / "JPEGImages"
    hashes, copies = [], []
    for path in sorted(folder.glob("*.jpg"))[:40]:
        with Image.open(str(path)) as image:
            hashes.append(near_duplicates.picture_hash(image))
            copies.append(near_duplicates.picture_hash(image.resize((320, 240), Image.Resampling.LANCZOS)))
    differing = [bin(one ^ other).count("1") for one, other in zip(hashes, copies, strict=True)]
    assert max(differing) <= 3
    assert np.mean(differing) < 1


# folder of the shared data: the groups at the distance 4. All but the last are a scene photographed twice; that is two cards on one spot.
SERIES = {
    "bccd/BCCD/JPEGImages": [("BloodImage_00037", "BloodImage_00038")],
    "playing_cards/images/train": [
        ("IMG_2464", "IMG_2465"),
        ("IMG_2468", "IMG_2469"),
        ("IMG_2473", "IMG_2474"),
        ("cam_image1", "cam_image54"),
        ("cam_image18", "cam_image19"),
    ],
}


@pytest.mark.parametrize("name", SERIES)
def test_finds_what_real_datasets_have_twice(shared_data, name):
    folder = shared_data("datasets/" + name.split("/")[0]) / name.split("/", 1)[1]
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".JPG"))
    hashes = []
    for path in paths:
        with Image.open(str(path)) as image:
            hashes.append(near_duplicates.picture_hash(image))
    assert [tuple(paths[row].stem for row in group) for group in near_duplicates.groups(hashes, 4)] == SERIES[name]


def brute_force(hashes, distance):
    """The groups, by comparing every pair."""
    known = [row for row, value in enumerate(hashes) if near_duplicates.MIN_BITS <= bin(value).count("1") <= 64 - near_duplicates.MIN_BITS]
    group = {row: {row} for row in known}
    for one in known:
        for other in known:
            if bin(hashes[one] ^ hashes[other]).count("1") <= distance and group[one] is not group[other]:
                merged = group[one] | group[other]
                for row in merged:
                    group[row] = merged
    return sorted(sorted(rows) for rows in {id(rows): rows for rows in group.values()}.values() if len(rows) > 1)


BASES = [0x0123456789ABCDEF, 0x0123456789ABCDFF, 0xFFFF0000FFFF0000, 0xC8C08404048CCCD8, FLAT, 2**64 - 1]
CHANGED = st.tuples(st.sampled_from(BASES), st.lists(st.integers(0, 63), max_size=9)).map(
    lambda item: item[0] ^ sum(1 << bit for bit in set(item[1]))
)


@given(st.lists(st.one_of(CHANGED, st.integers(0, 2**64 - 1)), max_size=60), st.integers(0, 10))
@example([0x0F0F, 0x0F0F ^ 0b1111, 0x0F0F ^ 0b11111111], 4)
def test_groups_are_those_of_comparing_every_pair(hashes, distance):
    assert near_duplicates.groups(np.array(hashes, np.uint64), distance) == brute_force(hashes, distance)


def test_links_reach_through_others():
    base = 0x0123456789ABCDEF
    assert near_duplicates.groups([base, base ^ 0b1111, base ^ 0b11], 2) == [[0, 1, 2]]
    assert near_duplicates.groups([base, base ^ 0b1111], 2) == []


def test_flat_pictures_are_not_alike():
    assert near_duplicates.groups([FLAT] * 5 + [1, 2, 2**64 - 1, 2**64 - 1, 2**64 - 2], 4) == []


def test_nothing_has_no_groups():
    assert near_duplicates.groups([], 4) == []
    assert near_duplicates.groups([0x0123456789ABCDEF], 4) == []


def many(count):
    return np.frombuffer(np.random.RandomState(0).bytes(8 * count), np.uint64)


# name: (hashes, number of groups, size of the first one)
LARGE = {
    "all different": (many(50_000), 0, 0),
    "all equal": (np.full(200_000, 0x0123456789ABCDEF, np.uint64), 1, 200_000),
    "pairs": (np.concatenate([many(30_000), many(30_000) ^ np.uint64(0b101)]), 30_000, 2),
    "all alike": (np.uint64(0xC8C08404048CCCD8) ^ (many(20_000) & np.uint64(0xFFFF)), 1, 16_000),
}


@pytest.mark.parametrize("case", LARGE)
def test_many_pictures_take_no_time(case):
    hashes, number, size = LARGE[case]
    begin = time.process_time()
    found = near_duplicates.groups(hashes, 4)
    assert time.process_time() - begin < 10  # comparing every pair: minutes
    assert len(found) == number
    assert not found or len(found[0]) >= size
