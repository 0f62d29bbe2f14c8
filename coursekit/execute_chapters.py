"""Execute the pages of the book that hold code, several at once, into the cache that Sphinx reads.

The chapters' networks are small, and a second thread does not make them twice as fast. So there are as many kernels as
cores, with one thread each.

A page that fails stays out of the cache. Sphinx then executes it again and reports the failure where people look for
it.
"""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import is_myst_markdown_notebook
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode

from cxrlib.device import cores

READER = {"type": "plugin", "name": "myst_nb_md"}


def lacking(pages: list[Path], cache_folder: Path) -> list[Path]:
    """Those of these pages that hold code and are not in the cache as they stand now."""
    cache = get_cache(cache_folder)
    with_code = [page for page in pages if is_myst_markdown_notebook(page.read_text(encoding="utf-8"))]
    for page in with_code:
        cache.add_nb_to_project(page, read_data=READER)
    return [page for page in with_code if cache.get_cached_project_nb(str(page)) is None]


def executed(page: Path, cache_folder: Path) -> NotebookNode:
    """Return a page with its outputs in the cache; LookupError where it was not executed as it stands."""
    if lacking([page], cache_folder):
        raise LookupError(f"{page.name} as it stands now was not executed; build the book first: make book")
    cache = get_cache(cache_folder)
    return cache.merge_match_into_notebook(cache.get_project_notebook(str(page)).nb, cell_meta=())[1]


def execute(page: Path, cache_folder: Path, timeout: int) -> str:
    """Execute a page and keep what came out. Returns how it went, in words."""
    cache = get_cache(cache_folder)
    notebook = cache.get_project_notebook(str(page)).nb
    try:
        result = single_nb_execution(
            notebook, cwd=str(page.parent), timeout=timeout, allow_errors=False, record_timing=True
        )
    except DeadKernelError:
        return "failed, the kernel died (was there enough memory?)"
    if result.err is not None:
        return "failed"
    seconds = [_seconds(cell.metadata.pop("execution", {})) for cell in notebook.cells if cell.cell_type == "code"]
    notebook.metadata.pop("widgets", None)  # a widget's HTML has its state already: the page would hold it twice
    cache.cache_notebook_bundle(
        CacheBundleIn(notebook, str(page), data={"execution_seconds": result.time, "cell_seconds": seconds}),
        check_validity=False,
        overwrite=True,
    )
    return f"{result.time:.0f} s"


def _seconds(times: dict[str, str]) -> float:
    """Return what a cell took, from the times that nbclient has noted."""
    begun, ended = times.get("iopub.execute_input"), times.get("shell.execute_reply")
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds() if begun and ended else 0.0


def execute_all(pages: list[Path], cache_folder: Path, timeout: int) -> None:
    """Execute the pages that are not in the cache; the environment is this process's, with one thread per kernel."""
    pages = lacking(pages, cache_folder)
    if not pages:
        return
    kernels = min(cores(), len(pages))
    print(f"Pages with code to execute: {len(pages)}, {kernels} at a time.", flush=True)
    start = time.perf_counter()
    # With Ctrl-C the pool would first finish all pages. So end at once; a kernel ends when its parent has.
    usual = signal.signal(signal.SIGINT, signal.SIG_DFL)
    with ThreadPoolExecutor(kernels) as pool:
        waiting = {pool.submit(execute, page, cache_folder, timeout): page for page in pages}
        for number, done in enumerate(as_completed(waiting), 1):
            print(f"[{number}/{len(pages)}] {waiting[done].stem}: {done.result()}", flush=True)
    signal.signal(signal.SIGINT, usual)
    print(f"Executed in {time.perf_counter() - start:.0f} s.", flush=True)
