"""The form of the chapters: little visible code that only prints, and an answer for every question."""

import pytest

from coursekit import form
from coursekit.build_book import chapters

#: Chapters of the course that have the form already.
DONE = {
    "01_look_at_the_data.md",
    "02_five_layer_cnn.md",
    "03_metrics.md",
    "04_residual_networks_and_augmentation.md",
    "05_transfer_learning.md",
    "06_fine_tuning.md",
    "07_grad_cam.md",
    "08_trust_the_heat_map.md",
    "09_more_than_two_diseases.md",
    "10_from_notebook_to_tool.md",
    "11_where_are_the_lungs.md",
}


@pytest.mark.parametrize("chapter", [c for c in chapters() if c.name in DONE], ids=lambda path: path.name)
def test_a_chapter_shows_code_that_teaches_and_answers_its_questions(chapter):
    shown, total = form.printing(chapter)
    assert shown <= form.MOST * total
    assert not form.unanswered(chapter)


@pytest.mark.parametrize("chapter", chapters(), ids=lambda path: path.name)
def test_code_that_is_seen_at_once_fits_a_page_of_1280_px(chapter):
    seen = [
        code for kind, tags, code in form.cells(chapter) if kind == "code" and not tags & {"hide-input", "remove-cell"}
    ]
    assert not [line for code in seen for line in code.splitlines() if len(line) > 92]


@pytest.mark.parametrize(
    "code",
    [
        'print("a",\n      b)',
        "table.style.format(2)",
        "for a in b:\n    print(a)\n    x = 1",
        "if a:\n    fig.alt = (f'{b}'\n               'c')",
    ],
)
def test_lines_that_only_show_are_counted(tmp_path, code):
    chapter = tmp_path / "a.md"
    fence = "```{code-cell} ipython3\n"
    chapter.write_text(
        f"# A\n\n{fence}{code}\n```\n\n{fence}:tags: [hide-input]\n\nprint(1)\n```\n\n{fence}# why\ny = 2\n```\n"
    )
    lines = code.count("\n") + 1
    shown = {"for": 1, "if ": 2}.get(code[:3].strip() + (" " if code[:2] == "if" else ""), lines)
    assert form.printing(chapter) == (shown, lines + 1)


def test_a_question_needs_a_sentence_before_the_next_one(tmp_path):
    chapter = tmp_path / "a.md"
    asked = ":::{predict}\n:choices: a | b\nWhich?\n:::\n\n```{code-cell} ipython3\n# It is b.\n```\n\n"
    chapter.write_text(f"# A\n\n{asked}It is a.\n\n{asked}## More\n\nText.\n\n{asked}")
    assert form.unanswered(chapter) == ["Which?", "Which?"]
