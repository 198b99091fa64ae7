"""EdgeMill's build system: pipelines of stages that run in pinned images and pass artifacts over a shared workspace.

It knows nothing of TensorFlow or of detection; those live in `stages/`. See docs/architecture.md.
"""

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SCHEMA = 1
VERSION = "0.1.0"
