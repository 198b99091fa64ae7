"""Samples of layers' outputs: the same places in every model, and no more than are asked for."""

import zipfile

import numpy as np
import pytest
from _detection.layer_samples import FILE, VALUES, read_samples, sample, write_samples

import detection_samples

NAME = "FeatureExtractor/MobilenetV2/Conv"


def numbered(*shape):
    return np.arange(np.prod(shape)).reshape(shape)


def test_a_small_layer_is_kept_whole_in_its_order():
    value = numbered(1, 8, 8, 64)
    assert value.size == VALUES
    np.testing.assert_array_equal(sample(NAME, value), value.reshape(-1))
    assert sample(NAME, value).dtype == np.float32


@pytest.mark.parametrize("shape", [(1, VALUES + 1), (1, 150, 150, 32)])
def test_of_a_large_layer_places_all_over_it_are_kept(shape):
    places = sample(NAME, numbered(*shape)).astype(int)
    assert len(places) == VALUES
    assert (np.diff(places) >= 0).all()
    quarters = np.histogram(places, 4, (0, np.prod(shape)))[0]
    assert quarters.min() > 0.8 * VALUES / 4


def test_the_places_depend_on_name_and_size_alone():
    one = sample(NAME, numbered(1, 100, 100, 3))
    np.testing.assert_array_equal(one, sample(NAME, numbered(1, 100, 100, 3).reshape(30_000)))
    assert not np.array_equal(one, sample(NAME + "_1", numbered(30_000)))
    assert not np.array_equal(one, sample(NAME, numbered(30_001)))


def test_samples_of_a_layer_are_of_the_same_places_in_every_image():
    # The same test runs in the TensorFlow 1 images, with another NumPy.
    assert detection_samples.places_digest() == detection_samples.PLACES


def test_what_is_written_is_read_and_has_the_same_bytes_each_time(tmp_path):
    images = [{"b/c": np.full(3, number, np.float32), "a": np.arange(2, dtype=np.float32)} for number in (1, 2)]
    write_samples(tmp_path / FILE, images)
    found = read_samples(tmp_path)
    assert sorted(found) == ["a", "b/c"]
    np.testing.assert_array_equal(found["b/c"], [[1, 1, 1], [2, 2, 2]])
    first = (tmp_path / FILE).read_bytes()
    write_samples(tmp_path / FILE, [dict(reversed(list(image.items()))) for image in images])
    assert (tmp_path / FILE).read_bytes() == first


def test_nothing_in_the_file_depends_on_the_time_or_the_release_of_python(tmp_path):
    write_samples(tmp_path / FILE, [{"a": np.arange(2, dtype=np.float32)}])
    with zipfile.ZipFile(tmp_path / FILE) as archive:
        told = {(each.date_time, each.extract_version, each.extra, each.external_attr >> 16) for each in archive.infolist()}
    assert told == {((1980, 1, 1, 0, 0, 0), 20, b"", 0o600)}


def test_detections_without_samples_have_none(tmp_path):
    assert read_samples(tmp_path) is None
