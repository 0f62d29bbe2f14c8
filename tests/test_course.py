"""A course of one's own: what course.yml may say, what is said about its mistakes, and the book that it makes."""

import datetime
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_fork import copy_of_the_course

from coursekit import build_book, execute_chapters
from coursekit.course import ROOT, Course, Week
from coursekit.notebooks import Markdown, Site, with_chapters

CONTENTS = {
    "format": "jb-book",
    "root": "book/index",
    "parts": [
        {"caption": "Start", "chapters": [{"file": "book/how"}]},
        {
            "caption": "Chapters",
            "numbered": 1,
            "chapters": [{"file": f"chapters/{n}"} for n in ("01_a", "02_b", "03_c")],
        },
        {"caption": "Practice", "chapters": [{"file": "book/exercises"}, {"file": "chapters/appendix_d"}]},
    ],
}
INSTRUCTORS = """\
| [A](../chapters/01_a.md) |  |  |
| [B](../chapters/02_b.md) | {Chapter}`01_a` | why |
| [C](../chapters/03_c.md) | {Chapter}`01_a`, {chapter}`02_b` | why |

| [B](../chapters/02_b.md) | Does it? | together |
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """A course of three chapters and an appendix."""
    for name in ("book", "chapters", "solutions", "mine"):
        (tmp_path / name).mkdir()
    for name in ("01_a", "02_b", "03_c", "appendix_d", "20_own"):
        (tmp_path / "chapters" / f"{name}.md").write_text(f"# All about {name[-1]}\n\nText.\n")
    for name in ("01_one", "02_two", "20_own"):
        (tmp_path / "solutions" / f"{name}.md").write_text("# An exercise\n")
    (tmp_path / "mine" / "rules.md").write_text("# Rules\n")
    (tmp_path / "book" / "_toc.yml").write_text(yaml.safe_dump(CONTENTS))
    (tmp_path / "book" / "instructors.md").write_text(INSTRUCTORS)
    (tmp_path / "_config.yml").write_text((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return tmp_path


def choose(folder: Path, text: str) -> Course:
    (folder / "course.yml").write_text(text, encoding="utf-8")
    return Course.read(folder)


def files(contents: dict) -> list[str]:
    return [page["file"] for part in contents["parts"] for page in part["chapters"]]


@pytest.mark.parametrize("text", [None, "", "# nothing but words\n", "chapters: all\nsolutions: hide\n"])
def test_without_a_choice_the_book_is_the_full_course(folder, text):
    course = Course.read(folder) if text is None else choose(folder, text)
    assert course.contents() == CONTENTS and not course.lacking()
    plain = yaml.safe_load((folder / "_config.yml").read_text(encoding="utf-8"))
    plain["sphinx"]["local_extensions"] = {"course_book": str(folder / "book" / "_ext")}
    assert course.configuration() == plain


def test_the_file_that_is_handed_out_is_the_full_course():
    said = yaml.safe_load((ROOT / "course.yml").read_text(encoding="utf-8"))
    assert not Site.read().is_placeholder or said == {"chapters": "all", "solutions": "hide"}


@pytest.mark.parametrize("said", ["author: Dr. X", "title: Lungs", "author: Dr. X\ntitle: Lungs"])
def test_a_course_under_another_name_says_whose_it_was(folder, said):
    plain = choose(folder, "chapters: [01_a]").configuration()
    credit = f'After "{plain["title"]}" by {plain["author"]}, changed.'
    course = choose(folder, said)
    assert course.credit == credit
    assert course.configuration()["html"] == {
        **plain["html"],
        "extra_footer": f"{credit} {plain['html']['extra_footer']}",
    }
    assert choose(folder, f'title: "{plain["title"]}"').configuration() == Course.read(folder).configuration()
    assert not Course.read(folder).credit and plain["html"]["extra_footer"].startswith("Text and figures CC BY 4.0")


def test_chapters_stand_in_the_order_that_was_chosen(folder):
    course = choose(
        folder, "title: Mine\nlanguage: ko\nchapters: [03_c, 20_own, 01_a]\npages: [mine/rules.md]\nsolutions: show\n"
    )
    shown = ["chapters/03_c", "chapters/20_own", "chapters/01_a"]
    solutions = ["solutions/20_own", "solutions/01_one"]
    assert files(course.contents()) == ["book/how", "mine/rules", *shown, "book/exercises", *solutions]
    assert build_book.chapters(folder) == [folder / f"{name}.md" for name in shown]
    assert (course.configuration()["title"], course.configuration()["sphinx"]["config"]["language"]) == ("Mine", "ko")
    assert course.lacking() == [
        "03_c builds on 01_a, which comes later",
        "03_c builds on 02_b, which the course leaves out",
    ]
    added = choose(folder, "chapters: [all, 20_own]").numbered
    assert added == ("01_a", "02_b", "03_c", "20_own")


def test_a_chapter_is_called_by_its_number_here_or_by_its_title(folder):
    course = choose(folder, "chapters: [03_c, 01_a]")
    assert course.refer("01_a#why", begins=True) == ("Chapter 2", "chapters/01_a#why")
    assert course.refer("02_b") == ("the chapter *All about b* of the full course", None)
    assert course.spelled("{Chapter}`02_b#x` and {chapter}`03_c`.") == (
        "The chapter *All about b* of the full course and chapter 1."
    )
    with pytest.raises(ValueError, match=r"no chapter '04_c'; did you mean 03_c\? There are 01_a, 02_b, 03_c"):
        course.refer("04_c")


def test_a_notebook_has_no_link_to_a_chapter_that_is_left_out(folder):
    choose(folder, "chapters: [03_c, 01_a]")
    site = Site("https://github.com/A/b", "main", "https://a.github.io/b")
    convert = Markdown(folder / "chapters" / "03_c.md", folder, site).convert
    assert convert("{Chapter}`01_a#x` and {chapter}`02_b`") == (
        "[Chapter 2](https://a.github.io/b/chapters/01_a.html#x) and the chapter *All about b* of the full course"
    )
    assert convert("[this](02_b.md#x), [that](01_a.md)") == (
        "this (in the full course), [that](https://a.github.io/b/chapters/01_a.html)"
    )
    with pytest.raises(ValueError, match="no chapter '09_z'"):
        convert("{chapter}`09_z`")


def test_the_readme_has_the_chapters_that_were_chosen(folder):
    course = choose(folder, "chapters: [02_b, 01_a]")
    readme = "<!-- chapters:begin (x) -->\nold\n<!-- chapters:end -->\n[![b](i)](https://x/notebooks/01_a.ipynb)\n"
    assert with_chapters(readme, course).splitlines()[1:5] == [
        "| chapter | its question |",
        "|---|---|",
        "| 1 [All about b](chapters/02_b.md) | Does it? |",
        "| 2 [All about a](chapters/01_a.md) |  |",
    ]
    assert "notebooks/02_b.ipynb" in with_chapters(readme, course)


@pytest.mark.parametrize(
    ("said", "day", "shown"),
    [
        ("hide", "2027-01-01", False),
        ("show", "2027-01-01", True),
        ("2027-02-15", "2027-02-14", False),
        ("2027-02-15", "2027-02-15", True),
    ],
)
def test_solutions_are_shown_from_their_day_on(folder, said, day, shown):
    course = choose(folder, f"solutions: {said}")
    assert course.shows_solutions(datetime.date.fromisoformat(day)) == shown


def test_weeks_hold_chapters_and_notes(folder):
    weeks = choose(folder, "weeks:\n- 01_a\n- [02_b, 03_c]\n- note: no class\n- {chapters: 01_a, note: again}").weeks
    assert weeks == (Week(("01_a",)), Week(("02_b", "03_c")), Week((), "no class"), Week(("01_a",), "again"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "chapters: [01_a, 2_b]",
            "no chapter '2_b'; did you mean 02_b? There are 01_a, 02_b, 03_c, 20_own, appendix_d",
        ),
        ("chapters: [3]", "no chapter 3; did you mean 03_c? There are 01_a"),
        ("chapters: [01_a, 02_b, 01_a]", "01_a is there twice; list each chapter once"),
        ("chapters: [all, 01_a]", "01_a is there twice"),
        ("chapters: 01_a", "chapters: '01_a' is no list; give one entry per line, each behind a dash"),
        ("chapters: [appendix_d]", "has no numbered chapter; list at least one, or write `chapters: all`"),
        ("chapters: []", "has no numbered chapter"),
        ("chapter: all", "the key 'chapter' is unknown; did you mean chapters?"),
        ("solutions: 15.2.2027", "solutions: '15.2.2027' is not a day in the form 2027-02-15"),
        ('solutions: "2027-02-15"', "without quotation marks; write hide, show, or the day"),
        ("solutions: 2027-02-30", "it cannot be read as YAML: day is out of range for month"),
        ("solutions: 2027-02-15 10:00:00", "is not a day in the form 2027-02-15"),
        ("solutions: true", "solutions: True is not a day in the form 2027-02-15"),
        ("title: 2027", "title: 2027 is not text; put it in quotation marks, or leave the line out"),
        ("language: no", "language: False is not text; put it in quotation marks"),
        ("language: Korean", "language: 'Korean' is not the code of a language, such as en, ko or pt_BR"),
        ("logo: mine/none.svg", "logo: there is no file mine/none.svg; give a path from the folder of course.yml"),
        ("pages: [mine/none]", "pages: there is no file mine/none.md"),
        ("pages: [../outside]", "pages: there is no file"),
        ("chapters: [01_a]\nweeks: [01_a, 02_b]", "week 2: 02_b is not among the course's chapters; add it there"),
        ("weeks: [{text: x}]", "week 1: the key 'text' is unknown; the keys are chapters, note"),
        ("weeks: 5", "weeks: 5 is no list"),
        ("- 01_a", "not lines such as `title: X-rays`; the keys are title, author"),
        ("chapters: [01_a", "it cannot be read as YAML"),
        ("title: A: b", "; put a text with a colon in quotation marks"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(folder, text, told):
    with pytest.raises(ValueError) as error:
        choose(folder, text)
    assert str(error.value).startswith("course.yml: ") and told in str(error.value)


@pytest.mark.parametrize("module", ["build_book", "notebooks", "questions"])
def test_a_command_says_the_mistake_and_ends(folder, module):
    (folder / "course.yml").write_text("chapters: [01_metrics]")
    (folder / "README.md").write_text("")
    command, environment = [sys.executable, "-m", f"coursekit.{module}"], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode and "course.yml: there is no chapter '01_metrics'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "asked", "language", "words"),
    [("", None, "en", None), ("language: ko", None, "ko", "ko"), ("language: ko", "en", "en", None),
     ("", "ko", "ko", "ko"), ("language: de", None, "de", None)],
)  # fmt: skip
def test_the_widgets_speak_the_course_s_language_where_somebody_translated_them(
    folder, monkeypatch, capsys, text, asked, language, words
):
    monkeypatch.setenv("CXR_LANG", "ko" if words is None else "en")  # of another course
    monkeypatch.setenv("BOOK_LANG", asked or "")
    course = choose(folder, text).speaking()
    assert course.configuration()["sphinx"]["config"]["language"] == language
    assert os.environ.get("CXR_LANG") == words
    assert ("nobody has translated" in capsys.readouterr().out) == (language == "de")
    assert course.refer("02_b")[0] == ("2장" if words else "chapter 2")


def test_a_language_that_is_none_is_named(folder, monkeypatch):
    monkeypatch.setenv("BOOK_LANG", "Korean!")
    with pytest.raises(ValueError, match="BOOK_LANG: 'Korean!'.*such as en, ko"):
        choose(folder, "").speaking()


# --- whole books


FIVE = """\
title: Maps, and what they are worth
chapters: [07_grad_cam, 03_metrics, 01_look_at_the_data, 08_trust_the_heat_map, 02_five_layer_cnn]
weeks: [07_grad_cam, [03_metrics, 01_look_at_the_data], {note: no class}, 08_trust_the_heat_map]
"""
TEN = """\
chapters:
- 01_look_at_the_data
- 02_five_layer_cnn
- 03_metrics
- 04_residual_networks_and_augmentation
- 05_transfer_learning
- 06_fine_tuning
- 07_grad_cam
- 08_trust_the_heat_map
- 09_more_than_two_diseases
- 10_from_notebook_to_tool
solutions: 2020-01-01
"""


KOREAN = """\
language: ko
chapters: [01_look_at_the_data, 03_metrics]
weeks: [01_look_at_the_data, 03_metrics]
"""


def build(folder: Path, text: str, *, run: bool = False) -> Path:
    """Build a course in its quick form, without a warning; unless told to, run nothing that `make book` has not."""
    copy_of_the_course(folder)
    (folder / "course.yml").write_text(text)
    kept, cache = ROOT / "_build" / ".jupyter_cache", folder / "_build" / ".jupyter_cache"
    pages = build_book.pages_of(Course.read(folder).contents(), folder)
    if kept.is_dir() and not run:
        shutil.copytree(kept, cache)
        environment = build_book.build_environment() | {"CXR_FAST": "1"}
        (folder / "_build" / ".key").write_text(build_book.build_key(folder, environment))
    if not run and (not kept.is_dir() or execute_chapters.lacking(pages, cache)):
        config = folder / "_config.yml"
        config.write_text(config.read_text().replace("execute_notebooks: cache", 'execute_notebooks: "off"'))
    done = subprocess.run(
        [sys.executable, "-m", "coursekit.build_book"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder), "CXR_FAST": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0 and "WARNING" not in done.stderr, (done.stdout + done.stderr)[-4000:]
    return folder / "_build" / "html"


def words(page: Path) -> str:
    """The text of a page."""
    article = re.search(r"<article.*?</article>", page.read_text(encoding="utf-8"), re.S)[0]
    return " ".join(re.sub(r"<[^>]+>", "", article).split())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_chapters_in_another_order(tmp_path):
    html = build(tmp_path / "five", FIVE)
    assert len(list(html.glob("chapters/*.html"))) == len(list(html.glob("notebooks/*.ipynb"))) == 5
    assert "by the cxrlib authors, changed. Text and" in (html / "chapters" / "03_metrics.html").read_text()
    assert (html.parent / ".complete").read_text() == "CXR_FAST=1" and not list(html.glob("solutions/*"))
    front = words(html / "book" / "index.html")
    assert front.startswith("Maps, and what they are worth")
    titles = ("Grad-CAM", "Metrics that do not lie", "Look at the data", "Can you trust", "Train a five-layer CNN")
    places = [front.index(f" {title}", front.index("What you will do")) for title in titles]
    assert places == sorted(places) and "Transfer learning" not in front and "no class" in front
    exercises = words(html / "book" / "exercises.html")
    assert exercises.index("Exercise 7:") < exercises.index("Exercise 3:") and "Exercise 4:" not in exercises
    metrics = words(html / "chapters" / "03_metrics.html")
    assert "than the one of chapter 3, so" in metrics and "Chapter 5 showed how much the seed moves" in metrics
    glossary = words(html / "book" / "glossary.html")
    assert "The chapter Transfer learning of the full course" in glossary and "Chapter 1" in glossary
    navigation = (html / "book" / "index.html").read_text()
    assert re.findall(r'href="\.\./chapters/[^"]+">(\d\. [^<]+)<', navigation)[:2] == [
        "1. Grad-CAM",
        "2. Metrics that do not lie",
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_chapters_with_their_solutions(tmp_path):
    html = build(tmp_path / "ten", TEN)
    assert len(list(html.glob("chapters/[0-9]*.html"))) == len(list(html.glob("solutions/*.html"))) == 10
    assert "BEGIN SOLUTION" in words(html / "solutions" / "10_from_notebook_to_tool.html")
    assert not list(html.rglob("11_where*.html")) and not list(html.rglob("appendix*.html"))
    assert "Where are the lungs?" in words(html / "chapters" / "10_from_notebook_to_tool.html")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_chapters_in_korean(tmp_path):
    html = build(tmp_path / "ko", KOREAN, run=True)
    page = (html / "chapters" / "03_metrics.html").read_text(encoding="utf-8")
    text = words(html / "chapters" / "03_metrics.html")
    assert '<html lang="ko"' in page and "이전 페이지" in page and "코드 보기" in page, "the theme"
    assert "거짓말하지 않는 지표" in text and "읽는 데 약" in text and "먼저 예측하기. 어떤 모델이" in text, (
        "what is translated"
    )
    assert "1장 의" not in text and "1장의 것보다" in text, "a chapter's number"
    assert "It does not depend on the threshold." in text and "cxr.Report" in text, "the rest, and the code"
    assert "누가 어떤 확률을 받나" in page and "It needs JavaScript" not in page, "the widget"
    assert re.findall(r'<section id="([^"]+)"', page)[:2] == ["from-counts-to-rates", "opening-the-test"], "anchors"
    assert 'href="../book/glossary.html#term-confusion-matrix"' in page and "실습" in page, "the glossary, the captions"
    assert "과제" in words(html / "book" / "index.html"), "the plan"
    notebook = (html / "notebooks" / "03_metrics.ipynb").read_text(encoding="utf-8")
    assert "# Colab에서는 이 줄이" in notebook and r"os.environ[\"CXR_LANG\"] = \"ko\"" in notebook
