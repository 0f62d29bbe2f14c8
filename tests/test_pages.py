"""What the pages for teachers and readers say in numbers is what the full course has."""

import json
import re

from coursekit.course import ROOT, Course
from coursekit.course_map import sections
from coursekit.grade import list_exercises, load_exercise
from coursekit.questions.predictions import of_chapter

CHAPTERS = [ROOT / "chapters" / f"{name}.md" for name in Course.read().full if name[0].isdigit()]
WORDS = {6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten", 11: "eleven", 12: "twelve"}


def page(name: str) -> str:
    return " ".join((ROOT / "book" / f"{name}.md").read_text(encoding="utf-8").split())


def exercises():
    numbers = {chapter.stem.partition("_")[0] for chapter in CHAPTERS}
    return [load_exercise(name, ROOT) for name in list_exercises(ROOT) if name.partition("_")[0] in numbers]


def test_the_times_are_those_of_the_chapters_and_exercises():
    read = [sum(section.minutes for section in sections(chapter)) for chapter in CHAPTERS]
    low, high = (10 * round(minutes / 10) for minutes in (min(read), max(read)))
    own = [int(re.search(r"[Aa]bout (\d+) minutes", exercise.notebook)[1]) for exercise in exercises()]
    for name in ("index", "instructors"):
        assert f"{low} to {high} minutes to read" in page(name) and f"{min(own)} to {max(own)} for" in page(name)


def test_a_chapter_has_as_many_predictions_as_instructors_are_told():
    counts = [len(of_chapter(chapter)) for chapter in CHAPTERS]
    assert f"A chapter has {WORDS[min(counts)]} to {WORDS[max(counts)]} predictions" in page("instructors")


def test_the_weeks_are_those_of_the_chapters():
    for name in ("plans", "instructors"):
        assert re.search(rf"{WORDS[len(CHAPTERS)]} weeks.*?{WORDS[len(CHAPTERS) + 1]} with", page(name))


def test_graders_are_told_which_exercises_want_numpy_alone():
    numbers = [str(int(one.name.partition("_")[0])) for one in exercises() if one.libraries == ("numpy",)]
    assert f"Exercises {', '.join(numbers[:-1])} and {numbers[-1]} ask for numpy only" in page("graders")


def test_every_program_that_is_shipped_is_named_with_its_licence():
    shipped = [*ROOT.glob("book/_static/*/LICENSE"), *ROOT.glob("cxrlib/**/*.LICENSE")]
    text = (ROOT / "LICENSE-CONTENT.md").read_text(encoding="utf-8")
    assert len(shipped) >= 3 and all((path.name if path.suffix else path.parent.name) in text for path in shipped)


def test_a_class_is_graded_in_the_time_that_was_measured():
    found = json.loads((ROOT / "benchmarks" / "grading.json").read_text(encoding="utf-8"))
    minutes = [100 / run["per_minute"] for run in found["runs"] if run["jobs"] <= found["cores"]]
    assert "A class of 100 takes a minute or two on two cores" in page("graders")
    assert found["cores"] == 2 and all(0.5 < one < 2 for one in minutes)
