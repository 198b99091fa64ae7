"""What must stand in a process's environment before TensorFlow 2 is imported. Imports no framework."""

import os
import sys

from _runtime import StageError


def prepare(deterministic):
    """Set it. deterministic: so that each run of the same training gives the same bits; StageError where hashes differ from run to run."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    if not deterministic:
        return
    if sys.flags.hash_randomization:
        raise StageError(
            "deterministic training needs hashes that are the same each time",
            "PYTHONHASHSEED",
            "0",
            os.environ.get("PYTHONHASHSEED", "unset"),
            "run the stage with PYTHONHASHSEED=0, as each image does",
        )
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # oneDNN chooses its algorithms by what the machine does at that moment
