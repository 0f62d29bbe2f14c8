"""Run a submission's cells and call its functions, on request. Started inside the sandbox: `python -I runner.py`.

Nothing here is secret and nothing that it says is believed: the student's code shares this process. Requests come on
standard input, replies leave on standard output (the student's own prints go to standard error).

    {"id": n, "do": "run", "name": "…", "source": "…"}                  -> {"id": n, "ok": true}
    {"id": n, "do": "call", "function": "…", "args": […], "kwargs": {…}}  -> {"id": n, "value": …}
    and for both                                                        -> {"id": n, "error": {…}}
"""

from __future__ import annotations

import builtins
import importlib.util
import json
import os
import resource
import sys
import traceback
import types


def load_codec() -> types.ModuleType:
    """codec.py beside this file; through the package it would import much more."""
    place = os.path.join(os.path.dirname(os.path.abspath(__file__)), "codec.py")
    spec = importlib.util.spec_from_file_location("codec", place)
    sys.modules["codec"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["codec"])
    return sys.modules["codec"]


def limit(limits: dict) -> None:
    for name, value in limits.items():
        which = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))


def main() -> None:
    settings = json.loads(sys.argv[1])
    limit(settings["limits"])
    sys.path[:0] = settings["path"]
    sys.argv = [""]
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)

    codec = load_codec()
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    space = module.__dict__
    space.update(display=lambda *_, **__: None, get_ipython=lambda: _NoShell())
    while True:
        head = requests.read(codec.LENGTHS.size)
        if len(head) < codec.LENGTHS.size:
            return
        header, body = codec.lengths(head)
        request = codec.unpack(requests.read(header), requests.read(body), tensors=True)
        reply = {"id": request["id"]}
        try:
            if request["do"] == "run":
                run(request["name"], request["source"], space)
                reply["ok"] = True
            else:
                reply["value"] = space[request["function"]](*request["args"], **request["kwargs"])
            frame = codec.pack(reply)
        except BaseException as error:  # SystemExit and KeyboardInterrupt are answers like any other
            frame = codec.pack({"id": request["id"], "error": describe(error, codec)})
        sys.stdout.flush()
        replies.write(frame)
        replies.flush()


def run(name: str, source: str, space: dict) -> None:
    if any(line.lstrip().startswith(("%", "!")) for line in source.splitlines()):
        from IPython.core.inputtransformer2 import TransformerManager

        source = TransformerManager().transform_cell(source)
    exec(compile(source, f"<{name}>", "exec", dont_inherit=True), space)


def describe(error: BaseException, codec) -> dict:
    """Kind, place and text of an error."""
    if isinstance(error, codec.CodecError):
        return {"kind": "value", "text": str(error), "line": 0, "cell": ""}
    place = ("", 0)
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith("<") and frame.filename.endswith(">"):
            place = (frame.filename[1:-1], frame.lineno or 0)
    if isinstance(error, SyntaxError):
        place = ((error.filename or "<>")[1:-1], error.lineno or 0)
    kind = next((c.__name__ for c in type(error).__mro__ if getattr(builtins, c.__name__, None) is c), "Exception")
    try:
        text = str(error)[:500]
    except BaseException:
        text = ""
    return {"kind": kind, "text": text, "line": place[1], "cell": place[0]}


class _NoShell:
    """Stands for IPython's shell: magic commands and shell commands of a notebook do nothing here."""

    def __getattr__(self, name):
        return lambda *_, **__: None


if __name__ == "__main__":
    main()
