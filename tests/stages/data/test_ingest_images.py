"""Which images are taken, and that the copy decodes to the same pixels wherever it is read."""

import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from _detection.png_check import png_fault
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from voc_files import HEIGHT, WIDTH, image_bytes

from stage_helpers import load

image_files = load("ingest", "pictures/image_files")


def check(tmp_path, data, name="a.jpg"):
    """(Checked, the copy's bytes or None)."""
    (tmp_path / name).write_bytes(data)
    kept = tmp_path / "kept"
    kept.mkdir(exist_ok=True)
    checked = image_files.check_image((str(tmp_path / name), str(kept)))
    copies = list(kept.iterdir())
    assert len(copies) == (checked.code is None)
    return checked, copies[0].read_bytes() if copies else None


def kinds(checked):
    """(way, code) of each finding."""
    return [(way, code) for way, code, _ in checked.findings]


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width=4, height=3, depth=8, colour=2, rows=None, extra=b"", interlaced=0, rest=b""):
    """A PNG made by hand. rows: the unpacked pixel bytes."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    rows = rows if rows is not None else (b"\0" + bytes(range(width * 3))) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + (rest or chunk(b"IEND", b""))


# name: the file's bytes. The copy must be these very bytes.
KEPT = {
    "colour": image_bytes(1),
    "progressive": image_bytes(1, progressive=True),
    "grey": image_bytes(1, mode="L"),
    "CMYK with Adobe's marker": image_bytes(1, mode="CMYK"),
    "quality 100 without subsampling": image_bytes(1, quality=100, subsampling=0),
    "rubbish after the end": image_bytes(1) + b"rubbish",
    "PNG": image_bytes(1, kind="PNG"),
    "PNG grey": image_bytes(1, kind="PNG", mode="L"),
    "PNG palette": image_bytes(1, kind="PNG", mode="P"),
    "PNG alpha": image_bytes(1, kind="PNG", mode="RGBA"),
    "PNG grey alpha": image_bytes(1, kind="PNG", mode="LA"),
    "PNG one bit": image_bytes(1, kind="PNG", mode="1"),
    "PNG interlaced": png(5, 9, interlaced=1, rows=bytes(9 * 5 * 3 + 19)),
    "PNG with text": png(extra=chunk(b"tEXt", b"a\0b")),
    "PNG and rubbish": png() + b"rubbish",
}


@pytest.mark.parametrize("case", KEPT, ids=lambda case: case.replace(" ", "-"))
def test_keeps_the_files_own_bytes(tmp_path, case):
    data = KEPT[case]
    name = "a.png" if data[1:4] == b"PNG" else "a.jpg"
    checked, copy = check(tmp_path, data, name)
    assert checked.code is None, checked.message
    assert copy == data
    assert checked.sha256 == hashlib.sha256(data).hexdigest()
    assert checked.bytes == len(data)
    assert checked.format == ("PNG" if name == "a.png" else "JPEG")
    assert not [code for way, code, _ in checked.findings if way == "fixed"]
    assert (checked.width, checked.height) == Image.open(io.BytesIO(data)).size


def without_adobe_marker(data):
    """A JPEG without its APP14 segment."""
    place = data.index(b"\xff\xee")
    return data[:place] + data[place + 2 + struct.unpack_from(">H", data, place + 2)[0] :]


def test_sixteen_bit_grey_is_stored_as_its_high_byte(tmp_path):
    values = np.random.RandomState(0).randint(0, 65536, (HEIGHT, WIDTH)).astype(np.uint16)
    encoded = io.BytesIO()
    Image.fromarray(values).save(encoded, "PNG")
    checked, copy = check(tmp_path, encoded.getvalue(), "a.png")
    assert checked.format == "PNG"
    assert ("fixed", "image-converted") in kinds(checked)
    assert checked.sha256 == hashlib.sha256(copy).hexdigest()
    assert checked.bytes == len(copy)
    assert (np.asarray(Image.open(io.BytesIO(copy)).convert("RGB"))[..., 0] == values >> 8).all()


def test_cmyk_without_adobes_marker_is_stored_as_rgb(tmp_path):
    data = without_adobe_marker(image_bytes(1, mode="CMYK"))
    checked, copy = check(tmp_path, data)
    assert checked.format == "PNG"
    assert kinds(checked) == [("fixed", "image-converted")]
    assert (np.asarray(Image.open(io.BytesIO(copy))) == np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).all()


def test_a_phones_several_pictures_in_one_jpeg_count_as_the_first(tmp_path):
    first, second = (Image.open(io.BytesIO(image_bytes(seed, kind="PNG"))) for seed in (1, 2))
    encoded = io.BytesIO()
    first.save(encoded, "MPO", save_all=True, append_images=[second])
    checked, copy = check(tmp_path, encoded.getvalue())
    assert checked.format == "JPEG"
    assert copy == encoded.getvalue()


@pytest.mark.parametrize("suffix", [".jpg", ".JPG", ".jpeg", ".jpe", ".jfif"])
def test_extensions_of_jpeg(tmp_path, suffix):
    assert check(tmp_path, image_bytes(), "a" + suffix)[0].code is None


GOOD_PNG = image_bytes(1, kind="PNG")
# name: (bytes, file name, code, part of the message)
REFUSED = {
    "empty": (b"", "a.jpg", "image-empty", "empty file"),
    "text": (b"hello, I am a picture", "a.jpg", "image-type", "of an unknown type"),
    "a web page": (b"<!DOCTYPE html><html>404</html>", "a.jpg", "image-type", "web page"),
    "a Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a.jpg", "image-type", "git lfs pull"),
    "PDF": (b"%PDF-1.4", "a.png", "image-type", "is PDF"),
    "a video": (b"\0\0\0\x18ftypisom" + bytes(99), "a.png", "image-type", "a video"),
    "HEIC named JPEG": (b"\0\0\0\x18ftypheic" + bytes(99), "a.jpg", "image-type", "HEIC"),
    "JPEG's first bytes alone": (image_bytes()[:20], "a.jpg", "image-damaged", "header is damaged"),
    "JPEG cut in the middle": (image_bytes()[:1500], "a.jpg", "image-damaged", "truncated"),
    "JPEG without its last two bytes": (image_bytes()[:-2], "a.jpg", "image-damaged", "truncated"),
    "PNG cut in the middle": (GOOD_PNG[: len(GOOD_PNG) // 2], "a.png", "image-damaged", "no end (IEND)"),
    "PNG without its end": (GOOD_PNG[:-12], "a.png", "image-damaged", "no end (IEND)"),
    "PNG whose end is damaged": (GOOD_PNG[:-1] + b"\0", "a.png", "image-damaged", "IEND is wrong"),
    "PNG with a flipped bit": (GOOD_PNG[:200] + bytes([GOOD_PNG[200] ^ 1]) + GOOD_PNG[201:], "a.png", "image-damaged", "IDAT is wrong"),
    "PNG with too few rows": (png(rows=bytes(13 * 2)), "a.png", "image-damaged", "26 bytes of pixels where 39 are needed"),
    "interlaced PNG with too few rows": (
        png(5, 9, interlaced=1, rows=bytes(9 * 5 * 3 + 18)),
        "a.png",
        "image-damaged",
        "where 154 are needed",
    ),
    "PNG without pixels": (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 3, 8, 2, 0, 0, 0)) + chunk(b"IEND", b""),
        "a.png",
        "image-damaged",
        "0 bytes",
    ),
    "PNG with pixels that are not packed": (
        png().replace(zlib.compress((b"\0" + bytes(range(12))) * 3), b""),
        "a.png",
        "image-damaged",
        "",
    ),
    "PNG of a size that bursts the memory": (png(100000, 100000, rows=b""), "a.png", "image-too-large", "178956970 pixels"),
    "PNG of no size": (png(0, 0, rows=b""), "a.png", "image-damaged", ""),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_refuses(tmp_path, case):
    data, name, code, message = REFUSED[case]
    checked, _ = check(tmp_path, data, name)
    assert (checked.code, checked.sha256) == (code, None)
    assert message in checked.message


@pytest.mark.parametrize(("mode", "depth", "colour"), [("1", 1, 0), ("L", 8, 0), ("P", 8, 3), ("LA", 8, 4), ("RGB", 8, 2), ("RGBA", 8, 6)])
def test_counts_the_pixels_of_every_kind_of_png(mode, depth, colour):
    data = image_bytes(3, (21, 5), "PNG", mode)
    assert struct.unpack_from(">BB", data, 24) == (depth, colour)
    assert png_fault(data) is None


FLIPS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6)


@given(st.sampled_from(sorted(KEPT)), FLIPS, st.integers(0, 10**6))
def test_a_damaged_image_is_taken_or_refused_but_never_a_crash(tmp_path_factory, case, flips, cut):
    data = bytearray(KEPT[case])
    for place, value in flips:
        data[place % len(data)] = value
    folder = tmp_path_factory.mktemp("flip")
    name = "a.png" if KEPT[case][1:4] == b"PNG" else "a.jpg"
    checked, copy = check(folder, bytes(data[: len(data) - cut % len(data) if cut % 2 else len(data)]), name)
    if copy is not None:
        with Image.open(io.BytesIO(copy)) as image:
            assert image.convert("RGB").size == (checked.width, checked.height)
