"""Filling and linting a pipeline.config, for both versions of the Object Detection API. Python 3.7 and newer."""
