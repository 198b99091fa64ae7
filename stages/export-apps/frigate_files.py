"""Files for Frigate, by what its detectors `edgetpu` and `cpu` do.

Both give the model uint8 pixels [1, height, width, 3] (`edgetpu` also as int8, since it runs YOLO v9), and take its outputs by their
place: boxes, classes, scores, count. They stop at the first score below 0.4, and after 20 objects (edgetpu_tfl.py and cpu_tfl.py in
frigate/detectors/plugins). In a label file whose first line begins with a number, each line is number and name (load_labels in
frigate/util/builtin.py).
"""

import json

from app_package import USUAL_OUTPUTS
from app_pixels import require_pixels

from _runtime import StageError

LEAST_SCORE, MOST_OBJECTS = 0.4, 20
ATTRIBUTES = {"amazon", "face", "fedex", "license_plate", "ups"}  # Frigate's own: a part of a person or car, not an object
LEAVE_OUT = "or leave frigate out of `programs`"
LABELS = "labelmap.txt"
_OTHER_INPUT = "train with one mean and std for all colours and convert so that the input's scale is 1 / std, %s" % LEAVE_OUT


def frigate_files(package, folder, device):
    """({file's name: bytes}, facts, notes) for the device's model: the compiled one, where there is one. Raises StageError.

    folder: where Frigate finds them; device: `usb`, `pci:1` and so on.
    """
    file = package.compiled or package.model
    detector = "cpu" if package.compiled is None else "edgetpu"
    _require_type(file, detector)
    _require_order(file)
    notes = [*require_pixels(file, package, "Frigate", _OTHER_INPUT), *_notes(file, package, detector)]
    facts = {"detector": detector, "model": file.name}
    texts = {LABELS: label_map(package.classes), "config.yml": _config(package, file, folder.rstrip("/"), detector, device, notes)}
    return {file.name: file.content, **{name: text.encode("utf-8") for name, text in texts.items()}}, facts, notes


def label_map(classes):
    """Numbers from 0 and names: the form in which a name may begin with a number itself."""
    return "".join("%d  %s\n" % item for item in enumerate(classes))


def _require_type(file, detector):
    source = file.interface.source
    if source.type == "uint8" or (source.type == "int8" and detector == "edgetpu"):
        return
    raise StageError(
        "Frigate's detector `%s` does not give the model what it reads" % detector,
        "%s, input %s" % (file.name, source.name),
        "uint8",
        source.type,
        "quantize the model with `input_type: uint8`, %s" % LEAVE_OUT,
    )


def _require_order(file):
    if file.roles != list(USUAL_OUTPUTS):
        raise StageError(
            "Frigate takes the outputs by their place, and the model has them in other places",
            "%s, outputs" % file.name,
            ", ".join(USUAL_OUTPUTS),
            ", ".join(file.roles),
            "export the model with its outputs as TFLite_Detection_PostProcess has them, %s" % LEAVE_OUT,
        )


def _notes(file, package, detector):
    height, width = package.size
    thresholds = {name: _threshold(package, name) for name in package.classes}
    low = [name for name, least in thresholds.items() if least is not None and least < LEAST_SCORE]
    if low:
        yield "Frigate takes no object that scores less than %s, though the evaluation's threshold is lower for: %s" % (
            LEAST_SCORE,
            ", ".join(low),
        )
    if package.how.max_detections > MOST_OBJECTS:
        yield "Frigate takes the %d surest of the model's %d objects" % (MOST_OBJECTS, package.how.max_detections)
    if height != width:
        yield "Frigate cuts squares out of a frame and squeezes them to the model's %d × %d pixels" % (width, height)
    if detector == "edgetpu" and file.interface.source.type == "int8":
        yield "the model reads int8, which Frigate gives it since it runs YOLO v9 on the Edge TPU; an older version stops with an error"
    own = [name for name in package.classes if name in ATTRIBUTES]
    if own:
        yield "Frigate takes these for attributes of a person or a car, and does not track them: %s; rename them in %s" % (
            ", ".join(own),
            LABELS,
        )
    topics = [name for name in package.classes if set(name) & set("/+#")]
    if topics:
        yield "MQTT topics, which Frigate makes of names, cannot hold / + or #: %s; rename them in %s" % (", ".join(topics), LABELS)


def _threshold(package, name):
    """The evaluation's for a class, or None."""
    own = package.thresholds.get(name)
    return package.threshold if own is None else own


def _config(package, file, folder, detector, device, notes):
    """YAML; a name is written as JSON writes it, which YAML reads as well."""
    height, width = package.size
    lines = ["# What Frigate must be told of this model. Give it %s and %s in its folder %s," % (file.name, LABELS, folder or "/")]
    lines += ["# and merge this into its config.yml."]
    lines += ["# Note: %s." % note for note in notes]
    lines += ["detectors:", *_detector(detector, device)]
    lines += ["model:", "  path: %s" % _text("%s/%s" % (folder, file.name)), "  labelmap_path: %s" % _text("%s/%s" % (folder, LABELS))]
    lines += ["  width: %d" % width, "  height: %d" % height, "  input_tensor: nhwc", "  input_pixel_format: rgb", "  model_type: ssd"]
    lines += ["objects:", "  track:", *("    - %s" % _text(name) for name in package.classes)]
    if package.threshold is not None:
        lines += [
            "  # The evaluation's thresholds, of the highest F1. Frigate's own are 0.5 for a score, and 0.7 for an object's median.",
            "  filters:",
        ]
        for name in package.classes:
            lines += ["    %s:" % _text(name), *("      %s: %s" % (each, _threshold(package, name)) for each in ("min_score", "threshold"))]
    return "\n".join(lines) + "\n"


def _detector(detector, device):
    if detector == "cpu":
        return ["  cpu:", "    type: cpu", "    num_threads: 3"]
    return ["  coral:", "    type: edgetpu", "    device: %s" % _text(device)]


def _text(value):
    return json.dumps(value, ensure_ascii=False)
