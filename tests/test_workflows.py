"""The workflows and the development container call commands that exist, and nothing that is not theirs to call."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from coursekit.address import set_address
from coursekit.links import broken
from cxrlib import cli

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CONTAINER = ROOT / ".devcontainer" / "devcontainer.json"
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)) | {".venv/.installed"}


GITLAB = ROOT / ".gitlab-ci.yml"
BINDER = ROOT / ".binder"


def jobs(path: Path) -> dict:
    return yaml.safe_load(path.read_text())["jobs"]


def steps(path: Path) -> list[dict]:
    return [step for job in jobs(path).values() for step in job["steps"]]


def make_targets(script: str) -> set[str]:
    """What the shell script asks make for; a `make` that is only a word (of apt-get) asks for nothing."""
    commands = [shlex.split(part, comments=True) for line in script.splitlines() for part in line.split("&&")]
    return {word for command in commands if command[:1] == ["make"] for word in command[1:] if "=" not in word}


def test_the_two_workflows_are_here():
    assert [path.name for path in WORKFLOWS] == ["book.yml", "weekly.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_a_workflow_calls_only_what_the_makefile_has(path):
    called = set().union(*(make_targets(step.get("run", "")) for step in steps(path)))
    assert called & {"test", "test-library"}
    assert called <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_actions_are_the_official_ones_at_a_major_version(path):
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used)


@pytest.mark.parametrize("path", [*WORKFLOWS, CONTAINER, CONTAINER.parent / "Dockerfile", GITLAB], ids=lambda p: p.stem)
def test_no_address_of_another_host_is_named(path):
    assert not re.search(r"https?://|--(extra-)?index-url|\.(org|com|io|dev)\b", path.read_text())


def test_only_what_was_tested_on_the_branch_of_the_course_is_published():
    book = jobs(ROOT / ".github" / "workflows" / "book.yml")
    assert book["publish"]["needs"] == "book" and book["book"]["needs"] == "test"
    assert "github.ref_name == needs.test.outputs.published" in book["book"]["if"] and "if" not in book["test"]
    assert "publish" not in book["test"] and set(book["publish"]["permissions"]) == {"pages", "id-token"}
    built = [step["with"]["path"] for step in book["book"]["steps"] if "pages-artifact" in step.get("uses", "")]
    assert built == ["_build/html"]


@pytest.mark.parametrize("branch", ["main", "course/x-rays", "1.0"])
def test_the_workflow_reads_the_branch_from_the_configuration_and_says_what_is_not_published(tmp_path, branch):
    for name in ("_config.yml", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    set_address(tmp_path, "https://github.com/someone/x-rays", branch)
    (settings,) = [s for s in steps(ROOT / ".github" / "workflows" / "book.yml") if s.get("id") == "settings"]
    for ref in (branch, "a-try"):
        env = {"PATH": os.environ["PATH"], "GITHUB_OUTPUT": str(tmp_path / "out"), "GITHUB_REF_NAME": ref}
        done = subprocess.run(
            ["bash", "-e"], input=settings["run"], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0 and (tmp_path / "out").read_text().endswith(f"published={branch}\n")
        assert ("tested, not published" in done.stdout) == (ref != branch)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_every_job_ends_in_time(path):
    assert all(0 < job["timeout-minutes"] <= 240 for job in jobs(path).values())


def test_the_audit_reads_the_pinned_set():
    commands = [step.get("run", "") for step in steps(ROOT / ".github" / "workflows" / "weekly.yml")]
    (audit,) = [command for command in commands if command.startswith("pip-audit")]
    assert (ROOT / shlex.split(audit)[shlex.split(audit).index("--requirement") + 1]).name == "constraints.txt"


def test_the_container_ends_with_the_doctor():
    container, image = json.loads(CONTAINER.read_text()), (CONTAINER.parent / "Dockerfile").read_text()
    setup = container["postCreateCommand"]
    assert setup.endswith("make doctor ARGS=--grading"), "it fails where submissions cannot be graded"
    wanted = {
        "seccomp=unconfined",
        "apparmor=unconfined",
        "systempaths=unconfined",
    }  # what the sandbox's namespaces need
    assert {f"--security-opt={option}" for option in wanted} <= set(container["runArgs"])
    assert make_targets(setup) <= TARGETS
    assert {"make", "chromium", "bubblewrap"} <= set(shlex.split(image, comments=True))
    # JupyterLab does not start for root
    assert container["build"] == {"dockerfile": "Dockerfile"} and f" {container['remoteUser']}\n" in image


def test_gitlab_does_what_github_does():
    pipeline = yaml.safe_load(GITLAB.read_text())
    scripts = {name: job["script"] for name, job in pipeline.items() if isinstance(job, dict) and "script" in job}
    called = {name: make_targets("\n".join(script)) for name, script in scripts.items()}
    book = jobs(ROOT / ".github" / "workflows" / "book.yml")
    for ours, theirs in (("test", "test"), ("pages", "book")):
        assert called[ours] == set().union(*(make_targets(step.get("run", "")) for step in book[theirs]["steps"]))
    assert called["weekly"] == {"test", "links"} <= TARGETS
    weekly = [step.get("run", "") for step in steps(ROOT / ".github" / "workflows" / "weekly.yml")]
    assert all(any(line in run for run in weekly) for line in scripts["weekly"])
    assert pipeline["pages"]["needs"] == ["test"] and pipeline["pages"]["artifacts"]["paths"] == ["public"]
    assert scripts["pages"][-1] == "mv _build/html public" and set(pipeline["stages"]) == {"test", "publish"}
    assert {"make", "chromium", "bubblewrap"} <= set(shlex.split(" ".join(pipeline["default"]["before_script"])))


def test_the_container_forwards_the_ports_of_the_apps():
    container = json.loads(CONTAINER.read_text())
    assert set(map(str, container["forwardPorts"])) == set(container["portsAttributes"])
    (port,) = [o.default for o in cli.main.commands["app"].params if o.name == "port"]
    assert port in container["forwardPorts"]


def test_binder_gets_torch_for_processors_and_then_the_course_in_the_tested_versions(tmp_path):
    """postBuild, with a python that only writes down what it is asked for, and what it is given as pins."""
    assert (BINDER / "apt.txt").read_text().split() == ["make"] and os.access(BINDER / "postBuild", os.X_OK)
    environment = yaml.safe_load((BINDER / "environment.yml").read_text())
    assert {"pip", "jupyterlab>=4", "pytorch-cpu", "torchvision"} <= set(environment["dependencies"])
    assert any(one.startswith("python=3.") for one in environment["dependencies"])
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n[ "$2" = pip ] && cp "$6" {tmp_path}/pins || true\n')
    python.chmod(0o755)
    subprocess.run([BINDER / "postBuild"], cwd=ROOT, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=True)
    course, check = (tmp_path / "asked").read_text().splitlines()
    assert re.fullmatch(r"-m pip install --no-cache-dir -c \S+ -e \.\[book,app\] -e \./coursekit", course)
    pins, tested = ((path).read_text().splitlines() for path in (tmp_path / "pins", ROOT / "constraints.txt"))
    assert {line.partition("==")[0] for line in set(tested) - set(pins)} == {"torch", "torchvision"}
    assert set(pins) < set(tested) and "torch.version.cuda is None" in check


def test_only_links_that_lead_nowhere_are_told():
    line = {"filename": "book/x.md", "lineno": 3, "uri": "https://a", "status": "broken", "info": ""}
    shy = line | {"info": "403 Client Error: Forbidden for url: https://a"}
    gone = line | {"info": "404 Client Error: Not Found for url: https://a"}
    dead = line | {"info": "Name or service not known"}
    works = line | {"status": "working"}
    assert broken(map(json.dumps, (shy, gone, dead, works))) == [
        "book/x.md:3: https://a: 404 Client Error: Not Found for url: https://a",
        "book/x.md:3: https://a: Name or service not known",
    ]
