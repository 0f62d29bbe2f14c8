"""The parts of the results page, and the pages on speed: records in, Markdown out. The prose lies in ``pages/``."""
