"""What people get from a graded batch: the table, Gradescope's file, the students' pages and the grader's page."""

import csv
import html.parser
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coursekit.grade import report
from coursekit.grade.similar import Pair

CHECKS = {
    "split_by_patient": [("whole", "No patient is in two parts.", 2.0), ("share", "The share is about right.", 1.0)],
    "leaked": [("count", "The leak is counted in patients.", 2.5)],
}
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;\u202egnp.exe\x07\x1b[31m\ud800{{ 7*7 }}"
VOID = {"meta", "br", "img", "hr", "input", "link", "rect", "line"}
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def make(student="Anna B.", failed=(), state="attempted", message="the split was made by image", **changes):
    """A result as the judge makes it: every check passes but those in `failed`."""
    tasks = []
    for task, checks in CHECKS.items():
        made = [
            {
                "check": name,
                "title": title,
                "max_points": points,
                "passed": name not in failed,
                "points": 0.0 if name in failed else points,
                "message": message if name in failed else "",
                "detail": f"{task}(…) returned 0" if name in failed else "",
            }
            for name, title, points in checks
        ]
        tasks.append(
            {
                "task": task,
                "state": state,
                "points": sum(c["points"] for c in made),
                "error": "",
                "max_points": sum(c["max_points"] for c in made),
                "checks": made,
            }
        )
    result = {
        "exercise": "01_split_by_patient",
        "student": student,
        "file": "anna.ipynb",
        "digest": "0" * 64,
        "ids": {},
        "key": re.sub("[^a-z]+", "-", student.lower()).strip("-") or "student",
        "status": "graded",
        "review": [],
        "points": sum(t["points"] for t in tasks),
        "max_points": 5.5,
        "tasks": tasks,
        "notes": [],
        "printed": "",
        "answers": {"split_by_patient": "def split_by_patient(): SECRETCODE"},
    }
    return {**result, **changes}


class Page(html.parser.HTMLParser):
    """Reads a page: its tags, its text, and whether every tag is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open, self.links = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "a":
            self.links.append(dict(attrs)["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


def feedback(result) -> Page:
    return Page(report.feedback_html(result, title="Exercise 1"))


def summary(results, pairs=(), **meta) -> Page:
    return Page(report.summary_html(results, pairs, title="Exercise 1", meta=meta))


def is_safe(text):
    """Nothing runs, nothing is asked for, nothing hides: for any page."""
    page = Page(text)
    assert not {"script", "img", "iframe", "object", "link", "form", "base"} & {tag for tag, _ in page.tags}
    for tag, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on") or name in ("src", "srcset", "action", "poster")]
        assert tag != "a" or re.fullmatch(r"feedback/[\w%.~-]+\.html", attrs["href"])
    assert [a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"] == [
        "default-src 'none'; style-src 'unsafe-inline'"
    ]
    assert not re.search(r"url\(|@import|https?:", text)
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text
    )
    assert ("html", {"lang": "en"}) in page.tags and page.count("h1") == 1
    text.encode()
    return page


# -------------------------------------------------------------------------------------------------------------- tables


def rows(path):
    return list(csv.DictReader(path.open(encoding="utf-8-sig", newline="")))


def test_grades_csv(tmp_path):
    path = report.write_grades_csv(
        [
            make("Zoë Ö", failed=("share",)),
            make("Bo", review=["2 files were handed in", "look"]),
            make("Cy", status="timeout", points=2.5),
            make("Dee", status="missing", points=0.0),
        ],
        tmp_path / "grades.csv",
    )
    found = rows(path)
    assert list(found[0]) == [
        "student",
        "key",
        "file",
        "status",
        "points",
        "max points",
        "split_by_patient",
        "leaked",
        "review",
    ]
    assert [r["student"] for r in found] == ["Zoë Ö", "Bo", "Cy", "Dee"]
    assert [r["status"] for r in found] == ["graded", "needs review", "timeout", "missing"]
    assert [r["points"] for r in found] == ["4.5", "5.5", "2.5", ""] and found[0]["split_by_patient"] == "2"
    assert found[1]["review"] == "2 files were handed in; look" and found[3]["leaked"] == ""
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")  # a spreadsheet shows Zoë
    assert rows(report.write_grades_csv([], tmp_path / "none.csv")) == []


@pytest.mark.parametrize("text", ["=1+1", "+1-1", "-x", "@x", "\t=1", "a;=1+1", "a, =1", "a\n=1", "x|@y", "＝1"])
def test_no_cell_of_the_table_is_a_formula(tmp_path, text):
    """Also where a spreadsheet cuts the line at another sign than the comma."""
    path = report.write_grades_csv([make(text, file=text, review=[text])], tmp_path / "grades.csv")
    (found,) = rows(path)
    for name in ("student", "file", "review"):
        for part in re.split(r"[;,\t|\n]", found[name]):
            assert not re.match(r"\s*[=+\-@＝]", part)
    assert len(path.read_text("utf-8-sig").splitlines()) == 2


@quick
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_name_keeps_the_tables_shape(tmp_path_factory, name, note):
    path = report.write_grades_csv([make(name, review=[note]), make("next")], tmp_path_factory.mktemp("g") / "g.csv")
    found = rows(path)
    assert [r["points"] for r in found] == ["5.5", "5.5"] and found[1]["student"] == "next"
    assert not re.match(r"\s*[=@]", found[0]["student"])


def test_a_task_may_be_called_like_a_column(tmp_path):
    result = make()
    result["tasks"][0]["task"] = "points"
    assert "task points" in rows(report.write_grades_csv([result], tmp_path / "g.csv"))[0]


def test_gradescope(tmp_path):
    result = make(failed=("share",), notes=["an error in a cell of your own"], message="too\x07 few")
    report.write_gradescope(result, tmp_path / "results.json")
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert found["score"] == 4.5 == sum(t["score"] for t in found["tests"]) and found["visibility"] == "visible"
    assert [t["max_score"] for t in found["tests"]] == [2.0, 1.0, 2.5]
    assert [t["status"] for t in found["tests"]] == ["passed", "failed", "passed"]
    assert found["tests"][1]["name"] == "split_by_patient: The share is about right."
    assert found["tests"][1]["output"] == "too⟦U+0007⟧ few" and found["tests"][0]["output"] == ""
    assert {t["visibility"] for t in found["tests"]} == {"visible"} and found["stdout_visibility"] == "hidden"
    assert "cell of your own" in found["output"] and "SECRETCODE" not in json.dumps(found)
    first = (tmp_path / "results.json").read_bytes()
    report.write_gradescope(result, tmp_path / "results.json")
    assert (tmp_path / "results.json").read_bytes() == first
    unreadable = make(EVIL, status="unreadable", review=["empty"], tasks=[], points=0.0)
    report.write_gradescope(unreadable, tmp_path / "e.json")
    found = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    assert found["score"] == 0.0 and found["tests"] == [] and "empty" in found["output"]


# ------------------------------------------------------------------------------------------------------- feedback page


def test_feedback_names_points_tasks_and_what_to_think_about():
    page = feedback(make(failed=("share",), notes=["error in your cell: ValueError, line 1"], printed="hello 42"))
    for words in (
        "4.5 of 5.5 points",
        "Anna B.",
        "anna.ipynb",
        "split_by_patient",
        "1 of 2 checks failed",
        "2 of 3",
        "Passed: No patient is in two parts.",
        "Failed: The share is about right.",
        "the split was made by image",
        "all checks passed",
        "ValueError, line 1",
        "hello 42",
        "Hand in again",
    ):
        assert re.sub(r"\s+", "", words) in re.sub(r"\s+", "", page.text), words


def test_feedback_shows_nothing_that_is_not_the_students():
    result = make(failed=("share",), review=["GRADERS ONLY"], digest="d1635")
    assert not re.search("GRADERS ONLY|SECRETCODE|d1635|anna-b", report.feedback_html(result, title="Exercise 1"))


def test_feedback_says_a_shared_message_once():
    page = feedback(make(failed=("whole", "share"), message="split_by_patient raised NameError"))
    assert page.text.count("raised NameError") == 1
    result = make(failed=("whole", "share"), message="not defined: error in line 3")
    result["tasks"][0]["error"] = "error in line 3"
    assert feedback(result).text.count("error in line 3") == 1


@pytest.mark.parametrize(
    "changes, words, unwanted",
    [
        (
            {"state": "not attempted", "failed": ("whole", "share", "count")},
            "still the one that was handed out",
            "Failed:",
        ),
        ({"state": "absent", "failed": ("whole", "share", "count")}, "no answer cell that defines leaked", "Failed:"),
        ({"status": "timeout"}, "ran too long and was stopped", "None"),
        ({"status": "crashed"}, "ended the Python process", "None"),
        ({"status": "unreadable", "review": ["anna.ipynb: the file is empty"]}, "the file is empty", "Your tasks"),
        ({"status": "missing", "file": ""}, "No submission was found", "Your tasks"),
        ({"status": "graded"}, "all checks passed", "handed out"),
    ],
)
def test_feedback_says_what_happened(changes, words, unwanted):
    page = is_safe(report.feedback_html(make(**changes), title="Exercise 1"))
    assert words in page.text and unwanted not in page.text


def test_feedback_cuts_what_was_printed():
    page = feedback(make(printed="x" * 10_000))
    assert "x" * report.MAX_PRINTED in page.text and "x" * (report.MAX_PRINTED + 1) not in page.text
    assert "5,904 characters" in page.text
    assert "What your code printed" not in feedback(make(printed=" \n")).text


# -------------------------------------------------------------------------------------------------------- summary page


def test_summary_counts_and_says_who_needs_a_look():
    results = [
        make("Anna"),
        make("Bo", failed=("share",)),
        make("Cy", failed=("share", "count"), message="other"),
        make("Dee", failed=("share",)),
        make("Eve", review=["2 files were handed in (a, b)"]),
        make("Flo", status="timeout", points=0.0, review=["split_by_patient ran longer than 10 s"]),
        make("Gus", state="not attempted", failed=("whole", "share", "count")),
        make("Hal", status="missing", points=0.0),
    ]
    page = summary(results, [Pair("anna", "bo", 0.934, ("leaked",))], seed=7, numpy="2.1")
    for words in (
        "5 graded",
        "1 needs review",
        "1 timeout",
        "1 missing",
        "7 submissions",
        "of 5.5 points",
        "2 files were handed in (a, b)",
        "ran longer than 10 s",
        "ran too long",
        "93%",
        "seed 7",
        "numpy 2.1",
        "not a proof",
        "1 student of the course list",
    ):
        assert words in page.text, words
    checks = page.text[page.text.index("Checks that fail most") : page.text.index("Needs a look")]
    assert checks.index("The share is about right.") < checks.index("The leak is counted")
    assert "3 of 6" in checks and "the split was made by image (2×)" in checks  # the commonest, and only who tried
    look = page.text[page.text.index("Needs a look") : page.text.index("Nearly identical")]
    assert "Eve" in look and "Flo" in look and "Anna" not in look
    assert page.links.count("feedback/anna.html") == 2 and "feedback/hal.html" not in page.links


def test_summary_histogram():
    page = report.summary_html([make(points=p) for p in (0.0, 0.5, 5.4, 5.5, 5.5)], [], title="x")
    assert "0 to 10 %: 2;" in page and "90 to 100 %: 3" in page and "50 to 60 %: 0" in page
    assert page.count("<rect") == 10 and 'role="img"' in page


def test_summary_of_nothing():
    page = is_safe(report.summary_html([], [], title="Exercise 1"))
    assert "Nobody has handed in anything" in page.text and "No two submissions" in page.text
    assert "Nobody" in summary([make(status="missing")]).text


def test_summary_of_many_pairs_is_cut():
    page = summary([make("Anna")], [Pair("a", "b", 1.0, ("t",))] * 450)
    assert "250 more pairs" in page.text


def test_tables_have_scopes():
    page = summary([make("Anna", review=["x"], failed=("share",))], [Pair("anna", "b", 1.0, ("t",))])
    heads = [attrs for tag, attrs in page.tags if tag == "th"]
    assert heads and all(attrs.get("scope") in ("row", "col") for attrs in heads) and page.count("table") == 5


# ------------------------------------------------------------------------------------------------------- hostile input


def hostile(text):
    result = make(text, failed=("share", "whole"), message=text, file=text, review=[text], notes=[text], printed=text)
    result["tasks"][0]["error"] = text + "!"
    result["tasks"][1]["checks"][0] |= {"title": text, "message": text, "passed": False}
    return result


def test_everything_from_a_submission_is_escaped():
    for state in ("graded", "timeout", "unreadable", "missing"):
        page = is_safe(report.feedback_html({**hostile(EVIL), "status": state}, title=EVIL))
        assert "<script>alert(1)</script>" in page.text  # as text
    page = is_safe(
        report.summary_html(
            [hostile(EVIL), {**hostile(EVIL), "status": "crashed"}],
            [Pair(EVIL, "b", 1.0, (EVIL,))],
            title=EVIL,
            meta={EVIL: EVIL},
        )
    )
    assert "⟦U+202E⟧" in page.text and "⟦U+0007⟧" in page.text and "{{ 7*7 }}" in page.text


@quick
@given(st.text(st.characters(codec=None), max_size=40))
def test_any_text_gives_a_safe_page(text):
    is_safe(report.feedback_html(hostile(text), title="Exercise 1"))
    is_safe(report.summary_html([hostile(text)], [Pair(text or "x", "b", 1.0, ("t",))], title="Exercise 1"))


def test_very_long_names_are_cut_in_the_summary():
    page = summary([make("x" * 3000)])
    assert "x" * 89 + "…" in page.text and "x" * 100 not in page.text
    assert "x" * 300 in feedback(make("x" * 300)).text


@pytest.mark.parametrize(
    "text, shown",
    [
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x00", "⟦U+0000⟧"),
        ("\u202e", "⟦U+202E⟧"),
        ("\ud800", "⟦U+D800⟧"),
        ("Ö 李 👩‍⚕️ محمد", "Ö 李 👩‍⚕️ محمد"),
    ],
)
def test_visible(text, shown):
    assert report.visible(text) == shown


def test_status():
    assert report.status(make()) == "graded" and report.status(make(review=["x"])) == "needs review"
    assert report.status(make(status="timeout", review=["x"])) == "timeout"


# --------------------------------------------------------------------------------------------------------- in a browser


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1000])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_and_run_nothing(chromium, tmp_path, width, scheme):
    long = "x" * 300
    texts = {
        "feedback": report.feedback_html(hostile(EVIL + long), title="Exercise 1"),
        "summary": report.summary_html(
            [hostile(EVIL + long), make("Anna"), make("Bo", failed=("share",))],
            [Pair("anna", "bo", 1.0, ("leaked",))],
            title="Exercise 1",
        ),
    }
    page = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    for name, text in texts.items():
        path = tmp_path / f"{name}.html"
        path.write_text(text, encoding="utf-8")
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert said == [] and len(asked) == 2
    page.close()
