"""What is found in an image file, and what its copy in the dataset is."""

import io
import itertools
import os
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from test_ingest_images import check, chunk, kinds, png
from voc_files import image_bytes

from stage_helpers import load

image_files = load("ingest", "pictures/image_files")
near_duplicates = load("ingest", "pictures/near_duplicates")
WIDTH, HEIGHT = 97, 71


def photo(width=WIDTH, height=HEIGHT, mode="RGB"):
    """A picture of soft colours and a little noise, unlike itself in every turn."""
    random = np.random.RandomState(0)
    soft = Image.fromarray(random.randint(0, 256, (6, 9, 3)).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    noisy = np.clip(np.asarray(soft).astype(int) + random.randint(-9, 10, (height, width, 3)), 0, 255)
    return Image.fromarray(noisy.astype(np.uint8)).convert(mode)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pixels(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


# name: the options of a JPEG of each way of coding.
JPEGS = {
    "baseline": {},
    "without subsampling": {"subsampling": 0},
    "half the chroma's columns": {"subsampling": 1},
    "restart markers": {"restart_marker_blocks": 3},
    "progressive": {"progressive": True},
    "grey": {"mode": "L"},
    "progressive grey": {"mode": "L", "progressive": True},
    "CMYK": {"mode": "CMYK"},
}


def jpeg(case):
    options = dict(JPEGS[case])
    return encoded(photo(mode=options.pop("mode", "RGB")), "JPEG", **options)


def damaged(tmp_path, data):
    checked, _ = check(tmp_path, data)
    return checked.code == "image-damaged"


@pytest.mark.parametrize("case", JPEGS)
def test_a_jpeg_without_its_end_is_damaged(tmp_path, case):
    data = jpeg(case)
    for cut in (*range(1, 12), len(data) // 2):
        assert damaged(tmp_path, data[:-cut]), cut
        assert damaged(tmp_path, data[:-cut] + bytes(cut + 50)), cut  # zeros, as after a crash: Pillow takes them


@pytest.mark.parametrize("case", JPEGS)
@pytest.mark.parametrize("part", [0.4, 0.6, 0.9])
def test_a_cut_jpeg_that_was_given_an_end_is_damaged(tmp_path, case, part):
    data = jpeg(case)
    start = data.rindex(b"\xff\xda") + 20
    cut = start + int((len(data) - start) * part)
    assert damaged(tmp_path, data[:cut].rstrip(b"\xff") + b"\xff\xd9")


@pytest.mark.parametrize("progressive", [False, True])
def test_a_picture_that_is_grey_at_its_end_is_whole(tmp_path, progressive):
    image = photo()
    image.paste((128, 128, 128), (0, 30, WIDTH, HEIGHT))
    data = encoded(image, "JPEG", progressive=progressive)
    checked, copy = check(tmp_path, data)
    assert (checked.code, copy) == (None, data)


def test_the_end_of_an_embedded_preview_is_not_the_files(tmp_path):
    preview = b"\xff\xe1" + struct.pack(">H", 2 + len(image_bytes())) + image_bytes()
    data = jpeg("half the chroma's columns")
    data = data[:2] + preview + data[2:]
    assert damaged(tmp_path, data[:-2] + bytes(50))  # all its pixels are there, and Pillow takes it
    assert check(tmp_path, data)[0].code is None


def test_fill_bytes_between_a_jpegs_segments_are_no_damage(tmp_path):
    data = jpeg("baseline")
    place = data.index(b"\xff\xdb")
    assert check(tmp_path, data[:place] + b"\xff\xff" + data[place:])[0].code is None


def test_a_wrong_extension_is_told_and_the_type_is_the_contents(tmp_path):
    data = encoded(photo(), "PNG")
    checked, copy = check(tmp_path, data, "a.jpg")
    assert (checked.format, copy, kinds(checked)) == ("PNG", data, [("fixed", "image-type")])
    assert "is PNG, though its name says JPEG" in checked.findings[0][2]


def test_an_extension_that_says_nothing_is_no_finding(tmp_path):
    assert check(tmp_path, encoded(photo(), "PNG"), "a.photo")[0].findings == ()


# name: (Pillow's format, its options, mode)
CONVERTED = {
    "a.bmp": ("BMP", {}, "RGB"),
    "palette.bmp": ("BMP", {}, "P"),
    "a.gif": ("GIF", {}, "P"),
    "a.webp": ("WEBP", {"lossless": True}, "RGB"),
    "a.tif": ("TIFF", {"compression": "tiff_lzw"}, "RGB"),
    "big.tiff": ("TIFF", {"big_tiff": True}, "RGB"),
    "jpeg.tiff": ("TIFF", {"compression": "jpeg"}, "RGB"),
    "a.avif": ("AVIF", {}, "RGB"),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_other_types_become_png_of_the_same_pixels(tmp_path, name):
    kind, options, mode = CONVERTED[name]
    data = encoded(photo(mode=mode), kind, **options)
    checked, copy = check(tmp_path, data, name)
    assert (checked.format, checked.width, checked.height) == ("PNG", WIDTH, HEIGHT)
    assert kinds(checked) == [("fixed", "image-converted")]
    assert (pixels(copy) == pixels(data)).all()
    assert copy.startswith(b"\x89PNG")


def test_a_bitmap_named_jpeg_is_both(tmp_path):
    checked, _ = check(tmp_path, encoded(photo(), "BMP"), "a.jpg")
    assert kinds(checked) == [("fixed", "image-type"), ("fixed", "image-converted")]


@pytest.mark.parametrize("name", CONVERTED)
def test_other_types_that_are_cut_are_damaged(tmp_path, name):
    kind, options, mode = CONVERTED[name]
    data = encoded(photo(mode=mode), kind, **options)
    for part in (0.1, 0.5, 0.9):
        assert damaged(tmp_path, data[: int(len(data) * part)]), part


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_refused(tmp_path, kind):
    second = photo().transpose(Image.Transpose.ROTATE_180)
    data = encoded(photo(), kind, save_all=True, append_images=[second])
    checked, _ = check(tmp_path, data, "a." + kind.lower())
    assert (checked.code, checked.findings) == ("image-animated", ())
    assert "2 frames" in checked.message


def test_of_a_tiffs_pages_the_first_is_taken(tmp_path):
    second = photo().transpose(Image.Transpose.ROTATE_180)
    checked, copy = check(tmp_path, encoded(photo(), "TIFF", save_all=True, append_images=[second]), "a.tif")
    assert ("doubt", "image-pages") in kinds(checked)
    assert (pixels(copy) == np.asarray(photo())).all()


@pytest.mark.parametrize(("dtype", "said"), [(np.float32, "floating-point"), (np.int32, "32-bit")])
def test_numbers_that_are_not_of_8_or_16_bits_are_refused(tmp_path, dtype, said):
    checked, _ = check(tmp_path, encoded(Image.fromarray(np.zeros((3, 4), dtype)), "TIFF"), "a.tif")
    assert checked.code == "image-type"
    assert said in checked.message


def turned(orientation, image=None):
    """(the picture as a file with that EXIF orientation stores it, its EXIF)."""
    # https://www.cipa.jp/std/documents/e/DC-X008-Translation-2019-E.pdf, 4.6.4: what row 0 and column 0 are.
    stored = np.asarray(image or photo())
    stored = stored.swapaxes(0, 1) if orientation >= 5 else stored
    stored = stored[:, ::-1] if orientation in (2, 3, 7, 8) else stored
    stored = stored[::-1] if orientation in (3, 4, 6, 7) else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    return Image.fromarray(np.ascontiguousarray(stored)), exif


def orientation_of(data):
    with Image.open(io.BytesIO(data)) as image:
        return image.getexif().get(0x0112)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_the_copy_is_upright(tmp_path, name, orientation):
    stored, exif = turned(orientation)
    kind, options = {
        "a.jpg": ("JPEG", {"quality": 95}),
        "a.png": ("PNG", {}),
        "a.webp": ("WEBP", {"lossless": True}),
        "a.tif": ("TIFF", {}),
    }[name]
    checked, copy = check(tmp_path, encoded(stored, kind, exif=exif, **options), name)
    assert checked.orientation == orientation
    assert (checked.width, checked.height) == (WIDTH, HEIGHT)
    assert ("fixed", "exif-orientation") in kinds(checked)
    assert checked.format == ("JPEG" if name == "a.jpg" else "PNG")
    assert orientation_of(copy) is None
    difference = np.abs(pixels(copy) - np.asarray(photo()))
    assert difference.mean() < 6 if name == "a.jpg" else difference.max() == 0  # a wrong turn: 30 or more
    assert near(checked.dhash, near_duplicates.picture_hash(photo()))


def near(one, other):
    return bin(one ^ other).count("1") <= 2


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turning_whole_blocks_of_a_jpeg_loses_next_to_nothing(tmp_path, orientation):
    stored, exif = turned(orientation, photo(128, 96))
    data = encoded(stored, "JPEG", exif=exif, quality=70)
    _, copy = check(tmp_path, data)
    seen = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))).astype(int)
    assert np.abs(pixels(copy) - seen).mean() < 0.5  # 0.7 or more with the tables' axes as they were
    assert abs(len(copy) - len(data)) < 0.05 * len(data)


# (orientation, luma's sampling factors before, and after); Pillow writes no 1 × 2.
FACTORS = [(3, 0, (1, 1)), (3, 1, (2, 1)), (3, 2, (2, 2)), (6, 0, (1, 1)), (6, 1, (1, 1)), (6, 2, (2, 2))]


@pytest.mark.parametrize(("orientation", "subsampling", "factors"), FACTORS)
def test_a_turned_jpeg_has_its_own_tables_and_subsampling(tmp_path, orientation, subsampling, factors):
    luma, chroma = [1 + place for place in range(64)], [70 + place for place in range(64)]
    stored, exif = turned(orientation)
    _, copy = check(tmp_path, encoded(stored, "JPEG", exif=exif, qtables=[luma, chroma], subsampling=subsampling))
    with Image.open(io.BytesIO(copy)) as image:
        expected = [luma, chroma] if orientation == 3 else [np.reshape(table, (8, 8)).T.ravel().tolist() for table in (luma, chroma)]
        assert [list(image.quantization[component[3]]) for component in image.layer[:2]] == expected
        assert image.layer[0][1:3] == factors


def test_a_grey_jpeg_is_turned_in_grey(tmp_path):
    stored, exif = turned(6, photo(mode="L"))
    checked, copy = check(tmp_path, encoded(stored, "JPEG", exif=exif))
    assert Image.open(io.BytesIO(copy)).mode == "L"
    assert (checked.format, checked.width) == ("JPEG", WIDTH)


def test_a_jpeg_of_rgb_is_turned_in_rgb(tmp_path):
    stored, exif = turned(4)
    _, copy = check(tmp_path, encoded(stored, "JPEG", exif=exif, keep_rgb=True, quality=95))
    assert Image.open(io.BytesIO(copy)).info["adobe_transform"] == 0
    assert np.abs(pixels(copy) - np.asarray(photo())).mean() < 6


def test_a_cmyk_jpeg_is_turned_into_an_rgb_png(tmp_path):
    stored, exif = turned(8)
    data = encoded(stored.convert("CMYK"), "JPEG", exif=exif)
    checked, copy = check(tmp_path, data)
    assert {("fixed", "exif-orientation"), ("fixed", "image-converted")} <= set(kinds(checked))
    assert (checked.format, checked.width, checked.height) == ("PNG", WIDTH, HEIGHT)
    assert (pixels(copy) == np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))).all()


def test_the_copy_of_a_turned_image_is_always_the_same(tmp_path):
    stored, exif = turned(6)
    for kind, name in (("JPEG", "a.jpg"), ("PNG", "a.png")):
        data = encoded(stored, kind, exif=exif)
        assert image_in(tmp_path / (kind + "1"), data, name) == image_in(tmp_path / (kind + "2"), data, name)


def test_the_copy_of_a_turned_jpeg_has_nothing_of_the_originals_but_its_pixels(tmp_path):
    stored, exif = turned(3)
    _, copy = check(tmp_path, encoded(stored, "JPEG", exif=exif, comment=b"where I live", icc_profile=b"profile", dpi=(300, 300)))
    assert not set(Image.open(io.BytesIO(copy)).info) & {"comment", "exif", "icc_profile", "dpi"}


def test_a_png_copy_has_nothing_of_the_originals_but_its_pixels(tmp_path):
    stored, exif = turned(3)
    data = encoded(stored.quantize(16), "PNG", exif=exif, transparency=3, icc_profile=b"profile", dpi=(300, 300))
    _, copy = check(tmp_path, data, "a.png")
    place, chunks = 8, []
    while place < len(copy):
        chunks.append(copy[place + 4 : place + 8])
        place += 12 + struct.unpack_from(">I", copy, place)[0]
    assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}
    assert (pixels(copy) == np.asarray(stored.quantize(16).convert("RGB"))[::-1, ::-1]).all()


TURNED, TURNED_EXIF = turned(6, photo(33, 21))
SOURCES = {name: encoded(photo(33, 21, mode=mode), kind, **options) for name, (kind, options, mode) in CONVERTED.items()}
SOURCES.update({"turned.jpg": encoded(TURNED, "JPEG", exif=TURNED_EXIF), "turned.png": encoded(TURNED, "PNG", exif=TURNED_EXIF)})
FLIPS = st.lists(st.tuples(st.one_of(st.integers(0, 200), st.integers(0, 10**6)), st.integers(0, 255)), max_size=6)


@given(st.sampled_from(sorted(SOURCES)), FLIPS)
def test_a_damaged_image_of_any_type_is_taken_or_refused_but_never_a_crash(tmp_path_factory, name, flips):
    data = bytearray(SOURCES[name])
    for place, value in flips:
        data[place % len(data)] = value
    checked, copy = check(tmp_path_factory.mktemp("flip"), bytes(data), name)
    assert copy is None or pixels(copy).shape == (checked.height, checked.width, 3)


def image_in(folder, data, name):
    folder.mkdir()
    return check(folder, data, name)


@pytest.mark.parametrize("orientation", [0, 9, 300])
def test_an_orientation_that_does_not_exist_is_noted(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = image_bytes(exif=exif)
    checked, copy = check(tmp_path, data)
    assert (checked.orientation, copy) == (1, data)
    assert kinds(checked) == [("note", "exif-orientation-invalid")]
    assert "is %d" % orientation in checked.findings[0][2]


@pytest.mark.parametrize("exif", [b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*\0\0\0\x08\0\x01"])
def test_exif_that_cannot_be_read_turns_nothing(tmp_path, exif):
    checked, _ = check(tmp_path, image_bytes(exif=exif))
    assert (checked.code, checked.orientation, checked.findings) == (None, 1, ())


def test_an_orientation_in_xmp_alone_turns_nothing(tmp_path):
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    data = image_bytes(xmp=xmp)
    assert orientation_of(data) == 6  # for Pillow it counts
    assert check(tmp_path, data)[0].orientation == 1


def test_real_photos_of_every_orientation_come_out_upright(shared_data, tmp_path):
    photos = shared_data("datasets/exif")
    for kind, size in (("Landscape", (1800, 1200)), ("Portrait", (1200, 1800))):
        seen, hashes = {}, {}
        for orientation in range(9):
            name = "%s_%d.jpg" % (kind, orientation)
            checked, copy = image_in(tmp_path / name, (photos / name).read_bytes(), name)
            assert checked.orientation == max(orientation, 1)
            assert (checked.width, checked.height) == size
            image = Image.open(io.BytesIO(copy))
            assert image.size == size
            assert orientation_of(copy) == (orientation if orientation < 2 else None)
            seen[orientation] = np.asarray(image.resize((size[0] // 10, size[1] // 10), Image.Resampling.BOX)).astype(int)
            hashes[orientation] = checked.dhash
        for orientation in range(9):
            assert np.abs(seen[orientation] - seen[1]).mean() < 2, (kind, orientation)
            assert near(hashes[orientation], hashes[1])
        assert np.abs(seen[1][::-1] - seen[1]).mean() > 20  # so that a wrong turn is seen


def see_through(mode, alpha):
    image = photo().convert(mode)
    image.putalpha(alpha)
    return image


HALF = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
SOLID = Image.new("L", (WIDTH, HEIGHT), 255)
# name: (PNG's bytes, whether it has transparent pixels)
ALPHA = {
    "RGBA": (encoded(see_through("RGB", HALF), "PNG"), True),
    "RGBA, opaque": (encoded(see_through("RGB", SOLID), "PNG"), False),
    "LA": (encoded(see_through("L", HALF), "PNG"), True),
    "LA, opaque": (encoded(see_through("L", SOLID), "PNG"), False),
    "palette with a transparent entry": (encoded(photo().quantize(8), "PNG", transparency=0), True),
    "palette whose transparent entry is not used": (encoded(photo().quantize(8), "PNG", transparency=200), False),
    "RGB with a transparent colour": (png(extra=chunk(b"tRNS", struct.pack(">HHH", 0, 1, 2))), True),
    "RGB whose transparent colour is not there": (png(extra=chunk(b"tRNS", struct.pack(">HHH", 9, 9, 9))), False),
    "grey with a transparent shade": (encoded(photo(mode="L"), "PNG", transparency=int(np.asarray(photo(mode="L"))[0, 0])), True),
    "RGB": (encoded(photo(), "PNG"), False),
}


@pytest.mark.parametrize("case", ALPHA)
def test_transparent_pixels_are_doubtful(tmp_path, case):
    data, expected = ALPHA[case]
    checked, copy = check(tmp_path, data, "a.png")
    assert copy == data
    assert (("doubt", "image-alpha") in kinds(checked)) == expected


def test_the_copy_of_a_transparent_webp_has_the_colours_beneath(tmp_path):
    data = encoded(see_through("RGB", HALF), "WEBP", lossless=True, exact=True)
    checked, copy = check(tmp_path, data, "a.webp")
    assert kinds(checked) == [("doubt", "image-alpha"), ("fixed", "image-converted")]
    assert (pixels(copy) == np.asarray(photo())).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_colours_that_a_tiff_holds_multiplied_by_alpha_are_divided_again(tmp_path, mode):
    colour = {"LA": (100, 128), "RGBA": (100, 50, 20, 128)}[mode]
    data = encoded(Image.new(mode, (4, 3), colour), "TIFF")
    tag = struct.pack("<HHI", 338, 3, 1)  # ExtraSamples, one short: 2 is alpha apart from the colours, 1 alpha multiplied in
    checked, copy = check(tmp_path, data.replace(tag + b"\2", tag + b"\1").replace(tag + b"\0", tag + b"\1"), "a.tif")
    assert ("doubt", "image-alpha") in kinds(checked)
    assert (pixels(copy)[..., 0] == 199).all()


def test_sixteen_bit_grey_with_a_transparent_shade_is_converted(tmp_path):
    rows = b"".join(b"\0" + struct.pack(">4H", *range(row, row + 4)) for row in range(3))
    checked, _ = check(tmp_path, png(depth=16, colour=0, rows=rows, extra=chunk(b"tRNS", struct.pack(">H", 2))), "a.png")
    assert kinds(checked) == [("note", "image-grey"), ("fixed", "image-converted")]


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "1"), ("PNG", "LA")])
def test_grey_is_noted(tmp_path, kind, mode):
    checked, _ = check(tmp_path, encoded(photo(mode="L").convert(mode), kind), "a.png" if kind == "PNG" else "a.jpg")
    assert kinds(checked) == [("note", "image-grey")]


def test_cmyk_is_noted(tmp_path):
    assert kinds(check(tmp_path, jpeg("CMYK"))[0]) == [("note", "image-cmyk")]


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (6, 4)])
def test_sixteen_bit_colours_become_their_high_bytes(tmp_path, colour, channels):
    values = np.random.RandomState(0).randint(0, 65536, (3, 4, channels))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    checked, copy = check(tmp_path, png(depth=16, colour=colour, rows=rows), "a.png")
    assert ("fixed", "image-converted") in kinds(checked)
    assert copy[24] == 8
    assert (pixels(copy) == (values >> 8)[..., :3]).all()


def bomb(kind):
    """A file whose header declares 65,000 × 65,000 pixels."""
    side = 65000
    if kind == "JPEG":
        data = bytearray(encoded(photo(), "JPEG"))
        place = data.index(b"\xff\xc0")
        struct.pack_into(">HH", data, place + 5, side, side)
        return bytes(data)
    if kind == "GIF":
        data = bytearray(encoded(photo(mode="P"), "GIF"))
        struct.pack_into("<HH", data, 6, side, side)
        return bytes(data)
    data = bytearray(encoded(photo(), "BMP"))
    struct.pack_into("<ii", data, 18, side, side)
    return bytes(data)


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "BMP"])
def test_a_size_that_bursts_the_memory_is_refused_before_decoding(tmp_path, kind):
    checked, _ = check(tmp_path, bomb(kind))
    assert checked.code == "image-too-large"
    assert "178956970 pixels" in checked.message


def test_a_file_that_bursts_the_memory_is_not_read(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(image_bytes())
    os.truncate(str(path), 2**30 + 1)
    assert image_files.check_image((str(path), str(tmp_path))).code == "image-too-large"


def make_pipe(path):
    os.mkfifo(str(path))


# name: (how to make what stands at the path, code)
NO_FILES = {
    "missing": (lambda path: None, "image-missing"),
    "a link that leads nowhere": (lambda path: path.symlink_to("nowhere"), "image-missing"),
    "a folder": (lambda path: path.mkdir(), "image-unreadable"),
    "a pipe": (make_pipe, "image-unreadable"),
    "a link to itself": (lambda path: path.symlink_to(path), "image-unreadable"),
}


@pytest.mark.parametrize("case", NO_FILES)
def test_what_is_no_file_is_refused(tmp_path, case):
    make, code = NO_FILES[case]
    make(tmp_path / "a.jpg")
    checked = image_files.check_image((str(tmp_path / "a.jpg"), str(tmp_path)))
    assert (checked.code, checked.findings) == (code, ())
    assert checked.message


def test_the_same_content_is_kept_once(tmp_path):
    first, _ = check(tmp_path, image_bytes(1), "a.jpg")
    again, copy = check(tmp_path, image_bytes(1), "b.jpg")
    assert first == again
    assert copy == image_bytes(1)


def test_a_copy_that_is_there_is_not_written_again(tmp_path):
    checked, _ = check(tmp_path, image_bytes(1))
    path = tmp_path / "kept" / (checked.sha256 + ".jpg")
    before = path.stat()
    os.utime(str(path), ns=(1, 1))
    check(tmp_path, image_bytes(1), "b.jpg")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (1, before.st_ino)


def test_the_copy_does_not_change_with_the_original(tmp_path):
    checked, _ = check(tmp_path, image_bytes(1))
    with open(str(tmp_path / "a.jpg"), "r+b") as stream:
        stream.write(b"edited")
    assert (tmp_path / "kept" / (checked.sha256 + ".jpg")).read_bytes() == image_bytes(1)


def test_every_finding_has_a_way_a_code_and_a_message(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 7
    findings = itertools.chain(
        check(tmp_path, encoded(photo(mode="L"), "BMP"), "a.jpg")[0].findings,
        image_in(tmp_path / "2", encoded(see_through("L", HALF), "PNG", exif=exif), "a.gif")[0].findings,
    )
    told = list(findings)
    assert [code for _, code, _ in told] == [
        "image-type",
        "image-grey",
        "image-converted",
        "image-type",
        "exif-orientation",
        "image-alpha",
        "image-grey",
    ]
    assert all(way in ("doubt", "fixed", "note") and message for way, _, message in told)
