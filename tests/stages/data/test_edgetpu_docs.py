"""The table of docs/edge-tpu.md says what the rules say."""

from _edgetpu.operators import NEVER_MAPPED, OPERATORS

from stage_helpers import ROOT

HEAD = "| operator | conditions | from runtime | newest version | source | confidence |\n|---|---|---|---|---|---|\n"


def table():
    """The table as the rules give it."""
    lines = [HEAD]
    for op, row in sorted(OPERATORS.items()):
        conditions = "; ".join(each.__name__.replace("_", " ") for each in row.constraints)
        lines.append("| %s | %s | %d | %d | %s | %s |\n" % (op, conditions, row.runtime, row.newest, row.source, row.confidence))
    lines.append("\nNever seen mapped: %s.\n" % ", ".join(NEVER_MAPPED))
    return "".join(lines)


def test_the_page_has_the_table():
    page = (ROOT / "docs" / "edge-tpu.md").read_text(encoding="utf-8")
    assert table() in page, "put this into docs/edge-tpu.md:\n\n" + table()
