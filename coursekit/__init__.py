"""coursekit: what teachers and maintainers of the course use; `cxrlib` is what its students use.

The grader of the exercises (``coursekit.grade``), the runs of the source projects (``coursekit.reproduce``), and what
makes notebooks, exercises, tables and the book from their sources. ``cxr grade`` and ``cxr reproduce`` are commands of
this package.
"""

__version__ = "0.1.0"
