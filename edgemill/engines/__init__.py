"""Engines: how a stage is run. `seam.py` is all that the rest of the build system knows of them."""
