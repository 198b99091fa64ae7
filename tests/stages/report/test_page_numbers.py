"""Numbers on a page are written for people."""

import pytest
from _report import page as pages


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (pages.metric, 0.93951, "0.940"),
        (pages.metric, None, "–"),
        (pages.signed, -0.0018, "−0.002"),
        (pages.signed, 0.0004, "±0.000"),
        (pages.signed, 0.5, "+0.500"),
        (pages.signed_count, -1200, "−1,200"),
        (pages.signed_count, 0, "±0"),
        (pages.signed_count, 7, "+7"),
        (pages.in_bytes, 0, "0 B"),
        (pages.in_bytes, 999, "999 B"),
        (pages.in_bytes, 640952, "641 kB"),
        (pages.in_bytes, 999_999, "1000 kB"),
        (pages.in_bytes, 4_740_000, "4.74 MB"),
        (pages.seconds, 0.5, "0.50 s"),
        (pages.seconds, 59.94, "59.9 s"),
        (pages.seconds, 444.4, "7 min 24 s"),
        (pages.seconds, 11100, "3 h 5 min"),
        (pages.seconds, None, "–"),
        (pages.plain, True, "yes"),
        (pages.plain, [1, 160, 160, 3], "1 × 160 × 160 × 3"),
        (pages.plain, 0.0078125, "0.0078125"),
        (pages.short, "ab" * 32, "abababababab"),
        (pages.milliseconds, 0.0123, "12.3 ms"),
        (pages.span, [-1.5, 6.0], "−1.5 … 6"),
        (pages.percent, 0.0417, "4.17 %"),
        (pages.percent, None, "–"),
        (pages.exact, 0.02, "0.0200"),
        (pages.listed, ["a"], "a"),
        (pages.listed, ["a", "b", "c"], "a, b and c"),
    ],
)
def test_numbers_are_written_for_people(write, value, text):
    assert write(value) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 images"), (1, "1 image"), (1200, "1,200 images")])
def test_things_are_counted_in_words(number, text):
    assert pages.counted(number, "image") == text
