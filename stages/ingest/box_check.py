"""The checks that every box must pass, on columns: two million boxes in a second."""

import numpy as np

OK, NOT_A_NUMBER, INVERTED, EMPTY, OUTSIDE, REACHES = range(6)
CODES = {NOT_A_NUMBER: "box-not-a-number", INVERTED: "box-inverted", EMPTY: "box-empty", OUTSIDE: "box-outside", REACHES: "box-outside"}
# A box that reaches outside by less is put back without a word, and a narrower one has no area: text with six decimals of a fraction is no
# more exact, and a side that is narrower still becomes 0 in the records' float32.
ROUNDING = 0.01  # pixels


def judge(box, width, height):
    """(verdict uint8 [n], inside float64 [n, 4]): what is wrong with each box, and the box within the image.

    box: float64 [n, 4], [xmin, ymin, xmax, ymax], edges in pixels: 0 is the image's left edge, `width` its right one. width, height: of
    each box's image in pixels, arrays [n] or numbers. OK: finite, xmin < xmax, ymin < ymax, in the image but for ROUNDING, and both sides
    there ROUNDING or more. REACHES: partly outside; OUTSIDE: but for less than that, wholly. EMPTY: a side is narrower than ROUNDING.
    `inside` is the box cut at the image's edges, as 0 <= xmin <= xmax <= width.
    """
    xmin, ymin, xmax, ymax = np.ascontiguousarray(box.T)
    verdict = np.zeros(len(box), np.uint8)
    inside = np.empty_like(box)
    with np.errstate(invalid="ignore", over="ignore"):
        np.clip(xmin, 0, width, out=inside[:, 0])
        np.clip(ymin, 0, height, out=inside[:, 1])
        np.clip(xmax, 0, width, out=inside[:, 2])
        np.clip(ymax, 0, height, out=inside[:, 3])
        reaches = (xmin < -ROUNDING) | (ymin < -ROUNDING) | (xmax > width + ROUNDING) | (ymax > height + ROUNDING)
        verdict[reaches] = REACHES
        verdict[(inside[:, 2] - inside[:, 0] < ROUNDING) | (inside[:, 3] - inside[:, 1] < ROUNDING)] = OUTSIDE
        verdict[(xmax - xmin < ROUNDING) | (ymax - ymin < ROUNDING)] = EMPTY
        verdict[(xmin > xmax) | (ymin > ymax)] = INVERTED
    verdict[~np.isfinite(box).all(axis=1)] = NOT_A_NUMBER
    return verdict, inside


def sorted_corners(box):
    """The boxes with each pair of corners put in order. float64 [n, 4]."""
    return np.column_stack([np.minimum(box[:, :2], box[:, 2:]), np.maximum(box[:, :2], box[:, 2:])])


def repeated(image, label, box):
    """(rows, firsts): each row whose image, label and box an earlier row has too, and the first such row. int64 arrays, rows ascending."""
    keys = _mixed(image, label, box)
    order = np.argsort(keys, kind="stable")
    same = keys[order[1:]] == keys[order[:-1]]
    rows, firsts = [], []
    seen = {}
    # Few rows share a key, and only they are compared in full.
    for place in np.unique(np.concatenate([np.nonzero(same)[0], np.nonzero(same)[0] + 1])):
        row = int(order[place])
        first = seen.setdefault((int(image[row]), int(label[row]), *box[row].tolist()), row)
        if first != row:
            rows.append(row)
            firsts.append(first)
    by_row = np.argsort(np.array(rows, np.int64), kind="stable")
    return np.array(rows, np.int64)[by_row], np.array(firsts, np.int64)[by_row]


def _mixed(image, label, box):
    """A 64-bit hash of each row. +0.0 makes -0.0 the same as 0.0."""
    mixed = image.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + label.astype(np.uint64)
    for column in range(4):
        bits = (box[:, column] + 0.0).view(np.uint64)
        mixed = (mixed ^ bits) * np.uint64(0xD6E8FEB86659FD93)
        mixed ^= mixed >> np.uint64(32)
    return mixed


def upright(box, orientation, width, height):
    """Boxes drawn on stored pixels as they lie in the upright picture, float64 [n, 4] (EXIF 2.3, tag 0x0112).

    orientation: int [n], 1 to 8; width, height: of the stored picture, arrays [n] or numbers.
    """
    xmin, ymin, xmax, ymax = box.T
    turned = orientation >= 5
    mirrored_x = np.isin(orientation, (2, 3, 7, 8))
    mirrored_y = np.isin(orientation, (3, 4, 6, 7))
    low_x, high_x = np.where(mirrored_x, width - xmax, xmin), np.where(mirrored_x, width - xmin, xmax)
    low_y, high_y = np.where(mirrored_y, height - ymax, ymin), np.where(mirrored_y, height - ymin, ymax)
    return np.column_stack(
        [
            np.where(turned, low_y, low_x),
            np.where(turned, low_x, low_y),
            np.where(turned, high_y, high_x),
            np.where(turned, high_x, high_y),
        ]
    )
