"""Packages made of synthetic runs."""

from whole_run import CLASSES, whole_run

PROVENANCE = {"provenance.intoto.jsonl": "{}\n"}  # what the host lays down for the stage


def package_of(run_stage, root, classes=CLASSES, change=None, evaluated=True):
    """The package's folder of a whole synthetic run under `root`. change(root) may alter its files before."""
    entries = whole_run(root, classes)
    if change is not None:
        change(root)
    inputs = {"model": "convert", "graph": "freeze", "dataset": "ingest"}
    bound = {name: entries[step] for name, step in inputs.items()}
    outcome = run_stage(
        "package", {}, {**bound, "compiled": None, "evaluation": entries["evaluate"] if evaluated else None}, scratch=PROVENANCE
    )
    assert outcome.code == 0, outcome.log
    return outcome.output
