"""Asks a tool from outside the image."""

import subprocess

from _runtime import StageError, run, write_text
from _words import tally


def main(task):
    tally(task)
    answer = subprocess.check_output(["edgemill-test-tool"]).decode()
    if task.params["fail"]:
        raise StageError("the assay failed", where="model.bin", remedy="try another model")
    write_text(task.output / "page.txt", answer)


if __name__ == "__main__":
    run(main)
