"""A Python process in a bubblewrap sandbox that runs a submission's cells and answers calls of its functions.

No network, its own process namespace, an empty environment, a read-only interpreter and library, an empty home that is
forgotten, no new processes, and limits on processor time, memory, files and wall time. What it says is data.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib.util
import json
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import seccomp
from .inside import codec

INSIDE = Path(__file__).resolve().parent / "inside"
LIBRARY = Path(importlib.util.find_spec("cxrlib").origin).resolve().parent
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/alternatives", "/nix/store")
PRINTED = 4096
HOME = "/tmp/home"  # as the submission sees it


class SandboxMissing(RuntimeError):
    """There is no working sandbox on this machine."""


class SandboxFailed(RuntimeError):
    """A sandbox that works did not start this time (no memory, no processes left)."""


class Stopped(Exception):
    """The student's process is gone.

    reason: "timeout" or "crashed". killed: by the system, which may have been short of memory.
    """

    def __init__(self, reason: str, detail: str, killed: bool = False) -> None:
        super().__init__(detail)
        self.reason, self.killed = reason, killed


class StudentError(Exception):
    """The student's code raised an error, or returned what cannot be a value."""

    def __init__(self, kind: str, text: str, line: int, cell: str, name: str = "") -> None:
        super().__init__(f"{kind}: {text}")
        self.kind, self.text, self.line, self.cell, self.name = kind, text, line, cell, name


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    cell, call, total: seconds of wall clock, for one cell, for one call of a function, and in all. memory: MB. files:
    MB in one file. threads, entries: at a time; how many files and folders there may be.
    """

    cell: float = 60
    call: float = 30
    total: float = 180
    memory: int = 3072
    files: int = 64
    threads: int = 256
    entries: int = 20_000

    @classmethod
    def within(cls, seconds: float) -> Limits:
        """Return the limits for a submission that may take this long: a third for a cell, a sixth for a call."""
        return cls(cell=seconds / 3, call=seconds / 6, total=seconds)


@cache
def find_sandbox() -> str:
    """Return the path of a bubblewrap that works here. Raises SandboxMissing with the remedy."""
    found = shutil.which("bwrap")
    if found is None:
        raise SandboxMissing(
            "grading runs other people's code and needs the sandbox bubblewrap, which is not installed. "
            "Install it (Debian, Ubuntu: sudo apt install bubblewrap; Fedora: sudo dnf install bubblewrap); "
            "it needs Linux. With --unsafe the code would run with all your rights."
        )
    try:
        with Session(found, Limits(cell=30)) as session:
            session.run("probe", "import os\nassert os.getpid() < 10")
    except (Stopped, StudentError, OSError, ValueError) as error:
        raise SandboxMissing(
            f"bubblewrap is installed ({found}) but does not work here: {error} Inside a container it needs the right "
            "to make user namespaces (Docker: --security-opt seccomp=unconfined, or run on the host)."
        ) from error
    return found


class Session:
    """One process of the student. `sandbox` is the path of bubblewrap; None runs without one (`--unsafe`)."""

    def __init__(self, sandbox: str | None, limits: Limits, deadline: float | None = None) -> None:
        self.limits = limits
        self.deadline = deadline or time.monotonic() + limits.total
        self.printed = b""
        self._complaint = b""
        self._capture = True
        self._answered = False  # until then only bubblewrap and the runner have spoken
        self._home = None
        most = {"AS": limits.memory * 2**20, "FSIZE": limits.files * 2**20, "CPU": int(limits.total) + 1}
        most |= {"NOFILE": 256, "CORE": 0}
        settings = json.dumps({"limits": most, "path": ["/course"] if sandbox else [str(LIBRARY.parent)]})
        python = [sys.executable, "-I", "-B", "-X", "utf8"]
        environment = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TQDM_DISABLE"), "1")
        environment |= {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MPLBACKEND": "Agg", "PYTHONHASHSEED": "0"}
        descriptors: list[int] = []
        try:
            if sandbox:
                environment["HOME"] = HOME
                rules = [*_namespace(), *(w for k, v in environment.items() for w in ("--setenv", k, v))]
                descriptors = [_readable("\0".join(rules).encode()), _readable(seccomp.program())]
                walls = ["--args", str(descriptors[0]), "--seccomp", str(descriptors[1])]
                command = [sandbox, *walls, *python, "/inside/runner.py", settings]
                environment = {}
            else:
                self._home = tempfile.TemporaryDirectory(prefix="cxr-grade-", ignore_cleanup_errors=True)
                environment["HOME"] = self._home.name
                command = [*python, str(INSIDE / "runner.py"), settings]
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
            where = {"env": environment, "cwd": self._home.name if self._home else "/", "pass_fds": descriptors}
            self._process = subprocess.Popen(command, **pipes, **where, start_new_session=True, bufsize=0)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            os.set_blocking(pipe.fileno(), False)
        self._excess, self._closed = "", threading.Event()
        if sandbox:
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """End the process when it has too many threads or files.

        Neither the superuser's processes nor the entries of a tmpfs can be limited from inside on every system.
        """
        process = None
        while not self._closed.wait(0.05):
            try:
                process = process or _innermost(self._process.pid)
                if process is None:
                    continue
                threads = len(os.listdir(f"/proc/{process}/task"))
                home = os.statvfs(f"/proc/{process}/root{HOME}")
            except OSError:
                continue
            if threads > self.limits.threads:
                self._excess = f"started more than {self.limits.threads} threads"
            elif home.f_files - home.f_ffree > self.limits.entries:
                self._excess = f"made more than {self.limits.entries:,} files"
            if self._excess:
                self._kill()
                return

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def start(self, tasks: Sequence[str], given: Sequence[str]) -> None:
        """Name the tasks, and the given cells that are bound anew for calls. Raises Stopped."""
        self._ask({"do": "start", "tasks": list(tasks), "given": list(given)}, self.limits.cell, "the start", "ok")

    def look(self, sources: Sequence[str], allowed: Sequence[str]) -> dict:
        """Tell what `inside/cells.py` says about cells before any of them runs. Raises Stopped."""
        request = {"do": "look", "sources": list(sources), "allowed": list(allowed)}
        return self._ask(request, self.limits.cell, "the look at the cells", "value")

    def run(self, name: str, source: str) -> list[str]:
        """Run one cell; returns the tasks whose function was put back. Raises StudentError, Stopped."""
        reply = self._ask({"do": "run", "name": name, "source": source}, self.limits.cell, "a cell", "kept")
        return [task for task in reply if isinstance(task, str)] if isinstance(reply, list) else []

    def call(self, function: str, args: tuple, kwargs: dict) -> object:
        """Return what the student's `function` returns, as plain values. Raises StudentError or Stopped."""
        self._capture = False  # from here on a print could carry the inputs out
        request = {"do": "call", "function": function, "args": list(args), "kwargs": dict(kwargs)}
        return self._ask(request, self.limits.call, f"{function}()", "value")

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def close(self) -> None:
        """End the process and everything that it started."""
        self._closed.set()
        self._kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()
        if self._home:
            self._home.cleanup()

    def _ask(self, request: dict, seconds: float, what: str, wanted_key: str) -> object:
        """Send a request; returns what stands under a key of the reply. Raises StudentError or Stopped."""
        number = secrets.token_hex(8)  # an answer prepared before the question does not know it
        frame = memoryview(codec.pack({"id": number, **request}))
        until = min(time.monotonic() + seconds, self.deadline)
        incoming, wanted, header = bytearray(), codec.LENGTHS.size, None
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdin, selectors.EVENT_WRITE)
            for pipe in (self._process.stdout, self._process.stderr):
                ready.register(pipe, selectors.EVENT_READ)
            while True:
                left = until - time.monotonic()
                if left <= 0:
                    self.close()
                    limit = "all that one submission has" if until == self.deadline else f"{seconds:.0f} seconds"
                    raise Stopped("timeout", f"{what} did not end within {limit} (--timeout sets the limits)")
                for key, _ in ready.select(left):
                    if key.fileobj is self._process.stdin:
                        try:
                            frame = frame[os.write(key.fd, frame) :]
                        except BlockingIOError:
                            continue
                        except OSError:
                            frame = frame[:0]
                        if not frame:
                            ready.unregister(key.fileobj)
                    elif key.fileobj is self._process.stderr:
                        self._listen(ready)
                    else:
                        piece = self._read(key.fd, wanted - len(incoming))
                        if piece is None:
                            continue
                        if not piece:
                            raise self._gone(what)
                        incoming += piece
                if len(incoming) < wanted:
                    continue
                try:
                    if header is None:
                        sizes = codec.lengths(bytes(incoming))
                        header, wanted, incoming = sizes, sum(sizes), bytearray()
                        if wanted:
                            continue
                    reply = codec.unpack(bytes(incoming[: header[0]]), bytes(incoming[header[0] :]))
                except codec.CodecError as error:
                    self.close()
                    raise Stopped("crashed", f"{what} answered with {error}") from None
                told = reply.get("id")
                if not isinstance(told, str) or told != number:  # an array would compare part by part
                    self.close()
                    raise Stopped("crashed", f"{what} answered before it was asked")
                self._answered = True
                if "error" in reply:
                    raise _student_error(reply["error"])
                if wanted_key not in reply:
                    self.close()  # the next question must not meet it
                    raise Stopped("crashed", "an answer that the course's runner did not write")
                return reply[wanted_key]

    @staticmethod
    def _read(descriptor: int, most: int) -> bytes | None:
        try:
            return os.read(descriptor, min(most, 2**20))
        except BlockingIOError:
            return None

    def _listen(self, ready: selectors.BaseSelector) -> None:
        piece = self._read(self._process.stderr.fileno(), 2**20)
        if piece == b"":
            ready.unregister(self._process.stderr)
        elif piece:
            self._complaint = (self._complaint + piece)[-500:]
            if self._capture and len(self.printed) < PRINTED:
                self.printed = (self.printed + piece)[:PRINTED]

    def _gone(self, what: str) -> Stopped:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        code = self._process.poll()
        if not self._answered:  # its last words may still be in the pipe
            self._complaint += self._read(self._process.stderr.fileno(), 500) or b""
        self.close()
        if not self._answered and self._complaint.startswith(b"bwrap:"):  # later anybody could write that
            return Stopped("crashed", self._complaint.decode("utf-8", "replace").strip() + ".")
        how = {
            signal.SIGKILL: "was killed (too much memory?)", signal.SIGXCPU: "used too much processor time",
            signal.SIGXFSZ: "wrote a file that is too large", signal.SIGSEGV: "crashed the interpreter",
        }  # fmt: skip
        number = -code if code and code < 0 else (code or 0) - 128
        if self._excess:
            return Stopped("crashed", f"{what} {self._excess}")
        return Stopped("crashed", f"{what} {how.get(number, 'ended the Python process')}", number == signal.SIGKILL)


def _namespace() -> list[str]:
    """Return the sandbox's walls, as bubblewrap arguments.

    /proc is read-only: where the superuser grades, /proc/sys would change this machine (core_pattern even runs a
    program outside), and /proc/1/mem would rewrite the process that ends the sandbox.
    """
    rules = ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    rules += ["--hostname", "sandbox", "--proc", "/proc", "--remount-ro", "/proc"]
    rules += ["--dev", "/dev", "--size", str(16 * 2**20), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    for path in SYSTEM:
        if os.path.islink(path):
            rules += ["--symlink", os.readlink(path), path]
        elif os.path.exists(path):
            rules += ["--ro-bind", path, path]
    for path in _interpreter():
        rules += ["--ro-bind", path, path]
    # after the interpreter, which may live below /tmp
    rules += ["--ro-bind", str(LIBRARY), "/course/cxrlib", "--ro-bind", str(INSIDE), "/inside"]
    below_tmp = any(path.startswith("/tmp/") for path in _interpreter())
    home = ["--tmpfs", HOME] if below_tmp else ["--tmpfs", "/tmp", "--dir", HOME]
    return [*rules, "--size", str(64 * 2**20), *home, "--chdir", HOME, "--remount-ro", "/"]


def _innermost(process: int) -> int | None:
    """Return the process in the sandbox: the child of bubblewrap's child."""
    for _ in range(2):
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        if not children:
            return None
        process = int(children[0])
    return process


def _interpreter() -> list[str]:
    """Folders of this Python and its packages that are not below /usr. Never the course's own folder."""
    folders = {Path(sys.prefix), Path(sys.base_prefix)}
    folders |= {Path(p) for p in sys.path if Path(p).name in ("site-packages", "dist-packages")}
    kept: list[Path] = []
    for folder in sorted(folders):
        covered = any(folder == other or other in folder.parents for other in (*kept, Path("/usr")))
        if not covered and folder.is_dir() and folder != Path("/"):
            kept.append(folder)
    return [str(folder) for folder in kept]


def _readable(content: bytes) -> int:
    """Return a descriptor from which a child reads `content`."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        return os.dup(file.fileno())


def _student_error(fields: object) -> StudentError:
    """Return the error that the runner described, with nothing in it but what may be shown."""
    fields = fields if isinstance(fields, dict) else {}

    def text(name: str) -> str:
        value = fields.get(name)
        return value[:500] if isinstance(value, str) else ""

    kind, line = text("kind"), fields.get("line")
    known = isinstance(getattr(builtins, kind, None), type) or kind == "value"
    line = line if type(line) is int and 0 <= line < 10**6 else 0
    return StudentError(kind if known else "Exception", text("text"), line, text("cell"), text("name"))
