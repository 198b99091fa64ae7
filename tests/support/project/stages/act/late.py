"""Imported late by `behaviour.late_import`."""

WORD = "as its key says"
