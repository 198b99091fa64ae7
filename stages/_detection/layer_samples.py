"""Samples of layers' outputs, so that two models can be compared layer by layer without keeping all that they compute.

A layer goes by its scope in the TensorFlow graph ("FeatureExtractor/MobilenetV2/Conv"), which the converter keeps in the names of its
tensors. Of each output the same places are kept in every model, because they are drawn from the layer's name and size alone.
"""

import hashlib
import io
import zipfile

import numpy as np

from _runtime import atomic_write

FILE = "layers.npz"
VALUES = 4096  # of a layer and an image


def sample(name, output):
    """Up to `VALUES` values of a layer's output, float32 [n]: all of a small one, else at places drawn with replacement."""
    flat = np.asarray(output, np.float32).reshape(-1)
    if flat.size <= VALUES:
        return flat
    seed = int(hashlib.sha256(("%s:%d" % (name, flat.size)).encode("utf-8")).hexdigest()[:8], 16)
    return flat[np.sort(np.random.RandomState(seed).randint(0, flat.size, VALUES))]


def write_samples(path, images):
    """Write layers.npz: {layer: float32 [images, values]}. images: a list of {layer: sample}, one for each image.

    Not by numpy.savez, whose bytes depend on Python's release.
    """
    with atomic_write(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for name in sorted(images[0]):
            array = io.BytesIO()
            np.save(array, np.stack([image[name] for image in images]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(name + ".npy"), array.getvalue())


def read_samples(folder):
    """{layer: float32 [images, values]} of a detections artifact, or None where it has none."""
    path = folder / FILE
    if not path.is_file():
        return None
    with np.load(str(path), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}
