"""The page's part on the model itself: fake-quantization, the .tflite's lint, the package."""

from _report.page import in_bytes, plain

# Statuses of fake_quant_audit.json that mean: this layer's range is known. A concat may take its inputs' ranges.
GOOD_LAYER = ("ok", "from inputs")
POSTPROCESS_FACTS = ("max_detections", "nms_iou_threshold", "nms_score_threshold", "use_regular_nms")


def audits(artifacts):
    """Each frozen graph's layers: how many of each operator are quantized, every layer, and those with something wrong."""
    found = []
    for each in artifacts.of("frozen-graph"):
        audit = each.json("fake_quant_audit.json")
        layers = audit["layers"]
        ops = {}
        for layer in layers:
            row = ops.setdefault(layer["op"], {"op": layer["op"], "layers": 0, "good": 0})
            row["layers"] += 1
            row["good"] += layer["status"] in GOOD_LAYER
        found.append(
            {
                "name": each.name,
                "quantized": audit.get("quantized"),
                "ops": list(ops.values()),
                "layers": layers,
                "wrong": [layer for layer in layers if layer["status"] not in GOOD_LAYER],
            }
        )
    return found


def tflites(artifacts):
    """Size, types and operators of each .tflite, from its lint."""
    found = []
    for each in artifacts.of("tflite"):
        lint = each.json("lint.json")
        found.append(
            {
                "name": each.name,
                "usable": lint["usable"],
                "unusable_because": lint.get("unusable_because"),
                "bytes": lint.get("bytes", each.bytes_of("model.tflite")),
                "facts": _model_facts(lint),
                "operators": lint["operators"],
                "inputs": lint["inputs"],
                "outputs": lint["outputs"],
            }
        )
    return found


def _model_facts(lint):
    facts = [("size", in_bytes(lint.get("bytes"))), ("tensors", ", ".join(f"{count} {kind}" for kind, count in lint["tensors"].items()))]
    attributes = lint.get("postprocess") or {}
    return facts + [(name.replace("_", " "), plain(attributes[name])) for name in POSTPROCESS_FACTS if name in attributes]


def packages(artifacts):
    """Every file of each package."""
    found = []
    for each in artifacts.of("package"):
        files = each.manifest.get("files") or [
            {"path": path.relative_to(each.path).as_posix(), "bytes": path.stat().st_size, "sha256": None}
            for path in sorted(each.path.rglob("*"))
            if path.is_file()
        ]
        found.append({"name": each.name, "files": sorted(files, key=lambda file: file["path"])})
    return found
