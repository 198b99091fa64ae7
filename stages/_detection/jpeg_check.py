"""Whether a JPEG file is whole: Pillow shows what it can of a cut one, TensorFlow refuses it amid training, or fills it with grey.

Structure and marker codes: ITU-T T.81, annex B. Measured with the libjpeg of TensorFlow 1.13 and 2: a file without its end (EOI) is
refused; one whose data ends early but has an end is taken, and its rest is grey. Pillow takes some of the former, too.
"""

import io

from PIL import Image

_END, _SCAN = b"\xff\xd9", b"\xff\xda"
_BARE = {0x01, 0xFF, *range(0xD0, 0xD9)}  # marker codes without a length; 0xff is fill
_NEUTRAL = range(126, 130)  # of a sample whose coefficients are all 0, in any colour space
# Any bits that are not those a decoder invents (zeros), without a marker.
_FILLER = bytes(range(0x11, 0xE1, 13)) * 6


def jpeg_fault(data, image):
    """What is wrong with a JPEG file, or None. data: its bytes; image: what Pillow decoded of them.

    A baseline file that was cut within its very last block of pixels (16 × 16 at most), and given an end, passes.
    """
    scan = _first_scan(data)
    end = data.find(_END, scan)
    if end < 0:
        return "the file is cut short: it has no end (EOI)"
    in_pieces = data.find(_SCAN, scan + 2, end) >= 0  # progressive, say: a missing piece makes it less sharp, not grey
    if (in_pieces or _corner_is_neutral(image)) and _needs_more(data[:end], image):
        return "the file is cut short: its pixels end before the picture does"
    return None


def _first_scan(data):
    """Where the first scan starts: an end inside an embedded preview comes before it."""
    place = 2
    while place + 4 <= len(data):
        code = data[place + 1]
        if data[place] != 0xFF or code in _BARE:
            place += 1
        elif code == _SCAN[1]:
            return place
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return len(data)


def _corner_is_neutral(image):
    """Whether the last pixel may be one that the decoder invented."""
    value = image.getpixel((image.width - 1, image.height - 1))
    return all(sample in _NEUTRAL for sample in (value if isinstance(value, tuple) else (value,)))


def _needs_more(data, image):
    """Whether bytes after the data change the picture: to a whole one they add nothing."""
    try:
        with Image.open(io.BytesIO(data + _FILLER + _END), formats=("JPEG",)) as other:
            return other.tobytes() != image.tobytes()
    except OSError:
        return True
