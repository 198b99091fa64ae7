"""docs/bring-your-own-data.md tells of every problem that ingest can report, and its pipelines are right."""

import ast
import re

import pytest
import yaml
from voc_files import defaults, image_bytes, ingest, voc

from stage_helpers import ROOT, STAGES

PAGE = (ROOT / "docs" / "bring-your-own-data.md").read_text(encoding="utf-8")


def reported_codes():
    """The first argument of each call that reports a problem, in the stage's source."""
    codes = set()
    for path in (STAGES / "ingest").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(getattr(node, "func", None), "attr", getattr(getattr(node, "func", None), "id", None))
            if name in ("bad", "doubt", "refuse", "_UnusableError") and node.args:
                codes |= {leaf.value for leaf in ast.walk(node.args[0]) if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)}
    return codes


def test_every_problem_is_explained():
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `") and "`splits:" not in line]
    assert {code for row in rows for code in re.findall(r"`([a-z0-9-]+)`", row)} == reported_codes()
    assert len(reported_codes()) > 30


def test_the_pipelines_use_parameters_that_exist():
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    assert len(blocks) == 2
    for block in blocks:
        for name, step in block.get("stages", block).items():
            assert set(step.get("params", {})) <= set(defaults(name))


ROWS = re.findall(r"^\| (.*) \| `(splits: .*)` \|$", PAGE, re.MULTILINE)
# The files of each row of the table, as annotation: image, in the page's order.
FILES = [
    {"train/a.xml": "train/a.jpg", "test/b.xml": "test/b.jpg"},
    {"Annotations/a.xml": "JPEGImages/a.jpg", "Annotations/b.xml": "JPEGImages/b.jpg"},
    {"xml/train/a.xml": "photos/train/a.jpg"},
    {"train_labels.csv": "train/a.jpg", "test_labels.csv": "test/b.jpg"},
    {"labels/train.csv": "photos/a.jpg"},
]


@pytest.mark.parametrize(("row", "files"), list(zip(ROWS, FILES, strict=True)))
def test_every_layout_is_read_as_the_page_says(tmp_path, row, files):
    splits = yaml.safe_load(row[1])["splits"]
    for seed, (annotation, image) in enumerate(files.items()):
        name = image.rsplit("/", 1)[1]
        text = voc(name) if annotation.endswith("xml") else "filename,class,xmin,ymin,xmax,ymax\n%s,cat,1,1,9,9\n" % name
        for place, content in ((annotation, text.encode("utf-8")), (image, image_bytes(seed))):
            (tmp_path / "root" / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "root" / place).write_bytes(content)
    for stem, spec in zip("ab", splits.values(), strict=False):
        if "list" in spec:
            (tmp_path / "root" / spec["list"]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "root" / spec["list"]).write_text(stem + "\n")
    task = ingest(tmp_path / "out", tmp_path / "root", splits=splits)
    assert task.metrics["images"] == len(files)
    assert task.warnings == []
