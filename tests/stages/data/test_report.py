"""The page holds what the artifacts say and nothing else, reaches for nothing outside itself, and says what is missing."""

import base64
import io
import itertools
import re

import pytest
from lxml import html
from PIL import Image
from synthetic import dataset, image, obj, problem, write
from whole_run import STAGES, manifest, metrics, read, task_run, whole_run

from stage_helpers import artifact

PARAMS = {"pictures": 4, "threshold": 0.5}


@pytest.fixture
def page(run_stage, tmp_path):
    """page(…) runs the report on a whole synthetic run, with some artifacts left out or changed; returns its text."""

    def call(without=(), run="whole", params=PARAMS, change=None, **kinds):
        root = tmp_path / "run"
        entries = whole_run(root, **kinds)
        if change:
            change(root)
            entries = {
                name: manifest(root / name, name, **read(root / "more.json").get(name, {}) if (root / "more.json").exists() else {})
                for name in entries
            }
        given = [entry for name, entry in entries.items() if name not in without]
        outcome = run_stage("report", params, {"artifacts": given}, run=task_run() if run == "whole" else run)
        assert outcome.code == 0, outcome.log
        return (outcome.output / "report.html").read_text(encoding="utf-8")

    return call


def words(element):
    """An element's text with single spaces."""
    return " ".join(element.text_content().split())


def part(text, number):
    """The section with that id, or None."""
    found = html.fromstring(text).xpath("//section[@id=$id]", id=number)
    return found[0] if found else None


def table(section, caption):
    """Rows of cells of the table whose caption begins so."""
    found = section.xpath(".//table[starts-with(normalize-space(caption), $caption)]", caption=caption)[0]
    return [[words(cell) for cell in row.xpath("./th|./td")] for row in found.xpath("./tbody/tr")]


def test_the_page_reaches_for_nothing_outside_itself(page):
    text = page()
    document = html.fromstring(text)
    assert not document.xpath("//script|//link|//iframe|//object|//embed|//base|//form")
    addresses = document.xpath("//@src|//@href|//@action|//@srcset|//@data")
    assert addresses
    assert all(address.startswith(("#", "data:image/jpeg;base64,")) for address in addresses)
    assert not re.search(r"@import|url\((?!#)|https?://|//[a-z]+\.", re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", text))
    assert "default-src 'none'" in document.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]


def test_the_page_can_be_read_without_seeing_it(page):
    document = html.fromstring(page())
    assert document.get("lang") == "en"
    levels = [int(heading.tag[1]) for heading in document.xpath("//h1|//h2|//h3|//h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), "a heading level is skipped"
    assert all(each.xpath("./caption") for each in document.xpath("//table"))
    assert all(each.get("scope") for each in document.xpath("//th"))
    assert all(len(alt) > 5 for alt in document.xpath("//img/@alt"))
    assert len(document.xpath("//img")) == len(document.xpath("//img/@alt"))
    for drawing in document.xpath("//*[local-name()='svg'][not(@aria-hidden)]"):
        assert drawing.get("role") == "img"
        assert all(document.xpath("//*[@id=$id]", id=each) for each in drawing.get("aria-labelledby").split())
    ids = document.xpath("//@id")
    assert len(ids) == len(set(ids))
    assert all(document.xpath("//*[@id=$id]", id=target[1:]) for target in document.xpath("//nav//@href"))


def test_the_top_tells_the_verdict_and_the_most_telling_numbers(page):
    document = html.fromstring(page())
    assert words(document.xpath("//h1")[0]) == "demo"
    assert words(document.xpath("//*[contains(@class,'verdict')]")[0]) == "Passed The gate passed."
    assert [words(card) for card in document.xpath("//ul[@class='cards']/li")] == [
        "infer-frozen 0.941 mAP@0.5 on val",
        "infer-tflite 0.939 mAP@0.5 on val",
        "infer-frozen → infer-tflite −0.002 mAP@0.5, change",
        "convert 641 kB size of the .tflite",
        "package 1 files in the package",
    ]


def failed_gate(root):
    report = metrics()
    report["gates"][0].update(value=0.5, passed=False)
    write(root / "evaluate" / "metrics.json", report)


def no_gate(root):
    write(root / "evaluate" / "metrics.json", {**metrics(), "gates": []})


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({}, "Passed"),
        ({"change": failed_gate}, "Below the gate"),
        ({"change": no_gate}, "Measured"),
        ({"without": ["evaluate"]}, "Not evaluated"),
        ({"usable": False}, "Not for use"),
        ({"run": task_run(train=("failed", "killed by signal 9"))}, "Failed"),
        ({"run": task_run(compile=("failed", "it hung"))}, "Passed"),  # optional
    ],
)
def test_the_verdict(page, given, word):
    document = html.fromstring(page(**given))
    assert words(document.xpath("//*[contains(@class,'verdict')]/strong")[0]) == word
    assert word in document.xpath("//title")[0].text


def test_each_stage_is_told_with_its_state_time_image_key_and_digest(page):
    run = task_run(ingest=("published", None), compile=("unavailable", "the image edgetpu lacks edgetpu_compiler"))
    rows = table(part(page(run=run), "stages"), "Each stage")
    assert [row[0] for row in rows] == list(STAGES)
    told = {row[0]: row[1:] for row in rows}
    assert told["ingest"][0] == "● already published"
    assert told["train"][:2] == ["✓ ran now", "7 min 24 s"]
    assert re.fullmatch(r"train [0-9a-f]{12}", told["train"][2])
    assert all(re.fullmatch("[0-9a-f]{12}", told["train"][place]) for place in (3, 4))
    assert told["compile"] == ["– unavailable optional the image edgetpu lacks edgetpu_compiler", "–", "edgetpu", "–", "–"]


def test_without_a_run_the_stages_come_from_the_manifests(page):
    text = page(run=None)
    rows = table(part(text, "stages"), "Each stage")
    assert [row[0] for row in rows] == [name for name in STAGES if name != "compile"]
    assert {row[1] for row in rows} == {"· not recorded"}
    assert rows[3][2] == "7 min 24 s"
    assert "No run was told to this page" in words(part(text, "unchecked"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"run": task_run(compile=("unavailable", "no edgetpu_compiler"))},
            "The model was not compiled for the Edge TPU (stage compile: unavailable, no edgetpu_compiler).",
        ),
        ({"run": None}, "The model was not compiled for the Edge TPU: no artifact of edgetpu_compiler is here."),
        ({}, "times on the device are not measured"),
        ({"without": ["evaluate"]}, "No accuracy was measured"),
        ({"without": ["freeze"]}, "The fake-quantization of the layers was not looked at"),
        ({"change": no_gate}, "The pipeline sets no gate"),
    ],
)
def test_what_could_not_be_checked_is_said(page, given, says):
    assert says in words(part(page(**given), "unchecked"))


def test_a_compiled_model_is_told_and_that_it_was_not_run(page, run_stage, tmp_path):
    entries = whole_run(tmp_path / "run")
    folder = tmp_path / "run" / "compile"
    write(folder / "compile.json", {"schema": 1, "compiler": {"name": "edgetpu_compiler", "version": "16.0"}, "seconds": 12.5})
    write(folder / "compiler.log", "Model compiled successfully <in> 12 ms.\n")
    (folder / "model_edgetpu.tflite").write_bytes(bytes(3000))
    entries["compile"] = manifest(folder, "compile")
    outcome = run_stage("report", PARAMS, {"artifacts": list(entries.values())}, run=task_run())
    text = (outcome.output / "report.html").read_text(encoding="utf-8")
    assert "edgetpu_compiler 16.0" in words(part(text, "model"))
    assert "Model compiled successfully <in> 12 ms." in words(part(text, "model"))
    assert "No Edge TPU took part: the compiled model was not run." in words(part(text, "unchecked"))
    assert "was not compiled" not in words(part(text, "unchecked"))


def test_accuracy_shows_the_evaluations_own_numbers(page):
    section = part(page(), "accuracy")
    rows = {row[0]: row[1:] for row in table(section, "Each model")}
    assert rows["mAP@0.5"] == ["0.941", "0.939", "−0.002"]
    assert rows["mAP (0.50:0.95)"] == ["0.641", "0.639", "−0.002"]
    assert rows["mAP, large"] == ["–", "–", ""]
    assert rows["Time an image, on the build machine"] == ["45.6 ms", "12.3 ms", ""]
    assert table(section, "Gates") == [["largest loss of mAP@0.5", "infer-tflite", "0.0200", "0.0019", "✓ passed"]]
    assert table(section, "Each class") == [
        [name, "5", "0.941", "0.641", "0.941", "0.939", "0.639", "0.939"] for name in ("circle", "square")
    ]


def test_training_shows_curves_and_where_quantization_starts(page):
    section = part(page(), "training")
    titles = [words(each) for each in section.xpath(".//figure[@class='chart']/figcaption")]
    assert titles == ["Loss", "Learning rate", "mAP of the evaluations during training"]
    for chart in section.xpath(".//figure[@class='chart']"):
        assert "quantization starts" in words(chart)
        marks = chart.xpath(".//*[@class='mark']/@x1")
        assert marks == [str(round(58 + 300 / 700 * (702 - 58), 1))]
    assert table(section, "Evaluations")[-1] == ["700", "0.553", "0.940", "0.56"]


def test_the_other_parts_show_what_their_artifacts_say(page):
    text = page()
    assert table(part(text, "quantization"), "Layers between") == [
        ["Conv2D", "2", "2"],
        ["DepthwiseConv2dNative", "1", "1"],
        ["ConcatV2", "1", "1"],
    ]
    assert table(part(text, "model"), "Operators") == [["CONV_2D", "35", "built in"], ["TFLite_Detection_PostProcess", "1", "custom"]]
    assert table(part(text, "model"), "Inputs")[0][1:] == ["input", "uint8", "1 × 160 × 160 × 3", "0.0078125", "128"]
    assert table(part(text, "configuration"), "What was changed")[0] == ["model.ssd.num_classes", "90", "2", "classes of the label map"]
    assert table(part(text, "package"), "package")[0][:2] == ["labels.txt", "14 B"]
    assert words(part(text, "warnings")) == "Warnings configure the batch is small"


# What the dataset part tells.

NAMES = ["cat", "dog", "eel"]
IMAGES = [
    image(1, [obj("cat", 0, 0, 50, 40), obj("cat", 0, 0, 10, 8, crowd=True)], split="train"),
    image(2, [obj("dog", 0, 0, 10, 8, mask={"size": [80, 100], "counts": "Pm1"})], split="train"),
    image(3, [], split="train"),
    image(4, [obj("dog", 0, 0, 100, 80, difficult=True)], split="test"),
    image(5, [obj("dog", 0, 0, 5, 5)], split="extra"),
]
EMPTY = problem("error", "box-empty", "dropped", "a.xml", 7, 2, "dog: xmin 3 is not less than xmax 3")
TURNED = problem("warning", "exif-orientation", "fixed", "b.jpg", None, None, "turned by 90 degrees")
UNSEEN = problem("note", "class-unused", "kept", "classes", None, None, "no object is a bird")


@pytest.fixture
def dataset_section(run_stage, tmp_path):
    """dataset_section(problems, …) makes a report of a dataset artifact alone; returns its section on the dataset."""

    def call(problems=(), images=IMAGES, classes=NAMES, sheet=None, policy="drop", count=1):
        entries = []
        for number in range(count):
            entries.append({**dataset(tmp_path / ("set%d" % number), images, classes, problems, policy), "name": "ingest%d" % number})
            if sheet is not None:
                (tmp_path / ("set%d" % number) / "contact_sheet.jpg").write_bytes(sheet)
        outcome = run_stage("report", PARAMS, {"artifacts": entries})
        assert outcome.code == 0, outcome.log
        return part((outcome.output / "report.html").read_text(encoding="utf-8"), "dataset")

    return call


def heads(section, caption):
    """The columns' titles of the table whose caption begins so."""
    found = section.xpath(".//table[starts-with(normalize-space(caption), $caption)]/thead/tr/th", caption=caption)
    return [words(cell) for cell in found]


def bars(section, title):
    """{row's label: counts} of the chart of bars with that title."""
    (chart,) = section.xpath(".//figure[figcaption[normalize-space()=$title]]", title=title)
    found = {}
    for row in chart.xpath(".//*[local-name()='g']"):
        label, *numbers = [words(each) for each in row.xpath("./*[local-name()='text']")]
        found[label] = numbers
    return found


def test_each_split_is_counted_with_the_flags_that_occur_the_usual_splits_first(dataset_section):
    section = dataset_section()
    assert heads(section, "Images and objects") == ["Split", "Images", "Background", "Objects", "Difficult", "Crowd", "With a mask"]
    assert table(section, "Images and objects") == [
        ["train", "3", "1", "3", "0", "1", "1"],
        ["test", "1", "0", "1", "1", "0", "0"],
        ["extra", "1", "0", "1", "0", "0", "0"],
    ]


def test_images_with_labels_of_their_own_are_counted(dataset_section):
    section = dataset_section(images=[{**IMAGES[0], "labels": {"present": ["cat"], "absent": []}}])
    assert heads(section, "Images and objects")[-1] == "Images with labels"
    assert table(section, "Images and objects")[0][-1] == "1"


def test_each_splits_classes_are_bars_of_objects_and_images_the_most_frequent_class_first(dataset_section):
    section = dataset_section()
    assert list(bars(section, "train: classes").items()) == [("dog", ["1", "1"]), ("cat", ["2", "1"]), ("eel", ["0", "0"])]
    assert bars(section, "test: classes")["dog"] == ["1", "1"]
    assert table(section, "Objects of each class") == [
        ["dog", "1", "1", "1", "1", "1", "1"],
        ["cat", "2", "1", "0", "0", "0", "0"],
        ["eel", "0", "0", "0", "0", "0", "0"],
    ]


def test_box_sizes_are_bars(dataset_section):
    section = dataset_section()
    assert {size: number for size, (number,) in bars(section, "train: sizes of the boxes").items() if number != "0"} == {
        "10–15 %": "2",
        "50–70 %": "1",
    }
    assert bars(section, "test: sizes of the boxes")["70 % and more"] == ["1"]


def test_of_many_classes_the_chart_shows_the_first_and_the_table_all(dataset_section):
    section = dataset_section(classes=[*NAMES, *("class %d" % number for number in range(50))])
    assert len(bars(section, "train: classes (the first 30 of 53)")) == 30
    assert len(table(section, "Objects of each class")) == 53


def test_a_split_without_boxes_has_no_chart(dataset_section):
    section = dataset_section(images=[*IMAGES, image(6, [], split="val")])
    assert [words(each) for each in section.xpath(".//figcaption") if words(each).startswith("val")] == []


def test_problems_are_counted_by_code_and_what_was_done_errors_first(dataset_section):
    section = dataset_section([TURNED, EMPTY, TURNED, {**EMPTY, "action": "clipped"}])
    assert table(section, "What the audit of the annotations found, under on_error: drop.") == [
        ["box-empty", "error", "dropped", "1"],
        ["box-empty", "error", "clipped", "1"],
        ["exif-orientation", "warning", "fixed", "2"],
    ]


def test_the_first_problems_of_each_code_are_told_with_place_and_object(dataset_section):
    section = dataset_section([*({**EMPTY, "line": line} for line in range(1, 13)), TURNED])
    told = {words(each.xpath("./summary")[0]): [words(item) for item in each.xpath(".//li")] for each in section.xpath(".//details")}
    first = told["box-empty, dropped: the first 10 of 12 (audit.csv has all)"]
    assert first == ["a.xml:%d object 2: dog: xmin 3 is not less than xmax 3" % line for line in range(1, 11)]
    assert told["exif-orientation, fixed: 1"] == ["b.jpg turned by 90 degrees"]


def test_notes_stand_apart_and_are_nothing_wrong(dataset_section):
    section = dataset_section([UNSEEN])
    assert "The audit of the annotations found nothing wrong." in words(section)
    assert table(section, "Notes") == [["class-unused", "note", "kept", "1"]]
    assert "no object is a bird" in words(section)


def test_without_problems_nothing_is_said_of_notes(dataset_section):
    section = dataset_section()
    assert "found nothing wrong" in words(section)
    assert "Notes" not in words(section)
    assert not section.xpath(".//img")


def test_the_contact_sheet_is_embedded_as_it_is(dataset_section):
    stream = io.BytesIO()
    Image.new("RGB", (30, 20), (200, 30, 30)).save(stream, "JPEG")
    (picture,) = dataset_section([EMPTY], sheet=stream.getvalue()).xpath(".//img")
    assert base64.b64decode(picture.get("src").removeprefix("data:image/jpeg;base64,")) == stream.getvalue()
    assert picture.get("alt").startswith("Contact sheet")


def test_several_datasets_are_told_apart(dataset_section):
    section = dataset_section(count=2)
    assert [words(each) for each in section.xpath(".//h3")] == ["ingest0", "ingest1"]
    ids = section.xpath(".//@id")
    assert len(ids) == len(set(ids)) > 4


def test_a_dataset_of_another_schema_is_refused(run_stage, tmp_path):
    write(tmp_path / "set" / "dataset.json", {"schema": 1, "classes": [], "images": []})
    outcome = run_stage("report", PARAMS, {"artifacts": [artifact("ingest", "dataset", tmp_path / "set")]})
    assert outcome.error["what"] == "the dataset has another schema"


def test_a_layer_without_ranges_is_named(page):
    def change(root):
        audit = read(root / "freeze" / "fake_quant_audit.json")
        audit["layers"][1].update(status="no fake-quantization of its output", range=None)
        write(root / "freeze" / "fake_quant_audit.json", audit)

    section = part(page(change=change), "quantization")
    assert table(section, "Layers between")[1] == ["DepthwiseConv2dNative", "1", "0"]
    assert "1 of 4 layers have something wrong: FeatureExtractor/MobilenetV2/Conv_1/depthwise no fake-quantization of its output" in words(
        section
    )


# Which parts go with a stage's artifact.
PARTS = {
    "ingest": ["dataset", "pictures"],
    "configure": ["configuration"],
    "train": ["training"],
    "freeze": ["quantization"],
    "convert": ["model"],
    "evaluate": ["accuracy"],
    "package": ["package"],
    "records": [],
}


@pytest.mark.parametrize(("name", "parts"), PARTS.items())
def test_an_absent_artifact_leaves_only_its_part_out(page, name, parts):
    text = page(without=[name])
    there = set(html.fromstring(text).xpath("//section/@id"))
    assert there.isdisjoint(parts)
    assert there | set(parts) | {"warnings"} == {"unchecked", "stages", "warnings", *(part for parts in PARTS.values() for part in parts)}


def test_a_page_can_be_made_from_nothing(page):
    text = page(without=list(STAGES), run=None)
    assert html.fromstring(text).xpath("//section/@id") == ["unchecked"]
    assert "No accuracy was measured" in text


HOSTILE = ["<script>alert(1)</script>", "a\" onload='x' & <b>"]


def test_names_from_the_data_are_text_and_never_markup(page):
    def change(root):
        write(root / "more.json", {"train": {"warnings": ["<img src=x onerror=alert(2)>"], "tools": {"<i>tool</i>": "1 & 2"}}})
        config = read(root / "configure" / "config.json")
        config["changes"][0].update(field="<u>field</u>", to={"a": "</td>"})
        write(root / "configure" / "config.json", config)
        write(root / "train" / "history.json", {"schema": 1, "steps": [], "evaluations": []})

    run = task_run(compile=("unavailable", "</span><h1>reason</h1>"))
    run["pipeline"] = "<h1>pipe & line</h1>"
    text = page(run=run, classes=HOSTILE, change=change)
    document = html.fromstring(text)
    assert not document.xpath("//script|//b|//i|//u|//@onload|//@onerror|//img[@src='x']")
    assert len(document.xpath("//h1")) == 1
    assert words(document.xpath("//h1")[0]) == "<h1>pipe & line</h1>"
    assert [row[0] for row in table(part(text, "accuracy"), "Each class")] == HOSTILE
    assert "<img src=x onerror=alert(2)>" in words(part(text, "warnings"))
    assert "<i>tool</i> 1 & 2" in words(part(text, "tools"))
    assert any(HOSTILE[0] in alt for alt in document.xpath("//img/@alt"))


def pictures_of(text):
    return [Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) for uri in html.fromstring(text).xpath("//img/@src")]


def test_pictures_show_the_truth_and_each_model_and_are_small(page):
    text = page()
    section = part(text, "pictures")
    assert [words(each) for each in section.xpath(".//h3")] == ["Where it does worst", "Where it does best"]
    for figure in section.xpath(".//figure"):
        assert [words(each) for each in figure.xpath(".//span")] == ["true boxes", "infer-frozen", "infer-tflite"]
    assert len(section.xpath(".//figure")) == 4
    opened = pictures_of(text)
    assert len(opened) == 12
    assert all(picture.format == "JPEG" and max(picture.size) <= 480 for picture in opened)


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (1, 1), (3, 3), (100, 5)])
def test_as_many_pictures_as_asked_for_and_none_twice(page, count, shown):
    names = [
        words(each) for each in html.fromstring(page(params={**PARAMS, "pictures": count})).xpath("//section[@id='pictures']//figcaption")
    ]
    assert len(names) == len(set(names)) == shown


def test_boxes_below_the_threshold_are_not_shown(page):
    alts = html.fromstring(page(params={**PARAMS, "threshold": 1.0})).xpath("//img/@alt")
    assert {alt for alt in alts if not alt.startswith("true boxes")} == {"infer-frozen: no boxes", "infer-tflite: no boxes"}


def test_the_same_artifacts_give_the_same_page(page):
    assert page() == page()
