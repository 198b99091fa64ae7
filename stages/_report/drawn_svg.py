"""From what matplotlib draws to an <svg> that belongs to a page.

A figure is drawn in the placeholder colours below. They become the classes of report.css, so that a chart follows the page into dark mode
and onto paper; text stays text, in the page's font.
"""

import io
import re
import warnings
import xml.etree.ElementTree as ET
from html import escape

TEXT, GRID, MARK, LABEL = "#00f001", "#00f002", "#00f003", "#00f004"
LINES = [f"#0000{number:02x}" for number in range(1, 9)]  # report.css has as many
STYLE = {
    "svg.hashsalt": "edgemill",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.autolimit_mode": "round_numbers",
    "axes.ymargin": 0,
    "font.size": 12,
}
_CLASSES = {TEXT: "pt", GRID: "pg", MARK: "pm", LABEL: "pl", **{colour: f"s{number}" for number, colour in enumerate(LINES, 1)}}
_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_KEPT = ("d", "x", "y", "width", "height", "transform")  # attributes; the rest is matplotlib's own bookkeeping
_SHAPES = ("stroke-width", "stroke-dasharray", "stroke-linecap", "text-anchor", "fill-opacity")  # of a style; the colours become classes


def inline(figure, chart_id):
    """The figure as markup: ids of its own, classes for colours, and no more digits than can be seen."""
    stream = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # from its own font: the browser has others
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ET.fromstring(stream.getvalue())  # noqa: S314  written by matplotlib, just now
    named = f'role="img" aria-labelledby="{chart_id}-title" aria-describedby="{chart_id}-text"'
    inside = "".join(_element(child, chart_id) for child in root)
    return f'<svg class="plot" viewBox="{root.get("viewBox")}" {named}>{inside}</svg>'


def _element(element, chart_id):
    tag = element.tag.removeprefix(_SVG)
    if tag in ("metadata", "style", "title"):
        return ""
    inside = escape(element.text or "", quote=False) if tag == "text" else ""
    inside += "".join(_element(child, chart_id) for child in element)
    if tag == "g" or (tag == "defs" and not inside):
        return inside
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in _attributes(element, chart_id).items())
    return f"<{tag}{attributes}>{inside}</{tag}>" if inside else f"<{tag}{attributes}/>"


def _attributes(element, chart_id):
    told = {name: _shorter(element.get(name)) for name in _KEPT if element.get(name) is not None}
    if "rotate(-0 " in told.get("transform", ""):
        del told["transform"]
    if element.tag == f"{_SVG}path" and element.get("id"):
        told["id"] = f"{chart_id}-{element.get('id')}"
    if element.get(_LINK):
        told["href"] = f"#{chart_id}-{element.get(_LINK)[1:]}"
    style = dict(part.split(": ", 1) for part in (element.get("style") or "").split("; ") if ": " in part)
    told.update({name: style[name] for name in _SHAPES if name in style})
    if style.get("fill") == "none":
        told["fill"] = "none"
    # `s1` colours a line, `s1f` an area.
    classes = [_CLASSES[style[name]] + end for name, end in (("fill", "f"), ("stroke", "")) if style.get(name) in _CLASSES]
    if classes:
        told["class"] = " ".join(classes)
    return told


def _shorter(text):
    """Numbers to a tenth of a pixel, and a path without needless blanks."""
    text = re.sub(r" ?\n| (?=[A-Z])|(?<=[A-Z]) ", "", text)
    return re.sub(r"\d+\.\d+", lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), text)
