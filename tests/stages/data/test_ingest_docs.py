"""docs/bring-your-own-data.md tells of every problem that ingest can report, and its pipelines are right."""

import ast
import re

import pytest
import yaml
from voc_files import defaults, image_bytes, ingest, voc

from stage_helpers import ROOT, STAGES, load

PAGE = (ROOT / "docs" / "bring-your-own-data.md").read_text(encoding="utf-8")
AUDIT = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
LAYOUT_PAGE = (ROOT / "docs" / "annotation-layouts.md").read_text(encoding="utf-8")
# Texts of the sources that look like a code and are none.
NO_CODES = {"open-images", "oxford-pets", "utf-8", "utf-8-sig", "latin-1"}
_CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+|duplicate")


def written_codes():
    """Every text of the stage's sources that has the form of a code."""
    paths = [*(STAGES / "ingest").rglob("*.py"), *(STAGES / "_detection" / name for name in ("rle.py", "record_folder.py"))]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if _CODE.fullmatch(text)} - NO_CODES


def test_every_problem_is_explained_once():
    rows = [line.split("|")[1] for line in AUDIT.splitlines() if line.startswith("| `")]
    told = [code for row in rows for code in re.findall(r"`([a-z0-9-]+)`", row)]
    assert len(told) == len(set(told)) > 80
    assert set(told) == written_codes()


def test_every_layout_is_explained_with_its_keys():
    layouts = load("ingest", "layouts/__init__").LAYOUTS
    rows = {row[0]: row[1] for row in re.findall(r"^\| `([a-z0-9-]+)` \|.*\|([^|]*)\|$", LAYOUT_PAGE, re.MULTILINE)}
    assert set(rows) == {layout.name for layout in layouts}
    assert set(rows) | {"auto"} == set(yaml.safe_load((STAGES / "ingest" / "stage.yaml").read_text())["params"]["layout"]["enum"])
    for layout in layouts:
        assert set(re.findall(r"`([a-z_]+)`", rows[layout.name])) == set(layout.options)
        assert re.search(r"^## .*\(`%s`\)$" % layout.name, LAYOUT_PAGE, re.MULTILINE)


def test_the_pipelines_use_parameters_that_exist():
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    assert len(blocks) == 2
    for block in blocks:
        for name, step in block.get("stages", block).items():
            assert set(step.get("params", {})) <= set(defaults(name))


ROWS = re.findall(r"^\| (.*) \| `(splits: .*)` \|$", PAGE, re.MULTILINE)
# The files of each row of the table, as annotation: image, in the page's order.
FILES = [
    {"train/a.xml": "train/a.jpg", "final/b.xml": "final/b.jpg"},
    {"Annotations/a.xml": "JPEGImages/a.jpg", "Annotations/b.xml": "JPEGImages/b.jpg"},
    {"xml/train/a.xml": "photos/train/a.jpg"},
    {"train_labels.csv": "train/a.jpg", "test_labels.csv": "test/b.jpg"},
    {"labels/train.csv": "photos/a.jpg"},
    {"train.json": "photos/a.jpg"},
]
COCO = '{"images": [{"id": 1, "file_name": "%s", "width": 64, "height": 48}], "categories": [{"id": 1, "name": "cat"}], '
COCO += '"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 8, 8]}]}'


@pytest.mark.parametrize(("row", "files"), list(zip(ROWS, FILES, strict=True)))
def test_every_layout_is_read_as_the_page_says(tmp_path, row, files):
    splits = yaml.safe_load(row[1])["splits"]
    for seed, (annotation, image) in enumerate(files.items()):
        name = image.rsplit("/", 1)[1]
        texts = {"xml": voc(name), "csv": "filename,class,xmin,ymin,xmax,ymax\n%s,cat,1,1,9,9\n" % name, "json": COCO % name}
        text = texts[annotation.rsplit(".", 1)[1]]
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
