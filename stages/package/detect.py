"""Find objects in pictures with the model of this package.

    python detect.py photo.jpg other.png --output found

It prints a line for each object and writes each picture with its boxes. Needed: Python 3.7 or later, NumPy, Pillow, and LiteRT
(`pip install ai-edge-litert`) or tflite-runtime. Exit status: 0 done, 2 something is missing or wrong, 3 no Edge TPU delegate.
"""

import argparse
import ctypes
import json
import os
import sys
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from _detection.postprocess import Detections, attributes, postprocess
from _detection.resize import load_rgb, normalize, resize_bilinear

HERE = os.path.dirname(os.path.abspath(__file__))
EDGE_TPU_LIBRARY = {"darwin": "libedgetpu.1.dylib", "win32": "edgetpu.dll"}.get(sys.platform, "libedgetpu.so.1")
EXIF_ORIENTATION = 0x0112
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")  # Okabe and Ito's


class Found(NamedTuple):
    """An object: its class's label and number (from 0), score 0..1, and box [xmin, ymin, xmax, ymax] in pixels of the picture."""

    label: str
    number: int
    score: float
    box: list


class StageError(Exception):
    """Something that the user can mend, told in one line."""

    exit_status = 2

    def __init__(self, what, where=None, expected=None, found=None, remedy=None):
        self.found = found
        details = ["%s %s" % (name, value) for name, value in (("expected", expected), ("found", found)) if value is not None]
        line = ("" if where is None else "%s: " % where) + what + (" (%s)" % ", ".join(details) if details else "")
        super().__init__(" ".join((line + ("" if remedy is None else "; " + remedy)).split()))


class NoDelegateError(StageError):
    """The Edge TPU's library, or the Edge TPU itself, is not there."""

    exit_status = 3


class Detector:
    """A .tflite file and model.json, which lies beside it; called with uint8 pixels [height, width, 3], RGB, it returns `Detections`."""

    def __init__(self, path, edge_tpu=False):
        self._facts = read_json(os.path.join(os.path.dirname(path), "model.json"))
        self._how = attributes(self._facts["decode"], "model.json: decode")
        self._interpreter = load_interpreter(path, edge_tpu)
        self._source = self._interpreter.get_input_details()[0]
        self._outputs = self._interpreter.get_output_details()
        _, self._height, self._width, _ = self._source["shape"]
        self._anchors = None
        if len(self._outputs) == 2:  # raw outputs: no post-process operator is in the model
            self._anchors = read_anchors(os.path.join(os.path.dirname(path), "anchors.npy"))

    def __call__(self, pixels):
        """`Detections` in uint8 pixels [height, width, 3], RGB."""
        # As in training: TensorFlow 1's bilinear resizing, rounded half to even.
        resized = np.rint(resize_bilinear(pixels, self._height, self._width)).astype(np.uint8)[np.newaxis]
        if self._source["dtype"] != np.uint8:
            resized = normalize(resized, self._facts["mean"], self._facts["std"])
        self._interpreter.set_tensor(self._source["index"], resized)
        self._interpreter.invoke()
        values = [self._real(output) for output in self._outputs]
        if self._anchors is not None:
            return postprocess(values[0][0], values[1][0], self._anchors, self._how)
        boxes, classes, scores, count = values
        # The operator counts boxes; its fast NMS puts out several classes of each where the model was made so.
        each = 1 if self._how.use_regular_nms else min(self._how.max_classes_per_detection, self._how.num_classes)
        number = int(count[0]) * each
        return Detections(boxes[0, :number], classes[0, :number].astype(np.int64), scores[0, :number])

    def _real(self, output):
        """An output's real values: those of a quantized one are scale * (value - zero point)."""
        value = self._interpreter.get_tensor(output["index"])
        if value.dtype == np.float32:
            return value
        scale, zero_point = output["quantization"]
        return np.float32(scale) * (value.astype(np.int32) - zero_point).astype(np.float32)


def load_interpreter(path, edge_tpu):
    """LiteRT's interpreter of a model file, ready to run. Raises StageError where runtime, file or delegate are missing."""
    runtime = import_runtime()
    if not os.path.isfile(path):
        raise StageError("there is no such model", path, remedy="give another with --model")
    delegates = [load_delegate(runtime)] if edge_tpu else []
    try:
        interpreter = runtime.Interpreter(model_path=path, experimental_delegates=delegates)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        edge_tpu_model = "edgetpu" in str(error)
        remedy = "a model compiled for the Edge TPU runs with --edgetpu only" if edge_tpu_model else "is the file whole? see SHA256SUMS"
        raise StageError("the model cannot be loaded", path, found=str(error), remedy=remedy) from None
    return interpreter


def load_delegate(runtime):
    """The Edge TPU's delegate. Raises NoDelegateError."""
    try:
        ctypes.CDLL(EDGE_TPU_LIBRARY)  # asked first: the runtime's own failure leaves a traceback behind
        return runtime.load_delegate(EDGE_TPU_LIBRARY)
    except (ValueError, OSError) as error:
        raise NoDelegateError(
            "the Edge TPU cannot be used",
            EDGE_TPU_LIBRARY,
            found=str(error) or "the library, but no Edge TPU",
            remedy="install the Edge TPU runtime, plug in the device, or run without --edgetpu",
        ) from None


def import_runtime():
    """The interpreter module of LiteRT, or of tflite-runtime, its older name."""
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        try:
            from tflite_runtime import interpreter
        except ImportError:
            raise StageError("there is no LiteRT here", remedy="pip install ai-edge-litert (or tflite-runtime)") from None
    return interpreter


def in_pixels(detections, labels, width, height, threshold):
    """`Found` of what scores `threshold` or more, clipped to the picture of that size; what lies outside is left out."""
    found = []
    for box, number, score in zip(detections.boxes.astype(np.float64), detections.classes.tolist(), detections.scores):
        ymin, xmin, ymax, xmax = np.clip(box, 0.0, 1.0) * [height, width, height, width]
        if score < threshold or ymax <= ymin or xmax <= xmin:
            continue
        if not 0 <= number < len(labels):
            raise StageError(
                "the model found a class that has no label",
                "labels",
                "a class in 0..%d" % (len(labels) - 1),
                number,
                "give the labels of this model with --labels",
            )
        found.append(
            Found(labels[number], number, float(str(np.float32(score))), [round(float(value), 3) for value in (xmin, ymin, xmax, ymax)])
        )
    return found


def draw(pixels, found):
    """The picture with a box and a label for each object; the surest lie on top."""
    picture = Image.fromarray(pixels)
    canvas, font = ImageDraw.Draw(picture), load_font(max(12, max(picture.size) // 50))
    stroke = max(2, max(picture.size) // 300)
    for each in reversed(found):
        colour = COLOURS[each.number % len(COLOURS)]
        left, top, right, bottom = each.box
        canvas.rectangle([left, top, max(left, right), max(top, bottom)], outline=colour, width=stroke)
        text = "%s %.2f" % (each.label, each.score)
        try:
            place = canvas.textbbox((0, 0), text, font=font)
        except UnicodeEncodeError:  # Pillow's old built-in font knows Latin letters only
            text = text.encode("ascii", "replace").decode("ascii")
            place = canvas.textbbox((0, 0), text, font=font)
        width, height = place[2] + 6, place[3] + 4
        x, y = max(0, min(left, picture.width - width)), top - height if top >= height else top
        canvas.rectangle([x, y, x + width, y + height], fill=colour)
        canvas.text((x + 3, y + 2), text, fill="#000000", font=font)
    return picture


def load_font(size):
    """Pillow's own font; before version 10.1 it has one size only."""
    try:
        return ImageFont.load_default(size)
    except (TypeError, ImportError, OSError):
        return ImageFont.load_default()


def read_labels(path):
    """Class names, one on each line, the first for class 0."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StageError("the labels cannot be read", path, found=error, remedy="give another file with --labels") from None


def read_json(path):
    """Parse a JSON file of the package."""
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError) as error:
        raise StageError(
            "the file cannot be read", path, found=error, remedy="it lies beside the model in the package: keep them together"
        ) from None


def read_anchors(path):
    """The default boxes of a model with raw outputs, float32 [n, 4]."""
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise StageError("the anchors cannot be read", path, found=error, remedy="a model with raw outputs needs them beside it") from None


def picture_paths(images, folder):
    """Where to write each picture: NAME_detections.jpg in `folder`, numbered where names repeat; never over an image."""
    paths, taken = [], {os.path.abspath(path) for path in images}
    for path in images:
        stem = os.path.splitext(os.path.basename(path))[0]
        number, target = 1, os.path.join(folder, stem + "_detections.jpg")
        while os.path.abspath(target) in taken:
            number += 1
            target = os.path.join(folder, "%s_detections-%d.jpg" % (stem, number))
        taken.add(os.path.abspath(target))
        paths.append(target)
    return paths


def read_picture(path):
    """Pixels as they are stored, as training reads them, uint8 [height, width, 3]; a note where viewers would turn the picture."""
    if not os.path.isfile(path):
        raise StageError("there is no such picture", path)
    try:
        pixels = load_rgb(path)
    except StageError as error:
        raise StageError("the picture cannot be decoded", path, "a whole JPEG or PNG", error.found) from None
    with Image.open(path) as image:
        turned = image.getexif().get(EXIF_ORIENTATION, 1)
    if turned not in (0, 1):
        print(
            "detect.py: note: %s: its EXIF orientation (%s) is ignored, as in training; turn the picture if nothing is found"
            % (path, turned),
            file=sys.stderr,
        )
    return pixels


def tell(path, pixels, found, target, as_json, best):
    """Print what was found in one picture; where nothing was, the best of the guesses below the threshold, if there is one."""
    height, width = pixels.shape[:2]
    if as_json:
        print(
            json.dumps(
                {
                    "image": path,
                    "width": width,
                    "height": height,
                    "picture": target,
                    "detections": [{"label": each.label, "class": each.number, "score": each.score, "box": each.box} for each in found],
                },
                ensure_ascii=False,
                sort_keys=True,
            )
        )
        return
    for each in found:
        print("%s: %s %.2f xmin=%.0f ymin=%.0f xmax=%.0f ymax=%.0f" % (path, each.label, each.score, *each.box))
    if not found:
        guess = "" if best is None else " (a lower --threshold would show: %s %.2f)" % (best.label, best.score)
        print("%s: nothing found%s" % (path, guess))


def parse(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(prog="detect.py", description="Find objects in pictures with the model of this package.")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a JPEG or PNG")
    parser.add_argument("--model", help="a .tflite with its model.json beside it; model.tflite of this package unless given")
    parser.add_argument("--labels", default=os.path.join(HERE, "labels.txt"), help="class names, one a line; labels.txt of this package")
    parser.add_argument("--threshold", type=float, default=0.5, help="least score, 0..1 (0.5)")
    parser.add_argument("--output", default="detections", metavar="DIR", help="folder for the pictures with boxes (detections)")
    parser.add_argument("--json", action="store_true", help="print a JSON object for each picture instead of lines")
    parser.add_argument("--edgetpu", action="store_true", help="run model_edgetpu.tflite on an Edge TPU")
    return parser.parse_args(arguments)


def detect_all(options):
    """Run over all pictures; one that cannot be read is told and passed over. Returns the exit status."""
    labels = read_labels(options.labels)
    model = options.model or os.path.join(HERE, "model_edgetpu.tflite" if options.edgetpu else "model.tflite")
    detector = Detector(model, options.edgetpu)
    status = 0
    for path, target in zip(options.images, picture_paths(options.images, options.output)):
        try:
            pixels = read_picture(path)
        except StageError as error:
            print("detect.py: error: %s" % error, file=sys.stderr)
            status = error.exit_status
            continue
        guesses = in_pixels(detector(pixels), labels, pixels.shape[1], pixels.shape[0], 0.0)
        found = [each for each in guesses if each.score >= options.threshold]
        try:
            os.makedirs(options.output, exist_ok=True)
            draw(pixels, found).save(target, "JPEG", quality=90)
        except OSError as error:
            raise StageError("the picture cannot be written", target, found=error, remedy="give another folder with --output") from None
        tell(path, pixels, found, target, options.json, max(guesses, key=lambda each: each.score, default=None))
    return status


def main(arguments=None):
    """Returns the exit status."""
    try:
        return detect_all(parse(arguments))
    except StageError as error:
        print("detect.py: error: %s" % error, file=sys.stderr)
        return error.exit_status


# HERE the package stage puts the source of what this file imports from _detection: a device runs what evaluation ran.


if __name__ == "__main__":
    sys.exit(main())
