"""detect.py is put together from the very functions that evaluation ran, or not at all."""

import subprocess
import sys

import numpy as np
import pytest
from _detection import postprocess, resize

from stage_helpers import STAGES, load

program = load("package", "detect_program")
SOURCE = (STAGES / "package" / "detect.py").read_text(encoding="utf-8")
HEAD = '"""A program."""\nimport os\n\n%s\n\nprint(os.sep, f(1))\n\n# HERE it goes\n'


@pytest.fixture(scope="module")
def built():
    """The names that the built program defines."""
    names = {"__name__": "detect", "__file__": "detect.py"}
    exec(compile(program.build(SOURCE, STAGES), "detect.py", "exec"), names)
    return names


@pytest.mark.parametrize("shape", [(100, 200, 3), (160, 160, 3), (7, 5, 3), (1, 1, 3)])
def test_it_resizes_as_training_does(built, shape):
    image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert np.array_equal(built["resize_bilinear"](image, 160, 160), resize.resize_bilinear(image, 160, 160))


@pytest.mark.parametrize("regular", [False, True])
def test_it_decodes_raw_outputs_as_evaluation_does(built, regular):
    rng = np.random.default_rng(2)
    how = {
        "max_detections": 20,
        "max_classes_per_detection": 2,
        "detections_per_class": 10,
        "use_regular_nms": regular,
        "nms_score_threshold": 0.1,
        "nms_iou_threshold": 0.5,
        "num_classes": 3,
        "y_scale": 10.0,
        "x_scale": 10.0,
        "h_scale": 5.0,
        "w_scale": 5.0,
    }
    anchors = rng.uniform(0.1, 0.9, (50, 4)).astype(np.float32)
    raw = rng.normal(0, 1, (50, 4)).astype(np.float32), rng.uniform(0, 1, (50, 4)).astype(np.float32), anchors
    ours = built["postprocess"](*raw, built["attributes"](how, "test"))
    theirs = postprocess.postprocess(*raw, postprocess.attributes(how, "test"))
    assert len(ours.scores) > 5
    assert all(np.array_equal(first, second) for first, second in zip(ours, theirs, strict=True))


def test_a_shared_functions_error_is_the_programs_own_and_one_line(built):
    with pytest.raises(built["StageError"]) as caught:
        built["attributes"]({}, "model.json")
    assert str(caught.value).startswith("model.json: the model does not say how its boxes are decoded (expected ")
    assert "\n" not in str(caught.value)


def build(tmp_path, imports, own=None, **modules):
    """Build a program that imports so, from `_detection` modules with these sources, and from such beside it (`own`)."""
    for folder, sources in (("_detection", modules), ("package", own or {})):
        for name, source in sources.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / (name + ".py")).write_text(source)
    return program.build(HEAD % imports, tmp_path)


def test_what_an_imported_function_needs_comes_with_it_and_nothing_else(tmp_path):
    module = (
        "import math\nimport zlib\nfrom typing import Any, List\n\n# Why it is 2.\nTWO = 2\nOTHER = 3\n\n\n"
        "def f(x: Any):\n    return math.sqrt(g(x))\n\n\n"
        "def g(x):\n    return x * TWO\n\n\ndef h():\n    return zlib\n"
    )
    source = build(tmp_path, "from _detection.one import f", one=module)
    assert "# Why it is 2.\nTWO = 2" in source
    assert "OTHER" not in source
    assert "zlib" not in source
    assert "_detection" not in source
    assert source.startswith('"""A program."""\nimport math\nimport os\nfrom typing import Any\n')


def test_modules_beside_it_come_with_it_and_what_they_take_from_others(tmp_path):
    own = {
        "part": '"""A part of it."""\nimport zlib\nimport numpy as np\nfrom other import g\nfrom _runtime import StageError\n\n\n'
        "class E(StageError):\n    pass\n\n\ndef f(x):\n    return np.abs(g(x))\n",
        "other": '"""Another."""\nfrom _detection.one import h\n\n\ndef g(x):\n    return h(x)\n',
    }
    source = build(tmp_path, "from part import f", own, one="def h(x):\n    return x\n")
    assert source == (
        '"""A program."""\nimport os\n\nimport numpy as np\n\nprint(os.sep, f(1))\n\n'
        "# A part of it.\n\n\ndef f(x):\n    return np.abs(g(x))\n\n\n# Another.\n\n\ndef g(x):\n    return h(x)\n\n\n"
        "# From here on: the functions with which the pipeline evaluated the model, as they were.\n\n\ndef h(x):\n    return x\n"
    )


@pytest.mark.parametrize(
    ("imports", "modules", "what", "found"),
    [
        ("from _detection.one import f", {"one": "def g():\n    pass\n"}, "detect.py needs a name that its module does not define", "f"),
        (
            "from _detection.one import f\nfrom _detection.two import g",
            {"one": "A = 1\ndef f(x):\n    return A\n", "two": "A = 2\ndef g():\n    return A\n"},
            "two modules of detect.py define one name",
            "A",
        ),
        (
            "from _detection.one import f\n\n\ndef g():\n    pass",
            {"one": "def f(x):\n    return g(x)\n\n\ndef g(x):\n    return x\n"},
            "two modules of detect.py define one name",
            "g",
        ),
        (
            "from _detection.one import f",
            {"one": "from _runtime import g\ndef f(x):\n    return g(x)\n"},
            "detect.py would use a name that it does not have",
            "g",
        ),
    ],
)
def test_what_cannot_stand_alone_is_refused(tmp_path, imports, modules, what, found):
    with pytest.raises(program.StageError) as caught:
        build(tmp_path, imports, **modules)
    assert (caught.value.what, caught.value.found) == (what, found)


def test_a_program_without_a_place_for_them_is_refused(tmp_path):
    (tmp_path / "_detection").mkdir()
    (tmp_path / "_detection" / "one.py").write_text("def f(x):\n    return x\n")
    with pytest.raises(program.StageError, match="no place for what it imports"):
        program.build("import os\n\nfrom _detection.one import f\n", tmp_path)


def test_the_built_program_runs_on_its_own(tmp_path):
    (tmp_path / "detect.py").write_text(program.build(SOURCE, STAGES), encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", str(tmp_path / "detect.py"), "--help"], capture_output=True, check=True)
    assert b"IMAGE" in done.stdout
