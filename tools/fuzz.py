"""Feed the library bad input, and see what it does with files and arguments that nobody meant.

Thousands of inputs are made from a seed, most of them valid files with some damage, and given to the functions that
read what comes from outside (the table is in tools/fuzz_targets). Each input has to be accepted, or refused with an
error that the library raises on purpose and that says what is wrong. Anything else is a finding: another exception, an
error without words, a crash of the process, more than SECONDS of time or `megabytes` of memory.

The inputs run in a child process with a limit on its memory; where it dies or hangs, the input is saved, and a new
process goes on after it.

    python -m tools.fuzz                        all targets, 10,000 inputs and more
    python -m tools.fuzz --only dicom --inputs 500 --seed 3
    python -m tools.fuzz --replay runs/fuzz/dicom-0-000123.case
"""

from __future__ import annotations

import argparse
import contextlib
import dis
import faulthandler
import importlib.util
import json
import os
import queue
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tqdm import tqdm

from . import fuzz_targets
from .fuzz_targets import ROOT, TARGETS, Target

SECONDS = 5  # for one input, of the processor's time, or of waiting for something
PATIENCE = 60  # for one input on a machine that is busy with other things
ROOM = 3_000  # MB of addresses that the process may have besides what it begins with
OWN = [ROOT]  # where errors are raised on purpose
FEEDING = Path(fuzz_targets.__file__).parent  # the code that calls the functions under test
START = 120  # seconds to import the library, or to make an input
LONGEST = 2000  # characters of a message
RAISE = dis.opmap["RAISE_VARARGS"]  # what a raise statement is compiled to
SHOWN = 3  # findings of one kind that are printed; all are counted

# ------------------------------------------------------------------------------------------------ in the child process


def work(targets: dict[str, Target], scratch: Path) -> None:
    """Run the jobs that arrive on stdin, one JSON object a line; say on stdout what became of each input."""
    say = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what the library prints must not stand between the answers
    stack = open(scratch / "stack.txt", "w")  # noqa: SIM115  open as long as the process lives
    faulthandler.enable(stack)
    faulthandler.register(signal.SIGUSR1, file=stack)
    warnings.simplefilter("ignore")

    def tell(**event) -> None:
        say.write(json.dumps(event) + "\n")

    for line in sys.stdin:
        job = json.loads(line)
        target = targets[job["target"]]
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        target.prepare()
        hard = _status("VmSize") + ROOM * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (hard, resource.RLIM_INFINITY))
        tell(ready=True)
        for index in range(job["start"], job["stop"]):
            case = Path(job["file"]).read_bytes() if job["file"] else target.case(job["seed"], index)
            (scratch / "current.case").write_bytes(case)
            folder = Path(tempfile.mkdtemp(dir=scratch, prefix="input-"))
            os.chdir(folder)
            before = _fresh_peak()
            tell(start=index)
            started = time.process_time()
            kind, text, where = attempt(target, case, folder)
            seconds = time.process_time() - started
            peak = (_peak() - before) / 2**20
            if peak > target.megabytes:
                kind, text, where = "finding", f"took {peak:,.0f} MB of memory", "memory"
            tell(index=index, kind=kind, text=text, where=where, seconds=seconds, peak=peak)
            os.chdir(scratch)
            shutil.rmtree(folder, ignore_errors=True)
        tell(done=True)


def attempt(target: Target, case: bytes, folder: Path) -> tuple[str, str, str]:
    """Run one input. Returns "accepted", "refused" or "finding"; the text; and where a finding comes from."""
    try:
        target.run(case, folder)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        wrong = "" if isinstance(error, target.answers) else "is not an answer"
        wrong = wrong or _fault(error, target)
        if not wrong:
            return "refused", _line(error), ""
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if _is_own(f.filename) and Path(f.filename).parent != FEEDING]
        where = [f"{Path(f.filename).name}:{f.lineno}" for f in (own[-1:] or frames[-1:])]
        return "finding", f"{type(error).__name__} {wrong}: {_line(error)}", f"{type(error).__name__} {where[0]}"
    return "accepted", "", ""


def _fault(error: BaseException, target: Target) -> str:
    """Return what is wrong with an error of the right kind, or nothing."""
    text = str(error).strip()
    if not text:
        return "has no message"
    if len(text) > LONGEST:
        return f"has a message of {len(text)} characters"
    if target.names and target.names not in text:
        return f"does not name {target.names}"
    if isinstance(error, OSError) and error.filename:
        return ""  # Python's own words name the file
    last = error.__traceback__
    while last.tb_next:
        last = last.tb_next
    code = last.tb_frame.f_code
    if not _is_own(code.co_filename) or code.co_code[last.tb_lasti] != RAISE:  # NumPy's or torch's own words, say
        return f"was not raised on purpose ({Path(code.co_filename).name}, line {last.tb_lineno})"
    return ""


def _is_own(file: str) -> bool:
    parts = Path(file).parts
    return "click" in parts or (any(map(Path(file).is_relative_to, OWN)) and ".venv" not in parts)


def _line(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be shown)"
    text = " ".join(text.split())
    return ascii(text)[1:-1] if len(text) <= 300 else ascii(text[:300])[1:-1] + " ..."


def _status(name: str) -> int:
    """Return a size of this process in bytes, such as VmSize or VmHWM (the largest resident size so far)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def _fresh_peak() -> int:
    """Begin the measurement of the largest resident size anew; returns the size now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


# ----------------------------------------------------------------------------------------------- in the parent process


@dataclass
class Tally:
    """What became of the inputs of one target."""

    target: str
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    findings: int = 0
    slowest_seconds: float = 0.0
    peak_mb: float = 0.0
    kinds: Counter = field(default_factory=Counter, repr=False)

    @property
    def survived(self) -> int:
        """Inputs that were accepted or refused with a sentence."""
        return self.inputs - self.findings


class Child:
    """The process that runs the inputs; a new one when it has died."""

    def __init__(self, options: list[str]):
        self.options, self.process = options, None
        self.scratch = Path(tempfile.mkdtemp(prefix="fuzz-"))

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_) -> None:
        self._stop()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _start(self) -> None:
        nowhere = "http://127.0.0.1:9"  # nothing is downloaded: who asks is refused at once
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "TQDM_DISABLE": "1",
            "MPLBACKEND": "agg",
            "CXR_CACHE_DIR": str(self.scratch / "cache"),
            "KAGGLEHUB_CACHE": str(self.scratch / "hub"),
            "TORCH_HOME": str(self.scratch / "hub"),
            "CXR_DATA_DIR": "",
            **{name: nowhere for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")},
        }
        self.errors = open(self.scratch / "stderr.txt", "w+", errors="replace")  # noqa: SIM115  closed by _stop
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.fuzz", "--worker", str(self.scratch), *self.options],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            encoding="utf-8",
            cwd=self.scratch,
            start_new_session=True,
        )
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, args=(self.process, self.lines), daemon=True).start()

    @staticmethod
    def _listen(process: subprocess.Popen, lines: queue.SimpleQueue[str]) -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    def _stop(self) -> None:
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # with the processes that the library started
            self.process.wait()
            self.process.stdin.close()
            self.errors.close()
        self.process = None

    def ask(self, **job: object) -> Iterator[dict]:
        """Run a job; yield its events. The last one is {"done"}, or {"dead": why}, with the index of the input."""
        if self.process is None:
            self._start()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
        index, running = job["start"], False
        while True:
            line = self._next(running)
            if not line:
                yield {"dead": self._why(line is None, running), "index": index, "running": running}
                return
            event = json.loads(line)
            yield event
            if "done" in event:
                return
            if "start" in event:
                index, running = event["start"], True
            elif "index" in event:
                index, running = event["index"] + 1, False

    def _next(self, running: bool) -> str | None:
        """Return the next line of the child: "" where it has ended, None where it took too long."""
        began, before = time.monotonic(), self._used()
        while True:
            try:
                return self.lines.get(timeout=SECONDS if running else START)
            except queue.Empty:
                used = self._used() - before
                starved = 0.2 * SECONDS < used < SECONDS  # it works, but others have the processor
                if not (running and starved and time.monotonic() - began < PATIENCE):
                    return None

    def _used(self) -> float:
        """Seconds of the processor that the child has used."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _why(self, late: bool, running: bool) -> str:
        if late:
            self.process.send_signal(signal.SIGUSR1)  # the child writes down where it is
            time.sleep(0.3)
            why = f"no answer after {SECONDS if running else START} s"
        else:
            code = self.process.wait()
            why = f"the process died: {signal.Signals(-code).name}" if code < 0 else f"the process ended with {code}"
        stack = [line.strip() for line in (self.scratch / "stack.txt").read_text(errors="replace").splitlines()]
        self.errors.seek(0)
        said = [line.strip() for line in self.errors.read().splitlines()]
        self._stop()
        own = [line for line in stack if "cxrlib" in line][:2] or stack[1:3] or said[-3:]
        return f"{why} {'; '.join(own)}".strip()


def fuzz(
    child: Child, target: Target, count: int, seed: int, keep: Path, bar: tqdm | None = None, file: Path | None = None
) -> Tally:
    """Run `count` inputs of a target, or the one in `file`; inputs of findings are saved in `keep`."""
    tally = Tally(target.name)
    at, again = 0, False

    def found(index: int, text: str, where: str) -> None:
        tally.findings += 1
        tally.kinds[where] += 1
        place = file or keep / f"{target.name}-{seed}-{index:06d}.case"
        if file is None:
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(child.scratch / "current.case", place)
        if tally.kinds[where] <= SHOWN:
            tqdm.write(f"{place.name}: {text}", file=sys.stderr)

    while at < count:
        stop = at + 1 if again else count
        for event in child.ask(target=target.name, seed=seed, start=at, stop=stop, file=str(file or "")):
            if "kind" in event:
                tally.inputs += 1
                tally.accepted += event["kind"] == "accepted"
                tally.refused += event["kind"] == "refused"
                if event["kind"] == "finding":
                    found(event["index"], event["text"], event["where"])
                elif file:
                    tqdm.write(f"{file.name}: {event['kind']} {event['text']}", file=sys.stderr)
                tally.slowest_seconds = max(tally.slowest_seconds, event["seconds"])
                tally.peak_mb = max(tally.peak_mb, event["peak"])
                at, again = event["index"] + 1, False
                if bar is not None:
                    bar.update()
            elif "dead" in event:
                if not event["running"]:
                    raise RuntimeError(f"{target.name}: no input could be made or read: {event['dead']}")
                at = event["index"]
                if again or "no answer" not in event["dead"]:  # once may be the fault of a busy machine
                    tally.inputs += 1
                    found(at, event["dead"], event["dead"][:60])
                    at, again = at + 1, False
                    if bar is not None:
                        bar.update()
                else:
                    again = True
    return tally


def shares(targets: dict[str, Target], inputs: int) -> dict[str, int]:
    """How many inputs each target gets: in the proportion of the table, at least one, together at least `inputs`."""
    whole = sum(target.share for target in targets.values())
    return {name: max(1, -(-inputs * target.share // whole)) for name, target in targets.items()}


def table(tallies: list[Tally]) -> str:
    """Write the counts as a table."""
    lines = [
        f"{'target':12s} {'inputs':>7s} {'accepted':>9s} {'refused':>8s} {'findings':>9s} {'CPU s':>10s} "
        f"{'peak MB':>8s}"
    ]
    lines += [
        f"{t.target:12s} {t.inputs:7d} {t.accepted:9d} {t.refused:8d} {t.findings:9d} {t.slowest_seconds:10.2f} "
        f"{t.peak_mb:8.0f}"
        for t in tallies
    ]
    return "\n".join(lines)


def run_all(
    plan: dict[str, int], targets: dict[str, Target], seed: int, keep: Path, jobs: int, options: list[str]
) -> list[Tally]:
    """All targets of a plan, `jobs` at a time; the tallies in the order of the plan."""
    waiting, done, lock = list(plan.items()), {}, threading.Lock()
    hidden = not sys.stderr.isatty() or None
    with tqdm(total=sum(plan.values()), unit="input", disable=hidden) as bar:

        def one_after_another() -> None:
            with Child(options) as child:
                while True:
                    with lock:
                        if not waiting:
                            return
                        name, count = waiting.pop(0)
                        bar.set_description(name)
                    try:
                        done[name] = fuzz(child, targets[name], count, seed, keep, bar)
                    except Exception as error:
                        done[name] = error
                        return

        threads = [threading.Thread(target=one_after_another) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for result in done.values():
        if isinstance(result, Exception):
            raise result
    return [done[name] for name in plan]


def record(tallies: list[Tally], seed: int) -> None:
    """Keep the counts in benchmarks/fuzz.json."""
    from cxrlib.device import describe
    from cxrlib.experiment import versions
    from cxrlib.files import write_json

    rows = [{key: value for key, value in asdict(tally).items() if key != "kinds"} for tally in tallies]
    write_json(
        ROOT / "benchmarks" / "fuzz.json",
        {
            "benchmark": "fuzz",
            "command": "make fuzz",
            "seed": seed,
            "inputs": sum(t.inputs for t in tallies),
            "survived": sum(t.survived for t in tallies),
            "limit_seconds": SECONDS,
            "limit_mb": Target.megabytes,
            "targets": rows,
            "versions": versions(),
            "machine": describe(),
        },
    )


def targets_of(path: str | None) -> dict[str, Target]:
    """Return the table of this course, or TARGETS of another Python file."""
    if path is None:
        return TARGETS
    spec = importlib.util.spec_from_file_location("other_targets", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    OWN.append(Path(path).resolve().parent)
    return module.TARGETS


def main(arguments: list[str] | None = None) -> int:
    """Feed the targets; the exit status is 1 when something was found."""
    parser = argparse.ArgumentParser(description="Feed the library bad input.")
    parser.add_argument("--only", metavar="TARGET", action="append", help="one target; repeatable")
    parser.add_argument("--inputs", type=int, default=10_000, help="how many inputs in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument(
        "--keep",
        type=Path,
        default=ROOT / "runs" / "fuzz",
        metavar="DIRECTORY",
        help="where the inputs of findings are saved",
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="a saved input; its name begins with the target's")
    parser.add_argument("--record", action="store_true", help="write benchmarks/fuzz.json")
    parser.add_argument("--targets", metavar="FILE", help="a Python file with another table of targets")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    options = ["--targets", str(Path(given.targets).resolve())] if given.targets else []
    targets = targets_of(given.targets)
    if given.worker:
        work(targets, given.worker)
        return 0
    if given.replay:
        name = given.replay.name.partition("-")[0]
        if name not in targets or not given.replay.is_file():
            parser.error(f"--replay: {given.replay} is no saved input of {', '.join(targets)}")
        with Child(options) as child:
            tallies = [fuzz(child, targets[name], 1, given.seed, given.keep, file=given.replay.resolve())]
    else:
        if unknown := set(given.only or ()) - set(targets):
            parser.error(f"--only: there is no target {', '.join(sorted(unknown))}; there are {', '.join(targets)}")
        if given.inputs < 1 or given.jobs < 1:
            parser.error("--inputs and --jobs: give a whole number of at least 1")
        chosen = {name: target for name, target in targets.items() if not given.only or name in given.only}
        tallies = run_all(shares(chosen, given.inputs), chosen, given.seed, given.keep, given.jobs, options)
    inputs, survived = sum(t.inputs for t in tallies), sum(t.survived for t in tallies)
    print(table(tallies))
    print(f"survived {survived:,} of {inputs:,} inputs")
    for tally in tallies:
        for where, count in tally.kinds.most_common():
            print(f"  {tally.target}: {count} x {where}")
    if given.record:
        record(tallies, given.seed)
    if inputs > survived and not given.replay:
        print(f"the inputs are in {given.keep}; run one again with --replay FILE")
    return int(inputs > survived)


if __name__ == "__main__":
    sys.exit(main())
