"""The table of docs/edge-tpu.md says what the rules say."""

from _edgetpu.constraints import contradicted
from _edgetpu.operators import NEVER_MAPPED, OPERATORS

from stage_helpers import ROOT

HEAD = "| operator | conditions | elements at most | from runtime | newest version | source | confidence |\n|---|---|---|---|---|---|---|\n"


def table():
    """The table as the rules give it."""
    lines, listed = [HEAD], []
    for op, row in sorted(OPERATORS.items()):
        if contradicted in row.constraints:
            listed.append(op)
            continue
        conditions = "; ".join(each.__name__.replace("_", " ") for each in row.constraints)
        most = row.largest or ""
        lines.append("| %s | %s | %s | %d | %d | %s | %s |\n" % (op, conditions, most, row.runtime, row.newest, row.source, row.confidence))
    lines.append("\nListed by one table and never seen mapped, so unknown: %s. " % ", ".join(listed))
    lines.append(
        "Never seen mapped: %s; on 8 bits none of them was seen at all, so that they are unknown there.\n" % ", ".join(NEVER_MAPPED)
    )
    return "".join(lines)


def test_the_page_has_the_table():
    page = (ROOT / "docs" / "edge-tpu.md").read_text(encoding="utf-8")
    assert table() in page, "put this into docs/edge-tpu.md:\n\n" + table()
