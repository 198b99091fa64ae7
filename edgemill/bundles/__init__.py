"""Bundles: everything that a machine without a network needs, in one folder or archive. docs/air-gap.md describes the format.

Two halves. `create`, `contents`, `saved_images`, `write` and `seams` make a bundle, and use the rest of EdgeMill. What reads one
(`FAR_SIDE` in `write`) needs only Python's standard library, because it travels in the bundle as `install.pyz` and runs before
anything is installed.
"""
