"""The CSV's boxes arrived, the model ends in raw outputs, and detect.py draws on a picture with nothing but the package."""

import json
import os
import subprocess
import sys
from pathlib import Path

built = Path(sys.argv[1])
project = Path(__file__).resolve().parents[3]

dataset = json.loads((built / "ingest" / "dataset.json").read_text())
assert dataset["classes"] == ["ace", "jack", "king", "nine", "queen", "ten"], dataset["classes"]
assert sum(split["objects"] for split in dataset["splits"].values()) > 600

lint = json.loads((built / "convert" / "lint.json").read_text())
assert lint["postprocess"] is None, lint["postprocess"]
assert not [entry for entry in lint["operators"] if entry["custom"]], lint["operators"]
assert (built / "freeze" / "saved_model" / "saved_model.pb").is_file()
assert (built / "freeze" / "inference_graph" / "frozen_inference_graph.pb").is_file()

metrics = json.loads((built / "evaluate" / "metrics.json").read_text())
assert metrics["images"] == 67, metrics["images"]
chain = ["infer-float", "infer-checkpoint", "infer-frozen", "infer-api", "infer-saved-model", "infer-tflite"]
assert metrics["order"] == chain, metrics["order"]
steps = {step["model"]: step for step in metrics["ledger"]}
assert [steps[name]["kind"] for name in chain] == [
    "float-checkpoint",
    "checkpoint",
    "frozen-graph",
    "inference-graph",
    "saved-model",
    "tflite",
]
assert abs(steps["infer-frozen"]["map50_change"]) < 0.001, steps["infer-frozen"]  # freezing changes nothing
assert abs(steps["infer-saved-model"]["map50_change"]) < 0.001, steps["infer-saved-model"]  # another file of the same graph
assert steps["infer-frozen"]["layers_compared"], steps["infer-frozen"]
assert len(list((built / "infer-tflite").glob("test.detections-*-of-00003"))) == 3

package = built / "package"
subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=package, check=True)
manifest = json.loads((built / "package" / "manifest.json").read_text())
python = next(Path(os.environ.get("EDGEMILL_ENVS") or project / ".envs").glob(f"data-{manifest['image'][:16]}")) / "bin" / "python"
folder = project.parent / "shared" / "data" / "datasets" / "playing_cards" / "images" / "test"
picture = min(path for path in folder.iterdir() if path.suffix.lower() == ".jpg")
done = subprocess.run(
    [python, package / "detect.py", picture, "--threshold", "0", "--output", "drawn"], capture_output=True, text=True, check=False
)
assert done.returncode == 0, done.stderr
assert list(Path("drawn").iterdir()), done.stdout
