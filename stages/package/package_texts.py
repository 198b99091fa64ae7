"""README.md and LICENSES.md of the package, from templates."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).resolve().parent / "templates"


def render(name, facts):
    """The text of templates/NAME. facts: lint, classes, metrics, changes, threshold, config (these or None), compiled, warm_start,
    model_bytes.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, not HTML
    )
    environment.filters.update(metric=metric, change=change, cell=cell)
    return environment.get_template(name).render(**facts)


def metric(value):
    """0..1 with three decimals; a dash where there was nothing to find."""
    return "–" if value is None else "%.3f" % value


def change(value):
    """A difference of such values with its sign; a dash where there is none to tell."""
    return "–" if value is None else ("%+.3f" % value).replace("-", "−")


def cell(text):
    """Text for a cell of a Markdown table: characters with a meaning there are escaped."""
    return "".join("\\" + char if char in "\\`*_{}[]<>#|~" else char for char in str(text))
