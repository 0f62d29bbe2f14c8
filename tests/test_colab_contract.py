"""What the set-up cell may do to Google Colab: add a little, replace nothing. Wheels made here are the index."""

import re
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools import colab_contract as tool

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = ROOT / "pyproject.toml"
LISTS = sorted((ROOT / "tests" / "data").glob("colab-*.txt"))


@pytest.fixture
def index(tmp_path, monkeypatch):
    """index(name, version, *requirements): a wheel that pip finds. Nothing else can be found."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    def add(name, version, *requirements, size=100, python=">=3.8"):
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            info = f"{name}-{version}.dist-info"
            needs = "".join(f"Requires-Dist: {r}\n" for r in requirements)
            wheel.writestr(
                f"{info}/METADATA",
                f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: {python}\n{needs}",
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
            wheel.writestr(f"{name}/data.bin", bytes(size))

    return add


@pytest.fixture
def judge(tmp_path, capsys):
    """judge(*requirements): exit status and report for a project that needs these, in a small Colab."""
    there = tmp_path / "colab.txt"
    there.write_text("# Colab, Python 3.13\nnumpy==2.1.3\npillow==11.3.0\ntorch==2.11.0+cu128\n")

    def run(*requirements, limit="10"):
        project = tmp_path / "pyproject.toml"
        project.write_text(
            f"[build-system]\nrequires = []\n[project]\nname = 'lungs'\ndependencies = {list(requirements)!r}\n"
        )
        status = tool.main(["--pyproject", str(project), "--lists", str(there), "--limit", limit])
        return status, capsys.readouterr().out

    return run


# --- this project


def test_the_lists_hold_names_and_versions_only():
    assert [p.name for p in LISTS] == ["colab-cpu.txt", "colab-gpu.txt"]
    for path in LISTS:
        first, *lines = path.read_text(encoding="utf-8").splitlines()
        assert "Python 3.13" in first and len(lines) > 600
        assert all(re.fullmatch(r"[\w.-]+==[\w.!+]+", line) for line in lines)


@pytest.mark.parametrize("line", tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"])
def test_a_runtime_requirement_is_a_lower_bound(line):
    assert {clause.operator for clause in Requirement(line).specifier} == {">="}


def test_the_set_up_cell_adds_pydicom_and_replaces_nothing(index, capsys):
    index("pydicom", "3.0.1")
    index("hatchling", "1.27.0")
    assert tool.main([]) == 0, "a runtime requirement that Colab has not, or has in an older version"
    report = capsys.readouterr().out
    assert "pydicom" in report and report.count("replaces nothing") == len(LISTS)


@pytest.mark.slow
def test_the_real_index_gives_what_is_missing_and_it_is_small(capsys):
    status = tool.main([])
    report = capsys.readouterr().out
    assert status == 0, report
    added = re.findall(r"^  (\S+) +\d\S* +[\d.]+ MB  \(cxrlib\)$", report, re.M)
    assert added == ["pydicom"] * len(LISTS)


# --- the tool


def test_what_is_there_and_good_enough_is_never_fetched(index, judge):
    status, report = judge("torch>=2.4", "NumPy>=2.0", "pillow")
    assert status == 0 and "0.00 MB" in report and "replaces nothing" in report


def test_a_requirement_that_would_replace_a_package_is_named(index, judge):
    status, report = judge("numpy<2", "torch>=99")
    assert status == 1 and "replaces nothing" not in report
    assert "numpy 2.1.3 would be replaced: lungs needs numpy<2" in report
    assert "torch 2.11.0+cu128 would be replaced" in report


def test_the_requirements_of_what_is_added_count_too(index, judge):
    index("ribs", "1.0", "heart>=2")
    index("heart", "2.5", "pillow<9", "numpy")
    status, report = judge("ribs")
    assert status == 1 and "pillow 11.3.0 would be replaced: heart 2.5 needs pillow<9" in report
    assert re.search(r"ribs +1\.0 .*\(lungs\)", report) and re.search(r"heart +2\.5 .*\(ribs 1\.0\)", report)


def test_the_newest_version_is_judged_as_pip_takes_it(index, judge):
    index("ribs", "1.0")
    index("ribs", "2.0", "numpy>=3")
    index("ribs", "3.0", "numpy>=9", python=">=3.14")  # not for this Colab
    assert judge("ribs<2")[0] == 0
    status, report = judge("ribs")
    assert status == 1 and "ribs 2.0 needs numpy>=3" in report


def test_two_requirements_for_one_package_meet(index, judge):
    index("ribs", "1.0")
    index("ribs", "2.0")
    index("heart", "1.0", "ribs<2")
    status, report = judge("ribs", "heart")
    assert status == 0 and re.search(r"ribs +1\.0", report) and not re.search(r"ribs +2\.0", report)


def test_markers_and_extras_are_read_for_colab_not_for_this_machine(index, judge):
    index(
        "ribs",
        "1.0",
        "numpy<2; python_version < '3.13'",
        "pillow<9; sys_platform == 'win32'",
        "pillow<9; extra == 'old'",
    )
    assert judge("ribs", "numpy<1; python_version < '3.13'")[0] == 0
    assert judge("numpy<1; python_version >= '3.13'")[0] == 1
    assert "pillow<9" in judge("ribs[old]")[1]


def test_a_large_download_or_one_without_a_wheel_breaks_the_contract(index, judge):
    index("ribs", "1.0", size=11_000_000)
    status, report = judge("ribs")
    assert status == 1 and "11.0 MB is more than 10 MB" in report
    assert judge("ribs", limit="12")[0] == 0
    status, report = judge("spine>=2")
    assert status == 1 and "spine>=2, which lungs needs: pip finds no wheel for Python 3.13" in report
    assert judge("ribs @ https://example.org/ribs.zip")[0] == 1
