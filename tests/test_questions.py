"""The banks of questions, their exports read back by other code, and what a class predicted."""

import base64
import html
import json
import re
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coursekit.build_book import chapters
from coursekit.commands import predictions as command
from coursekit.questions import __main__ as questions
from coursekit.questions import bank, classroom, export
from coursekit.questions.built import NotShown, Page
from coursekit.questions.predictions import happened_in, of_chapter, out_of_date, plain, question_id
from tools.fuzz_targets.damage import any_json

ROOT = Path(__file__).resolve().parents[1]
BANKS = [path for chapter in chapters() if (path := ROOT / "questions" / chapter.name).is_file()]
BOOK = ROOT / "_build" / "html"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
BUILT = f"""
<div class="cell_output"><table><thead><tr><th></th><th>test</th><th>all</th></tr></thead>
<tbody><tr><th>recall</th><td>0.83 (0.80–0.86)</td><td>1,600</td></tr>
<tr><th>share</th><td>74%</td><td>−0.5</td></tr></tbody></table></div>
<div class="cell_output"><pre>images      1600.0
patients    1106</pre>
<img class="cxr-figure" alt="Two curves [a_b]: from 3 to 7." src="data:image/png;base64,{PIXEL}"></div>
"""
BANK = """\
Quiz title: Toy
Shuffle answers: true

Title: A number
1. It is {{ cell("recall", "test") }}. What is it with {{ "%.0f" % printed("^images +([0-9.]+)") }} images?

    {{ figure("Two curves") }}
+ Right & good.
- No < yes.
= {{ cell("recall", "test") + record("toy")["values"]["more"] }} +- 0.01

Title: One
1. Which *one*?
... In general.
a) This
... Not this.
*b) That & <i>those</i>
... Yes.

Title: Several
1. Which?
[*] First
... Yes, first.
[*] Second
[ ] Third
... No.
"""


@pytest.fixture
def page(tmp_path):
    (tmp_path / "02_toy.html").write_text(BUILT)
    (tmp_path / "toy.json").write_text('{"values": {"more": 0.1}}')
    return Page(tmp_path / "02_toy.html", tmp_path)


@pytest.fixture
def toy(tmp_path, page):
    (tmp_path / "02_toy.md").write_text(BANK)
    quiz, left_out = bank.read(tmp_path / "02_toy.md", page, tmp_path)
    assert not left_out
    return quiz


# --- readers of the exports that share no code with their writers


def bare(markup):
    """The words of HTML, with the alternative texts of its pictures."""
    markup = re.sub(r'<img[^>]*?alt="([^"]*)"[^>]*>', r" \1 ", markup or "")
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def from_moodle(path):
    """Moodle XML: title -> what a student meets; fails on what Moodle's reader does not know."""
    known = {"name", "questiontext", "generalfeedback", "defaultgrade", "penalty", "single", "shuffleanswers",
             "answernumbering", "answer", "responseformat", "responsefieldlines"}  # fmt: skip
    category, found = "", {}
    for question in ET.parse(path).getroot():
        assert question.tag == "question"
        if question.get("type") == "category":
            category = question.findtext("category/text")
            continue
        assert {child.tag for child in question} <= known and question.find("questiontext").get("format") == "html"
        text = question.findtext("questiontext/text")
        files = {f.get("name"): base64.b64decode(f.text) for f in question.iter("file")}
        assert set(re.findall(r"@@PLUGINFILE@@/([^\"]+)", text)) == set(files) and "IMS-CC" not in text
        assert all(f.get("encoding") == "base64" and f.get("path") == "/" for f in question.iter("file"))
        answers = [(bare(a.findtext("text")), float(a.get("fraction")), bare(a.findtext("feedback/text")))
                   for a in question.findall("answer")]  # fmt: skip
        one = {"category": category, "text": bare(text), "files": files,
               "general": bare(question.findtext("generalfeedback/text"))}  # fmt: skip
        if question.get("type") == "numerical":
            answer = question.find("answer")
            middle, off = float(answer.findtext("text")), float(answer.findtext("tolerance"))
            notes = [note for _, _, note in answers]
            one |= {"range": (middle - off, middle + off), "notes": notes}
            assert [fraction for _, fraction, _ in answers] == [100, 0][: len(answers)]
        else:
            assert question.get("type") == "multichoice" and question.findtext("single") in ("true", "false")
            right = [fraction for _, fraction, _ in answers if fraction > 0]
            assert sum(right) == pytest.approx(100, abs=0.01)
            assert (len(right) == 1) or question.findtext("single") == "false"
            one |= {"choices": [(words, fraction > 0, note) for words, fraction, note in answers]}
        found[category, question.findtext("name/text")] = one
    return found


#: Which elements may follow each other inside of an element, in the part of QTI 1.2 (ASI) that is used.
MODELS = {
    "questestinterop": "assessment", "assessment": "(qtimetadata )*section", "section": "(item )*item",
    "item": "itemmetadata presentation resprocessing( itemfeedback)*", "itemmetadata": "qtimetadata",
    "qtimetadata": "(qtimetadatafield )*qtimetadatafield", "qtimetadatafield": "fieldlabel fieldentry",
    "presentation": "material (response_lid|response_str)", "response_lid": "render_choice",
    "response_str": "render_fib", "render_choice": "(response_label )+response_label",
    "render_fib": "(response_label)?", "response_label": "(material)?", "material": "mattext",
    "resprocessing": "outcomes( respcondition)+", "outcomes": "decvar",
    "respcondition": "conditionvar( setvar)*( displayfeedback)*", "conditionvar": "varequal|other|and|or|vargte varlte",
    "and": "((varequal|not|vargte|varlte) ?)+", "or": "((varequal|and) ?)+", "not": "varequal",
    "itemfeedback": "flow_mat", "flow_mat": "material",
}  # fmt: skip


def against_the_models(root):
    """Fail on elements in a place where QTI 1.2 has none, on idents given twice, and on attributes it asks for."""
    for element in root.iter():
        name = element.tag.rpartition("}")[2]
        inside = " ".join(child.tag.rpartition("}")[2] for child in element)
        assert re.fullmatch(MODELS.get(name, ""), inside), f"<{name}> holds {inside}"
        if name in ("item", "assessment", "section", "response_lid", "response_str", "response_label", "itemfeedback"):
            assert element.get("ident"), f"<{name}> has no ident"
        if name == "mattext":
            assert element.get("texttype") == "text/html"
    idents = [item.get("ident") for item in root.iter() if item.tag.endswith("}item")]
    assert len(set(idents)) == len(idents)


def from_qti(path):
    """QTI 1.2: the same, from the items of the zip file; every file that the manifest names must be there."""
    space = {"q": "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"}
    found = {}
    with zipfile.ZipFile(path) as archive:
        manifest = archive.read("imsmanifest.xml").decode()
        named = re.findall(r'<file href="([^"]+)"', manifest)
        assert named and set(named) <= set(archive.namelist())
        content = next(n for n in archive.namelist() if re.fullmatch(r"(\w+)/\1\.xml", n))
        root = ET.fromstring(archive.read(content))
        against_the_models(root)
        for item in root.iterfind(".//q:item", space):
            text = item.findtext("q:presentation/q:material/q:mattext", namespaces=space)
            feedback = {f.get("ident"): bare(f.findtext(".//q:mattext", namespaces=space))
                        for f in item.iterfind("q:itemfeedback", space)}  # fmt: skip
            linked = {d.get("linkrefid") for d in item.iterfind(".//q:displayfeedback", space)}
            assert linked <= set(feedback), "feedback that is shown is there"
            files = {name: archive.read(f"images/{name}") for name in re.findall(r"FILEBASE%24/images/([^\"]+)", text)}
            one = {"text": bare(text), "files": files, "general": feedback.get("general_fb", "")}
            scored = [c for c in item.iterfind(".//q:respcondition", space) if c.find("q:setvar", space) is not None]
            assert len(scored) == 1
            labels = item.findall(".//q:render_choice/q:response_label", space)
            if labels:
                negated = {v.text for n in scored[0].iterfind(".//q:not", space) for v in n.iter() if v.text}
                right = {v.text for v in scored[0].iterfind(".//q:varequal", space)} - negated
                one["choices"] = [(bare(label.findtext(".//q:mattext", namespaces=space)), label.get("ident") in right,
                                   feedback.get(f"{label.get('ident')}_fb", "")) for label in labels]  # fmt: skip
            else:
                bounds = [scored[0].findtext(f".//q:{name}", namespaces=space) for name in ("vargte", "varlte")]
                notes = [feedback[key] for key in ("correct_fb", "general_incorrect_fb") if key in feedback]
                one |= {"range": tuple(map(float, bounds)), "notes": notes}
            found[item.get("title"), one["text"]] = one
    return found


def told(quiz):
    """The same, from the quiz itself."""
    found = []
    for question in quiz.questions_and_delims:
        one = {"text": bare(html.unescape(question.question_html_xml)), "title": question.title_raw}
        if question.type == "numerical_question":
            one["range"] = (question.numerical_min, question.numerical_max)
        else:
            one["choices"] = [
                (bare(html.unescape(c.choice_html_xml)), c.correct, bare(html.unescape(c.feedback_html_xml or "")))
                for c in question.choices
            ]
        found.append(one)
    return found


# --- what a bank may ask of the build


def test_numbers_come_from_tables_prints_and_figures_of_the_build(page, tmp_path):
    assert (page.cell("recall", "test"), page.cell("recall", "all")) == (0.83, 1600)
    assert (page.cell("share", "test"), page.cell("share", "all")) == (0.74, -0.5)
    assert page.printed(r"^patients +(\d+)") == 1106 and page.printed(r"from 3 to (\d)") == 7
    shown = page.figure("Two curves")
    assert shown.startswith(r"![Two curves \[a\_b\]: from 3 to 7.](")
    assert Path(shown.rpartition("(")[2][:-1]).read_bytes() == base64.b64decode(PIXEL)


@pytest.mark.parametrize(
    "ask", [lambda p: p.cell("recall", "train"), lambda p: p.cell("precision", "test"), lambda p: p.printed("(none)"),
            lambda p: p.printed("(images)"), lambda p: p.figure("Three curves")]
)  # fmt: skip
def test_what_the_page_does_not_show_is_named(page, ask):
    with pytest.raises(LookupError, match="02_toy.html|not a number"):
        ask(page)


def test_without_a_build_only_the_questions_about_it_are_left_out(tmp_path, page):
    (tmp_path / "02_toy.md").write_text(BANK)
    quiz, left_out = bank.read(tmp_path / "02_toy.md", Page(tmp_path / "no.html", tmp_path), tmp_path)
    assert len(left_out) == 1 and left_out[0].startswith("A number: ") and "make book" in left_out[0]
    assert [q.title_raw for q in quiz.questions_and_delims] == ["One", "Several"]
    with pytest.raises(NotShown, match="make book"):
        Page(tmp_path / "no.html", tmp_path).cell("a", "b")


@pytest.mark.parametrize("wrong, said", [
    ("= {{ unknown }}", "'A': 'unknown' is undefined"),
    ("= {{ record('none') }}", "'A': .*none.json"),
    ("= 0.5", "numerical response"),
    ("a) one\n*b) two\n*c) three", "only one correct"),
    ("*a) It is $x$\nb) no", r"has a \$"),
    ("a) one\nb) two", "correct choice"),
])  # fmt: skip
def test_a_mistake_in_a_bank_is_named(tmp_path, page, wrong, said):
    path = tmp_path / "02_toy.md"
    path.write_text(f"Quiz title: T\n\nTitle: A\n1. What?\n{wrong}\n")
    with pytest.raises(ValueError, match=f"02_toy.md.*{said}|02_toy.md(.|\n)*{said}"):
        bank.read(path, page, tmp_path)


# --- the exports


def test_both_exports_hold_what_the_bank_says(toy, tmp_path):
    export.moodle([("A & B", toy)], tmp_path / "a.xml")
    export.qti(toy, tmp_path / "a.zip")
    moodle, qti = from_moodle(tmp_path / "a.xml"), from_qti(tmp_path / "a.zip")
    assert {one["category"] for one in moodle.values()} == {"$course$/top/A & B"}
    assert len(moodle) == len(qti) == 3
    for mine, theirs in zip(moodle.values(), qti.values(), strict=True):
        assert {k: v for k, v in mine.items() if k != "category"} == {
            k: pytest.approx(v) if k == "range" else v for k, v in theirs.items()
        }
    number, one, several = moodle.values()
    assert number["range"] == pytest.approx((0.92, 0.94)) and number["notes"] == ["Right & good.", "No < yes."]
    assert number["text"] == "It is 0.83. What is it with 1600 images? Two curves [a_b]: from 3 to 7."
    assert list(number["files"].values()) == [base64.b64decode(PIXEL)]
    assert (
        one["choices"] == [("This", False, "Not this."), ("That & those", True, "Yes.")]
        and one["general"] == "In general."
    )
    assert several["choices"] == [("First", True, "Yes, first."), ("Second", True, ""), ("Third", False, "No.")]


def test_the_markdown_keeps_the_answers_behind_the_questions(toy, tmp_path):
    export.markdown([("Toy", toy)], tmp_path / "a.md")
    asked, answers = (tmp_path / "a.md").read_text().split("# Answers")
    assert "**2.** Which *one*?" in asked and "- b) That" in asked and "Not this" not in asked
    assert "**1.** 0.93 ± 0.01" in answers and "**2.** b" in answers and "**3.** a, b" in answers
    (picture,) = re.findall(r"\]\((images/[^)]+)\)", asked)
    assert (tmp_path / picture).read_bytes() == base64.b64decode(PIXEL)


@pytest.mark.parametrize("path", BANKS, ids=lambda path: path.stem)
def test_a_bank_is_whole_and_comes_back_from_both_exports(path, tmp_path):
    built = Page(BOOK / "chapters" / f"{path.stem}.html", tmp_path)
    quiz, left_out = bank.read(path, built, ROOT / "results")
    assert not left_out or not built.path.is_file(), "the chapter does not show this any more"
    asked = told(quiz)
    assert len(asked) + len(left_out) >= 8 and len({one["text"] for one in asked}) == len(asked)
    assert len([one for one in asked if "range" in one]) + len(left_out) >= 2
    assert any((one["title"] or "").startswith("Find the mistake") for one in asked)
    for one in asked:
        assert all(note for _, _, note in one.get("choices", ())), f"{one['title']}: every choice gets an answer"
    export.moodle([("x", quiz)], tmp_path / "a.xml")
    export.qti(quiz, tmp_path / "a.zip")
    for back in (from_moodle(tmp_path / "a.xml"), from_qti(tmp_path / "a.zip")):
        assert [one["text"] for one in back.values()] == [one["text"] for one in asked]
        for mine, theirs in zip(asked, back.values(), strict=True):
            assert theirs.get("choices") == mine.get("choices")
            if "range" in mine:
                assert theirs["range"] == pytest.approx(mine["range"], abs=1e-4), mine["title"]


# --- the predictions


@pytest.mark.parametrize("chapter", [c for c in chapters() if c.stem in happened_in(ROOT)], ids=lambda path: path.stem)
def test_every_prediction_with_choices_has_its_answer(chapter, tmp_path):
    lines = happened_in(ROOT)[chapter.stem]
    asked = [one for one in of_chapter(chapter, lines) if one.choices]
    assert not out_of_date(chapter, lines), "correct questions/predictions.yml"
    assert len({one.id for one in asked}) == len(asked)
    quiz = bank.of_predictions("x", asked)
    for one, question in zip(asked, quiz.questions_and_delims, strict=True):
        right = [choice.choice_raw.replace("\\", "") for choice in question.choices if choice.correct]
        assert right == ([one.happened] if one.happened else [])
        assert question.type == ("multiple_choice_question" if one.happened else "essay_question")
    assert quiz.shuffle_answers_xml == "false", "from little to much"
    export.qti(quiz, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        against_the_models(
            ET.fromstring(archive.read(next(n for n in archive.namelist() if re.fullmatch(r"(\w+)/\1.xml", n))))
        )


CHAPTER = """# A *title*

## One

:::{predict}
:choices: at *0.5* | more
How {term}`much <a>`, with $p = 1$?
:::

```{code-cell} ipython3
# a comment
1
```

More, see [there](x.md).

:::{predict}
Why?
:::

Because.
"""


def test_a_prediction_is_read_from_its_chapter(tmp_path):
    path = tmp_path / "01_a.md"
    path.write_text(CHAPTER)
    much, why = of_chapter(path, {"How much": "more"})
    assert (much.question, much.choices, much.section) == ("How much, with p = 1?", ("at 0.5", "more"), "One")
    assert (much.told, much.happened) == ("More, see there.", "more")
    assert (why.choices, why.told, why.happened) == ((), "Because.", None)
    assert much.id == question_id("How {term}`much <a>`,\nwith $p = 1$?") and plain("a  *b*\n`c`") == "a b c"
    assert out_of_date(path, {"How much": "more"}) == out_of_date(path, {"How much": None}) == []
    assert out_of_date(path, {"How": "less"}) == [
        "'less' is none of the choices of 'How much, with p = 1?': at 0.5 | more"
    ]
    assert out_of_date(path, {"Whence": "more"}) == [
        "no line for 'How much, with p = 1?'",
        "no question with choices begins with 'Whence'",
    ]


def test_where_no_choice_is_right_the_answer_is_in_words(tmp_path):
    (tmp_path / "01_a.md").write_text(CHAPTER)
    quiz = bank.of_predictions("A", of_chapter(tmp_path / "01_a.md", {"How much": None}))
    export.moodle([("A", quiz)], tmp_path / "a.xml")
    export.qti(quiz, tmp_path / "a.zip")
    export.markdown([("A", quiz)], tmp_path / "a.md")
    (question,) = [q for q in ET.parse(tmp_path / "a.xml").getroot() if q.get("type") != "category"]
    assert question.get("type") == "essay" and not question.findall("answer")
    assert "How much, with p = 1? (at 0.5; more)" in question.findtext("questiontext/text")
    assert question.findtext("generalfeedback/text") == "<p>More, see there.</p>"
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert any(b"essay_question" in archive.read(name) for name in archive.namelist())
    assert "(in your own words)" in (tmp_path / "a.md").read_text()


def test_the_command_writes_a_chapter_in_each_format(tmp_path, capsys):
    name = BANKS[0].stem
    assert questions.main([str(tmp_path), "--chapter", name[:2], "--book", str(tmp_path / "none")]) == 0
    assert {path.name for path in tmp_path.glob("*.*")} == {
        f"{name}.md", f"{name}.moodle.xml", f"{name}.qti.zip", f"{name}-predict-first.qti.zip"}  # fmt: skip
    assert "left out: Images and patients: " in capsys.readouterr().out
    with pytest.raises(SystemExit):
        questions.main([str(tmp_path), "--chapter", "77"])
    assert "there is no such chapter; the book has" in capsys.readouterr().err


# --- what a class predicted


def guess(folder, name, guesses, **changes):
    content = {"format": 1, "chapter": "01_a", "guesses": [{"id": k, "guess": v} for k, v in guesses.items()]} | changes
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def test_the_page_counts_a_class_and_marks_what_happened(tmp_path):
    path = tmp_path / "01_a.md"
    path.write_text(CHAPTER)
    asked = of_chapter(path, {"How much": "more"})
    much, why = (one.id for one in asked)
    folder = tmp_path / "handed in"
    for k, said in enumerate(["more", "more", "at 0.5", "<script>alert(1)</script>"]):
        guess(folder, f"student {k}/guesses.json", {much: said, why: "<b>so</b>"})
    guess(folder, "old.json", {"predict-of-another-book": "more"})
    guess(folder, "other.json", {}, chapter="99_none")
    (folder / "broken.json").write_text("{")
    shown = classroom.page(folder, [("01_a", "A & B", asked)])
    assert "<h2>A &amp; B</h2>" in shown and "5 files" in shown and "1 guesses belong to no question" in shown
    rows = re.findall(r'<tr( class="true")?><th scope="row">(.*?)</th>\s*<td>(\d) \((\d+)', shown)
    assert rows == [("", "at 0.5", "1", "33"), (' class="true"', "more ✓ came true", "2", "67")]
    assert "<script" not in shown and "&lt;script&gt;" in shown and "&lt;b&gt;so&lt;/b&gt; (4 times)" in shown
    assert "More, see there." in shown
    assert "broken.json: it is no JSON" in shown and "99_none" in shown


def test_what_nobody_has_guessed_yet_is_folded_at_the_end(tmp_path):
    path = tmp_path / "01_a.md"
    path.write_text(CHAPTER)
    much, why = of_chapter(path, {"How much": "more"})
    guess(tmp_path / "in", "a.json", {why.id: "so"})
    shown = classroom.page(tmp_path / "in", [("01_a", "A", [much, why])])
    open_part, folded = shown.split("<details>")
    assert "<h3>Why?</h3>" in open_part and "Because." in open_part and "How much" not in open_part
    assert "<summary>1 question that nobody has answered yet</summary>" in folded and "More, see there." in folded
    guess(tmp_path / "in", "b.json", {much.id: "more"})
    assert "<details>" not in classroom.page(tmp_path / "in", [("01_a", "A", [much, why])])


def test_guesses_from_a_book_in_another_language_are_counted_by_their_number(tmp_path):
    path = tmp_path / "01_a.md"
    path.write_text(CHAPTER)
    asked = of_chapter(path, {"How much": "more"})
    for k, (said, number) in enumerate([("더 많이", 1), ("0.5에서", 0), ("없는 것", 7), ("more", None)]):
        one = {"id": asked[0].id, "guess": said} | ({} if number is None else {"choice": number})
        (tmp_path / f"{k}.json").write_text(json.dumps({"format": 1, "chapter": "01_a", "guesses": [one]}))
    shown = classroom.page(tmp_path, [("01_a", "A", asked)])
    assert re.findall(r'<th scope="row">(.*?)</th>\s*<td>(\d) ', shown) == [("at 0.5", "1"), ("more ✓ came true", "2")]


@pytest.mark.parametrize("content, said", [
    (b"[]", "not saved by the book"), (b'{"format": 2, "chapter": "a", "guesses": []}', "not saved by the book"),
    (b'{"format": 1, "chapter": 3, "guesses": []}', "not saved by the book"), (b"[" * 100_000, "no JSON"),
    (b"\xff\xfe", "no JSON"), (b'{"format": 1, "chapter": "a", "guesses": {}}', "list"),
    (b'{"format": 1, "chapter": "a", "guesses": [1]}', "not a text"),
    (b'{"format": 1, "chapter": "a", "guesses": [{"id": "a", "guess": 3}]}', "not a text"),
    (b'{"format": 1, "chapter": "a", "guesses": [{"id": "a", "guess": "' + b"x" * 301 + b'"}]}', "not a text"),
    (b'{"format": 1, "chapter": "a", "guesses": [' + b"1," * 300 + b"1]}", "at most 200"), (b" " * 200_001, "larger"),
])  # fmt: skip
def test_a_file_that_is_none_of_the_books_is_refused(tmp_path, content, said):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        classroom.read_guesses(tmp_path / "a.json")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=any_json(), guesses=st.lists(st.fixed_dictionaries({"id": st.text(), "guess": st.text()}), max_size=3))
def test_whatever_is_handed_in_makes_a_page_or_is_named(tmp_path, content, guesses):
    folder = tmp_path / "x"
    folder.mkdir(exist_ok=True)
    (folder / "a.json").write_text(json.dumps(content))
    (folder / "b.json").write_text(json.dumps({"format": 1, "chapter": "01_a", "guesses": guesses}))
    (tmp_path / "01_a.md").write_text(CHAPTER)
    asked = of_chapter(tmp_path / "01_a.md")
    known = [{"id": asked[0].id, "guess": one["guess"]} for one in guesses]
    (folder / "c.json").write_text(json.dumps({"format": 1, "chapter": "01_a", "guesses": known}))
    assert classroom.page(folder, [("01_a", "A", asked)]).encode().endswith(b"</html>")


def test_cxr_predictions(tmp_path):
    chapter = chapters()[0]
    first = next(one for one in of_chapter(chapter) if one.choices)
    guess(tmp_path / "in", "a.json", {first.id: first.choices[0]}, chapter=chapter.stem)
    done = CliRunner().invoke(command, [str(tmp_path / "in"), "--out", str(tmp_path / "p.html")])
    assert done.exit_code == 0, done.output
    assert f'<th scope="row">{html.escape(first.choices[0])}' in (tmp_path / "p.html").read_text().replace("&#39;", "'")
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(command, [str(tmp_path / "empty")])
    assert done.exit_code == 1 and "that students saved in the book" in done.output
