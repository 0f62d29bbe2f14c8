"""Slides from the chapters: ``python -m coursekit.slides``."""
