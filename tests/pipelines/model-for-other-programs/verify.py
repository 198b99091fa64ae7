"""Frigate gets the package's very model, and Android one that holds it, with the labels behind it; both tell the package's classes."""

import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path

import yaml

built = Path(sys.argv[1])
package, apps = built / "package", built / "apps"
classes = json.loads((package / "model.json").read_text())["classes"]
model = (package / "model.tflite").read_bytes()
assert classes == ["circle"], classes

assert (apps / "frigate" / "model.tflite").read_bytes() == model
config = yaml.safe_load((apps / "frigate" / "config.yml").read_text())
assert config["model"]["path"] == "/config/model/model.tflite", config
assert config["objects"]["track"] == classes
assert "filters" not in config["objects"], "there was no evaluation"
assert (apps / "frigate" / "labelmap.txt").read_text().splitlines() == [f"{number}  {name}" for number, name in enumerate(classes)]

content = (apps / "android" / "assets" / "model.tflite").read_bytes()
assert model in content
with zipfile.ZipFile(io.BytesIO(content)) as archive:
    assert archive.read("labels.txt").decode().splitlines() == classes

told = json.loads((apps / "apps.json").read_text())["programs"]
sums = {name: hashlib.sha256((apps / "android" / name).read_bytes()).hexdigest() for name in told["android"]["files"]}
assert sums == told["android"]["files"]
assert (package / "parity.py").is_file()
