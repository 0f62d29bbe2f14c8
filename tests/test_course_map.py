"""The map: every objective is read somewhere and practiced or asked, and every name is there."""

import shutil

import pytest
import yaml

from coursekit import course_map
from coursekit.course import ROOT, Course
from coursekit.course_map import (
    MARK,
    cell_seconds,
    goals,
    marks,
    minutes,
    objectives,
    out_of_date,
    page,
    sections,
    table,
)
from coursekit.execute_chapters import execute, lacking

FULL = [ROOT / "chapters" / f"{name}.md" for name in Course.read().full if name[0].isdigit()]
CELL = "```{code-cell} ipython3\n{}\n\n```"
TOY = """\
---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# Toy

After it you can

- count,
- stop and say
  why.

```{code-cell} ipython3
1
```

## How *far*? "Here"

Some words | and more.

```{code-cell} ipython3
## no heading
import time

time.sleep(0.3)
```

### Further

```{code-cell} ipython3
:tags: [claims, remove-cell]

2
```
"""


@pytest.fixture
def toy(tmp_path):
    (tmp_path / "chapters").mkdir()
    (tmp_path / "questions").mkdir()
    (tmp_path / "questions" / "01_toy.md").write_text("Quiz title: Toy\n\nTitle: How many?\n1. ?\n")
    path = tmp_path / "chapters" / "01_toy.md"
    path.write_text(TOY)
    return path


def mark(toy, **marked):
    (toy.parents[1] / "questions" / "map.yml").write_text(yaml.safe_dump({"01_toy": marked}))


@pytest.mark.parametrize("chapter", FULL, ids=lambda path: path.stem)
def test_every_objective_is_served_and_every_name_is_there(chapter):
    assert chapter.stem in marks() and objectives(chapter)
    assert not list(out_of_date(chapter))


def test_sections_are_read_with_their_anchors_cells_and_minutes(toy):
    far, further = sections(toy)
    assert (far.title, far.anchor, far.cells) == ('How *far*? "Here"', "how-far-here", (1,))
    assert (further.anchor, further.cells) == ("further", (2,))
    assert far.minutes == pytest.approx(minutes(9, 4)) and further.minutes == pytest.approx(minutes(2, 0))
    assert objectives(toy) == ["count", "stop and say why"]


def test_a_section_of_the_appendix_is_named_with_its_page(toy, tmp_path):
    toy.with_name("more.md").write_text("# More\n\n## An alarm\n\nWords.\n")
    mark(toy, **{"count": {"sections": ["Further", "more#An alarm"]}, "stop": {"sections": ["more#No alarm"]}})
    said = list(out_of_date(toy, tmp_path))
    assert "there is nothing called 'more#No alarm' among the sections" in said and not any(
        "#An" in one for one in said
    )
    mark(toy, **{"count": {"sections": ["Further", "more#An alarm"]}})
    assert "- An alarm ({chapter}`more#an-alarm`) 1\u00a0min" in table(toy, "1. Toy", None, tmp_path)


def test_what_is_missing_or_unknown_is_said(toy):
    mark(toy, **{"count": {"sections": ["Further"], "questions": ["How often?"]}, "fly": {}})
    assert list(out_of_date(toy, toy.parents[1])) == [
        "no objective begins with 'fly'",
        "there is nothing called 'How often?' among the questions",
        "no section for 'stop and say why'",
        "no task and no question for 'stop and say why'",
        "no objective has 'How many?' of the questions",
    ]
    assert [goal.sections for goal in goals(toy, toy.parents[1])] == [("Further",), ()]


def test_the_machines_time_is_that_of_the_build(toy, tmp_path):
    mark(toy, **{"count": {"sections": ['How *far*? "Here"', "Further"], "questions": ["How many?"]}})
    assert "s (measured)" not in table(toy, "1. Toy", cell_seconds(toy, tmp_path / "none"), tmp_path)
    cache = tmp_path / "cache"
    assert lacking([toy], cache) and execute(toy, cache, 60).endswith(" s")
    seconds = cell_seconds(toy, cache)
    assert len(seconds) == 3 and 0.3 <= seconds[1] < 5
    made = table(toy, "1. Toy", seconds, tmp_path)
    assert f'[How *far*? "Here"](../chapters/01_toy.md#how-far-here) 1\u00a0min, {seconds[1]:.1f}\u00a0s' in made
    assert made.startswith("## 1. Toy\n\nReading 0 min; the machine 0 s (measured); questions (1) 2 min.")


def test_the_page_follows_the_course(tmp_path):
    for name in ("book", "questions", "chapters", "solutions", "exercises"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("_static"))
    (tmp_path / "course.yml").write_text("chapters: [07_grad_cam, 03_metrics]\n")
    made = page(Course.read(tmp_path), tmp_path / "none")
    assert [line for line in made.splitlines() if line.startswith("## ")] == [
        "## 1. Grad-CAM",
        "## 2. Metrics that do not lie",
    ]
    assert made.count("the exercise ") == 2
    full = page(Course.read(), tmp_path / "none")
    assert full.count("the exercise ") == sum(chapter.stem in marks() for chapter in FULL)
    assert f"\n{MARK}\n" in (ROOT / "book" / "map.md").read_text() + "\n"


def test_the_page_tells_the_speeds_that_it_is_computed_with():
    told = (ROOT / "book" / "map.md").read_text(encoding="utf-8")
    assert (
        f"{course_map.WORDS_A_MINUTE} words of text or {course_map.CODE_LINES_A_MINUTE} lines of code a minute" in told
    )
    assert "a minute and a half for\na question" in told and course_map.MINUTES_A_QUESTION == 1.5
