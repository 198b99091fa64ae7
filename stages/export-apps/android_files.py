"""Files for an Android app: a model that tells the Task Library how it is run, with its labels inside.

The library's ObjectDetector takes uint8 pixels as they are, or normalizes them for a float32 input as the metadata says; it knows no other
type of input (tensorflow_lite_support/cc/task/vision/utils/image_tensor_specs.cc).
"""

from app_pixels import require_pixels
from metadata_place import with_metadata
from tflite_metadata import LABELS, metadata_of

from _runtime import StageError

USUAL_THRESHOLD = 0.5
ASSETS = "assets"
_OTHER_INPUT = "convert the model with `input_type: float32`, which is normalized as the metadata says, or leave android out of `programs`"
README = """# The model in an Android app

Copy `assets/` into the app's `src/main/`. `model.tflite` has its labels inside, with all that the TensorFlow Lite Task Library must know;
`labels.txt` is the same list for those who want it apart: a class's number, from 0, is its line.

In the module's `build.gradle`:

```groovy
android { aaptOptions { noCompress "tflite" } }
dependencies { implementation "org.tensorflow:tensorflow-lite-task-vision:0.4.4" }
```

In the app:

```kotlin
val options = ObjectDetector.ObjectDetectorOptions.builder()
    .setMaxResults(%(most)d)
    .setScoreThreshold(%(threshold)sf)
    .build()
val detector = ObjectDetector.createFromFileAndOptions(context, "model.tflite", options)
for (found in detector.detect(TensorImage.fromBitmap(bitmap))) {
    val best = found.categories.first()
    println("${best.label} ${best.score} ${found.boundingBox}")
}
```

%(about)s The library resizes pictures in another way than the training did, so scores differ a little from the evaluation's. No
device was at hand where this was made.
"""


def android_files(package):
    """({file's name: bytes}, facts, notes). Raises StageError where the Task Library cannot run the model."""
    file = package.model
    _require_type(file)
    notes = [] if file.interface.source.type == "float32" else require_pixels(file, package, "Android", _OTHER_INPUT)
    threshold = USUAL_THRESHOLD if package.threshold is None else package.threshold
    labels = label_file(package.classes)
    readme = README % {"most": package.how.max_detections, "threshold": repr(float(threshold)), "about": _about(package)}
    files = {
        "%s/model.tflite" % ASSETS: with_metadata(file.content, metadata_of(package, file), {LABELS: labels}, file.name),
        "%s/%s" % (ASSETS, LABELS): labels,
        "README.md": readme.encode("utf-8"),
    }
    return files, {"model": file.name, "threshold": threshold}, notes


def compiled_with_metadata(package):
    """The bytes of the compiled model with the same metadata, for the Task Library on a computer with an Edge TPU."""
    file = package.compiled
    return with_metadata(file.content, metadata_of(package, file), {LABELS: label_file(package.classes)}, file.name)


def label_file(classes):
    """A name a line, class 0 first."""
    return "".join(name + "\n" for name in classes).encode("utf-8")


def _require_type(file):
    source = file.interface.source
    if source.type not in ("uint8", "float32"):
        raise StageError(
            "the Task Library does not give the model what it reads",
            "%s, input %s" % (file.name, source.name),
            "uint8 or float32",
            source.type,
            "quantize the model with `input_type: uint8`, or leave android out of `programs`",
        )


def _about(package):
    if package.threshold is None:
        return "The model was not evaluated: the threshold is a guess."
    own = ["%s %s" % (name, value) for name, value in package.thresholds.items() if value is not None]
    each = "; of the classes it is: %s" % ", ".join(own) if own else ""
    return "The threshold is the evaluation's, of the highest F1 over all classes%s." % each
