"""Writing a JPEG file that was turned, with the least loss."""

import io

# Sampling factors (horizontal, vertical) of the luma, where both chromas have 1 × 1: Pillow's number for them.
_SUBSAMPLING = {(1, 1): 0, (2, 1): 1, (2, 2): 2}


def encode_turned(turned, original, quarter):
    """A JPEG file's bytes of the image `turned`, compressed as finely as `original`, a JPEG that Pillow opened; no EXIF.

    Quantization tables are the original's, with their axes swapped for a quarter turn; so is the chroma's subsampling, but for kinds that
    Pillow does not write, which become 4:4:4.
    """
    components = original.layer  # (id, horizontal, vertical sampling factor, number of the quantization table)
    tables = [list(original.quantization[number]) for _, _, _, number in components]
    factors = [(vertical, horizontal) if quarter else (horizontal, vertical) for _, horizontal, vertical, _ in components]
    options = {"subsampling": _SUBSAMPLING.get(factors[0], 0) if set(factors[1:]) == {(1, 1)} else 0} if len(factors) == 3 else {}
    if original.info.get("adobe_transform") == 0 and turned.mode == "RGB":
        options["keep_rgb"] = True
    turned.info = {}
    encoded = io.BytesIO()
    turned.save(encoded, "JPEG", qtables=[_transposed(table) for table in tables] if quarter else tables, **options)
    return encoded.getvalue()


def _transposed(table):
    return [table[8 * column + row] for row in range(8) for column in range(8)]
