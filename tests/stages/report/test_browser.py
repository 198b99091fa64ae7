"""The page in a real browser: by mouse, by keyboard, in the dark, on a narrow screen, on paper, and without a script."""

import io

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import Window, launched
from pypdf import PdfReader
from run_files import odapi_evaluation, task_run

from stage_helpers import artifact

CLASSES = ["circle", "square", "star"]
RUN = task_run(compile=("unavailable", "the image edgetpu lacks edgetpu_compiler"))
A4 = {"width": 703, "height": 1017}  # what a page of 210 × 297 mm has between its margins, in CSS pixels


@pytest.fixture(scope="module")
def browser():
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def made():
    return {}


@pytest.fixture
def path(page, made, tmp_path):
    """A report with everything in it, of 120 images."""
    if "path" not in made:
        odapi_evaluation(tmp_path / "odapi", CLASSES)
        added = [artifact("evaluate-odapi", "evaluation", tmp_path / "odapi")]
        made["path"] = page(count=121, classes=CLASSES, added=added, run=RUN, params={"pictures": 60}).path
    return made["path"]


@pytest.fixture
def comparison(compare, made):
    """A page about two runs, with pictures."""
    if "comparison" not in made:
        made["comparison"] = compare(count=121, classes=CLASSES, params={"pictures": 60}).path
    return made["comparison"]


@pytest.fixture(params=["path", "comparison"])
def each(request):
    """Each of the two pages in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def window(browser, path):
    """window(…) opens the report; the options are Playwright's for a browser's context."""
    contexts = []

    def call(file=None, **options):
        contexts.append(browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options}))
        return Window(contexts[-1], file or path)

    yield call
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_without_a_complaint_and_asks_for_nothing(window, each, scheme):
    opened = window(each, color_scheme=scheme)
    opened.page.wait_for_timeout(300)
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith("data:")] == [each.as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible_with_all_details_open(window, each, scheme):
    """axe-core's rules: landmarks, headings, labels, names, tables, contrast of 4.5:1 and others."""
    opened = window(each, color_scheme=scheme)
    opened.page.locator("button.unfold").click()
    found = Axe().run(opened.page, options={"resultTypes": ["violations"]})
    told = [f"{one['id']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}" for one in found.response["violations"]]
    assert told == []


CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d");
  const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = rgb(getComputedStyle(element).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgb("Canvas");
  };
  const texts = [...document.querySelectorAll(".plot text, .graph text, .legend, th, td.number")].filter((each) => each.textContent.trim());
  return texts.map((each) => {
    const style = getComputedStyle(each);
    const [a, b] = [luminance(rgb(each.closest("svg") ? style.fill : style.color)), luminance(ground(each))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), each.textContent.trim().slice(0, 40)];
  }).sort((x, y) => x[0] - y[0])[0];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_text_of_drawings_and_tables_stands_out(window, each, scheme):
    ratio, text = window(each, color_scheme=scheme).told(CONTRAST)
    assert ratio >= 4.5, text


LINES = """() => [...document.querySelectorAll(".plot [class^=s]")].map((each) => {
  const style = getComputedStyle(each);
  return style.stroke === "none" ? style.fill : style.stroke;
})"""


def test_charts_take_on_the_colours_of_the_dark(window):
    light, dark = (set(window(color_scheme=scheme).told(LINES)) for scheme in ("light", "dark"))
    assert len(light) >= 3
    assert light.isdisjoint(dark)
    assert "rgb(0, 0, 0)" not in light | dark


# The filter.


def data(opened, name):
    """An attribute of the pictures that are shown, as lists of words."""
    return [
        text.split()
        for text in opened.told(f"() => [...document.querySelectorAll('.gallery figure:not([hidden])')].map((each) => each.dataset.{name})")
    ]


def every(opened):
    """Show all that fit, however many."""
    while opened.page.locator(".more:visible").count():
        opened.page.locator(".more:visible").click()


def test_at_first_some_pictures_are_shown_and_more_when_asked_for(window):
    opened = window()
    assert len(opened.shown()) == 24
    opened.wait_for_status("60 of 60 pictures")
    opened.page.get_by_role("button", name="Show 24 more of 36").click()
    opened.page.get_by_role("button", name="Show 12 more of 12").click()
    assert len(opened.shown()) == 60
    assert opened.page.locator(".more:visible").count() == 0


@pytest.mark.parametrize(("label", "group"), [("worst", "worst"), ("models differ", "differing"), ("best", "best")])
def test_pictures_are_filtered_by_worst_best_and_differing(window, label, group):
    opened = window()
    opened.select("group", label)
    every(opened)
    groups = data(opened, "groups")
    assert groups
    assert all(group in each for each in groups)
    opened.wait_for_status(f"{len(groups)} of 60 pictures")
    opened.page.get_by_role("button", name="Reset").click()
    opened.wait_for_status("60 of 60 pictures")


def test_pictures_are_filtered_by_class(window):
    opened = window()
    opened.select("class", "star")
    every(opened)
    assert data(opened, "classes")
    assert all("2" in each for each in data(opened, "classes"))


def test_a_kind_of_error_is_that_of_the_class_and_of_the_model_that_are_chosen(window):
    opened = window()
    opened.select("kind", "missed")
    every(opened)
    missed = data(opened, "errors")
    assert missed
    assert all(any(error.endswith(".missed") for error in each) for each in missed)
    opened.select("class", "star")
    opened.select("model", "infer-tflite")
    every(opened)
    narrowed = data(opened, "errors")
    assert 0 < len(narrowed) < len(missed)
    assert all("2.2.missed" in each for each in narrowed)


def test_where_no_picture_fits_the_page_says_so(window):
    opened = window()
    opened.select("group", "best")
    opened.select("kind", "missed")
    assert opened.shown() == []
    opened.wait_for_status("0 of 60 pictures")
    assert opened.page.get_by_text("No picture fits.").is_visible()


def test_pictures_are_larger_and_without_labels_when_asked_for(window):
    opened = window()
    first = opened.page.locator(".gallery figure svg").nth(1)
    width = first.bounding_box()["width"]
    opened.select("size", "large")
    assert first.bounding_box()["width"] > width
    opened.select("size", "small")
    assert first.bounding_box()["width"] < width
    assert opened.page.locator(".gallery svg text").first.is_visible()
    opened.page.get_by_label("Labels").uncheck()
    assert not opened.page.locator(".gallery svg text").first.is_visible()


# The keyboard.

FOCUS = """() => {
  const style = getComputedStyle(document.activeElement);
  return [document.activeElement.tagName, style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
}"""


def test_everything_that_can_be_worked_is_reached_with_a_visible_focus(window):
    opened = window()
    reached = set()
    wanted = opened.told("() => document.querySelectorAll('a[href], button, select, input, summary').length")
    for _ in range(wanted + 40):
        opened.page.keyboard.press("Tab")
        tag, visible = opened.told(FOCUS)
        if tag == "BODY":
            break
        assert visible, tag
        reached.add(tag)
    assert {"A", "BUTTON", "SELECT", "INPUT", "SUMMARY"} <= reached


def test_the_first_key_leads_past_the_header(window):
    opened = window()
    opened.page.keyboard.press("Tab")
    assert opened.page.locator(".skip").bounding_box()["x"] >= 0
    opened.page.keyboard.press("Enter")
    assert opened.told("() => document.activeElement.id") == "main"


def test_the_filter_is_worked_with_the_keyboard_alone(window):
    opened = window()
    worst = opened.page.locator("figure[data-groups~=worst]").all()
    opened.page.locator("select[name=group]").focus()
    opened.page.keyboard.type("worst")
    opened.wait_for_status(f"{len(worst)} of 60 pictures")
    assert all("worst" in each for each in data(opened, "groups"))
    opened.page.locator("input[name=labels]").focus()
    opened.page.keyboard.press("Space")
    assert not opened.page.locator(".gallery svg text").first.is_visible()
    opened.page.get_by_role("button", name="Reset").focus()
    opened.page.keyboard.press("Enter")
    opened.wait_for_status("60 of 60 pictures")
    assert opened.page.locator(".gallery svg text").first.is_visible()
    opened.page.locator(".more").focus()
    opened.page.keyboard.press("Enter")
    assert len(opened.shown()) == 48


def test_details_open_one_by_one_and_all_at_once(window):
    opened = window()
    opened.page.locator("summary").first.focus()
    opened.page.keyboard.press("Enter")
    assert opened.told("() => document.querySelectorAll('details[open]').length") == 1
    opened.page.get_by_role("button", name="Open all details").focus()
    opened.page.keyboard.press("Enter")
    assert opened.told("() => document.querySelectorAll('details:not([open])').length") == 0
    opened.page.get_by_role("button", name="Close all details").click()
    assert opened.told("() => document.querySelectorAll('details[open]').length") == 0


# Narrow, on paper, without a script.

WIDER = """() => [...document.querySelectorAll("body *")].filter((each) => {
  const box = each.getBoundingClientRect();
  return box.width && box.right > document.documentElement.clientWidth + 1 && !each.closest(".visually-hidden, svg, SCROLL");
}).map((each) => each.outerHTML.slice(0, 120)).slice(0, 5)"""


@pytest.mark.parametrize("width", [320, 768])
def test_on_a_narrow_screen_only_tables_scroll_sideways(window, each, width):
    opened = window(each, viewport={"width": width, "height": 700})
    opened.page.locator("button.unfold").click()
    assert opened.told("() => document.documentElement.scrollWidth") <= width
    assert opened.told(WIDER.replace("SCROLL", ".scroll, pre")) == []


def test_a_table_that_scrolls_is_reached_by_keyboard(window):
    opened = window(viewport={"width": 320, "height": 700})
    boxes = "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth)"
    assert opened.told(f"() => {boxes}.length") > 3
    assert opened.told(f"() => {boxes}.every((box) => box.tabIndex === 0 && box.getAttribute('aria-label'))")


def test_on_paper_nothing_is_cut_off(window, each):
    opened = window(each, viewport=A4)
    opened.page.locator("button.unfold").click()
    opened.page.emulate_media(media="print")
    assert opened.told(WIDER.replace("SCROLL", ".nothing")) == []


def test_on_paper_seven_models_side_by_side_are_not_cut_off(window, page):
    names = (
        "infer-float",
        "infer-checkpoint",
        "infer-frozen",
        "infer-inference-graph",
        "infer-saved-model",
        "infer-tflite",
        "infer-edgetpu",
    )
    chain = [(name, "tflite", "tensorflow", 0.9 - place / 20) for place, name in enumerate(names)]
    opened = window(page(chain=chain, classes=["a class with a name of several words", *CLASSES]).path, viewport=A4)
    opened.page.locator("button.unfold").click()
    opened.page.emulate_media(media="print")
    assert opened.told(WIDER.replace("SCROLL", ".nothing")) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_prints(window, scheme):
    opened = window(color_scheme=scheme)
    opened.select("group", "worst")
    printed = PdfReader(io.BytesIO(opened.page.pdf(prefer_css_page_size=True, print_background=True)))
    text = " ".join(" ".join(each.extract_text().split()) for each in printed.pages)
    assert 3 <= len(printed.pages) <= 40
    for heading in ("What could not be checked", "Stages", "Ledger", "Confusion", "Pictures", "Provenance"):
        assert heading in text
    assert "Kind of error" not in text  # the filter's
    opened.page.emulate_media(media="print", color_scheme=scheme)
    assert opened.told("() => getComputedStyle(document.querySelector('h2')).color") == "rgb(27, 31, 39)"


def test_without_a_script_everything_is_there(window):
    opened = window(java_script_enabled=False)
    assert len(opened.page.locator(".gallery figure").all()) == 60
    assert all(each.is_visible() for each in opened.page.locator(".gallery figure").all())
    assert not opened.page.locator(".filter").is_visible()
    assert not opened.page.locator("button.unfold").is_visible()


def test_hostile_names_do_nothing(window, page):
    classes = ["<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "' onload='alert(3)"]
    opened = window(page(classes=classes, count=30).path)
    opened.page.wait_for_timeout(300)
    assert opened.said == []
    opened.select("class", classes[1])
    assert opened.shown()


def test_a_comparisons_pictures_are_filtered_by_who_is_right(window, comparison):
    opened = window(comparison)
    opened.select("group", "only longer is right")
    every(opened)
    groups = data(opened, "groups")
    assert groups
    assert all(group == ["second"] for group in groups)
    opened.select("model", "cards")
    opened.wait_for_status(f"{len(groups)} of 60 pictures")
    opened.select("model", "longer")
    opened.wait_for_status("0 of 60 pictures")


def test_a_page_without_pictures_works(window, page):
    opened = window(page(params={"pictures": 0}).path)
    assert opened.page.locator(".gallery").count() == 0
    opened.page.locator("button.unfold").click()
    assert opened.said == []
