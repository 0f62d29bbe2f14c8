"""Run a submission's cells and call its functions, on request. Started inside the sandbox: `python -I runner.py`.

Nothing here is secret and nothing that it says is believed: the student's code shares this process. Requests come on
standard input, replies leave on standard output (the student's own prints go to standard error).

    {"id": n, "do": "look", "sources": […], "allowed": […]}             -> {"id": n, "value": {…}}, see cells.look
    {"id": n, "do": "start", "tasks": […], "given": […]}                -> {"id": n, "ok": true}
    {"id": n, "do": "run", "name": "…", "source": "…"}                  -> {"id": n, "ok": true, "kept": […]}
    {"id": n, "do": "call", "function": "…", "args": […], "kwargs": {…}}  -> {"id": n, "value": …}
    and for all of them                                                 -> {"id": n, "error": {…}}
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import importlib.util
import json
import os
import resource
import sys
import traceback
import types

AWAIT = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def load(name: str) -> types.ModuleType:
    """Load a module beside this file; through the package it would import much more."""
    place = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, place)
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def limit(limits: dict) -> None:
    """Set this process's limits; none is raised."""
    for name, value in limits.items():
        which = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def main() -> None:
    """Answer requests until standard input ends."""
    settings = json.loads(sys.argv[1])
    limit(settings["limits"])
    sys.path[:0] = ["", *settings["path"]]  # a notebook finds modules in its folder
    sys.argv = [""]
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    codec, notebook = load("codec"), Notebook(load("cells"))
    while True:
        head = requests.read(codec.LENGTHS.size)
        if len(head) < codec.LENGTHS.size:
            return
        header, body = codec.lengths(head)
        request = codec.unpack(requests.read(header), requests.read(body), inside=True)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # a student may have closed or replaced them
        try:
            frame = codec.pack({"id": request["id"], **notebook.answer(request)})
        except BaseException as error:  # SystemExit and KeyboardInterrupt are answers like any other
            frame = codec.pack({"id": request["id"], "error": describe(error, codec)})
        with contextlib.suppress(AttributeError, OSError, ValueError):
            sys.stdout.flush()
        replies.write(frame)
        replies.flush()


class Notebook:
    """The names of a running notebook, and the given cells, which are bound anew for every call that uses them."""

    def __init__(self, cells: types.ModuleType) -> None:
        self.cells = cells
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self.space = module.__dict__
        self.space.update(__builtins__=builtins, get_ipython=lambda: Shell(self), display=lambda *_, **__: None)
        builtins.input = lambda *_: ""
        sys.modules.setdefault("google.colab", Nothing("google.colab"))
        self.given: list[types.CodeType] = []
        self.bound: dict[str, object] = {}
        self.functions: dict[str, object] = {}  # task -> the last thing of this name that could be called

    def answer(self, request: dict) -> dict:
        """Return the reply to a request."""
        if request["do"] == "look":
            return {"value": self.cells.look(request["sources"], request["allowed"])}
        if request["do"] == "start":
            self.functions = dict.fromkeys(request["tasks"])
            self.given = [self.compiled("given", source) for source in request["given"]]
            return {"ok": True}
        if request["do"] == "run":
            self.run(request["name"], request["source"])
            if request["name"] == "given":
                names = self.cells.bound(self.cells.parse(request["source"]).body)
                self.bound.update({name: self.space[name] for name in names})
            return {"ok": True, "kept": self.keep_functions()}
        name = request["function"]
        space = self.space if name in self.functions else self.renewed()
        return {"value": space[name](*request["args"], **request["kwargs"])}

    def compiled(self, name: str, source: str) -> types.CodeType:
        """Return a cell as code; top-level await is allowed, as in a notebook."""
        return compile(self.cells.parse(source), f"<{name}>", "exec", flags=AWAIT, dont_inherit=True)

    def run(self, name: str, source: str) -> None:
        """Run a cell in the notebook's names."""
        result = types.FunctionType(self.compiled(name, source), self.space)()
        if result is not None:  # the cell has an await
            asyncio.new_event_loop().run_until_complete(result)

    def keep_functions(self) -> list[str]:
        """Put back a task's function where its name was given to something else, as in `auc = auc(labels, scores)`."""
        back = []
        for task, function in self.functions.items():
            if callable(self.space.get(task)):
                self.functions[task] = self.space[task]
            elif function is not None and task in self.space:
                self.space[task] = function
                back.append(task)
        return back

    def renewed(self) -> dict[str, object]:
        """Names for a call of a given function: the given cells, as they were handed out, and the student's answers.

        Where the student left a given name alone, the student's code sees the new one, too.
        """
        new = {"__name__": "__main__", "__builtins__": builtins}
        for code in self.given:
            exec(code, new)
        for name, old in self.bound.items():
            if self.space.get(name) is old:
                self.space[name] = self.bound[name] = new[name]
        new.update({task: self.space[task] for task in self.functions if task in self.space})
        return new


class Shell:
    """Stands for IPython's shell: a magic command runs the Python that it is given, and does nothing else."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook, self.user_ns = notebook, notebook.space

    def run_cell_magic(self, name: str, line: str, body: str) -> None:
        """Run the body, unless it is another language; ``%%writefile`` writes it."""
        if name in ("writefile", "file"):
            append = line.startswith("-a ")
            with open(line.removeprefix("-a ").strip(), "a" if append else "w", encoding="utf-8") as file:
                file.write(body)
        elif name not in self.notebook.cells.FOREIGN:
            if name == "capture" and line.strip().isidentifier():
                self.notebook.space[line.strip()] = Nothing(line.strip())
            if name == "timeit":
                self.notebook.run("own", self.notebook.cells.command(line))
            self.notebook.run("own", "\n" + body)

    def run_line_magic(self, name: str, line: str, *_: object) -> object:
        """Run what ``%time`` is given."""
        if name not in self.notebook.cells.TIMED:
            return None
        self.notebook.space.pop("_", None)
        source = self.notebook.cells.command(line)
        try:
            compile(source, "<own>", "eval")
        except SyntaxError:
            self.notebook.run("own", source)
            return None
        self.notebook.run("own", f"_ = ({source})")
        return self.notebook.space["_"] if name == "time" else None

    magic = run_magic = lambda self, line: self.run_line_magic(*line.lstrip("%").partition(" ")[::2])

    def getoutput(self, *_: object, **__: object) -> list:
        """Return the output of a shell command: none is run."""
        return []

    def __getattr__(self, name: str) -> object:
        return lambda *_, **__: None


class Nothing(types.ModuleType):
    """A module, or an object, of which every attribute does nothing: `google.colab` is nowhere but there."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing(name)

    def __call__(self, *_: object, **__: object) -> Nothing:
        """Do nothing, as everything here."""
        return self


def describe(error: BaseException, codec: types.ModuleType) -> dict:
    """Kind, place and text of an error, and the name that was missing."""
    if isinstance(error, codec.CodecError):
        return {"kind": "value", "text": str(error), "line": 0, "cell": "", "name": ""}
    place = ("", 0)
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith("<") and frame.filename.endswith(">"):
            place = (frame.filename[1:-1], frame.lineno or 0)
    if isinstance(error, SyntaxError):
        place = ((error.filename or "<>")[1:-1], error.lineno or 0)
    kind = next((c.__name__ for c in type(error).__mro__ if getattr(builtins, c.__name__, None) is c), "Exception")
    try:
        text, name = str(error)[:500], str(getattr(error, "name", "") or "")[:100]
    except BaseException:
        text = name = ""
    return {"kind": kind, "text": text, "line": place[1], "cell": place[0], "name": name}


if __name__ == "__main__":
    main()
