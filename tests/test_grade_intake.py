"""From an export to submissions, from a course list to grades: what the grader reads before anything is judged."""

import csv
import io
import os
import random
import re
import string
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coursekit.grade import files, submissions
from coursekit.grade.roster import Roster, safe_cell
from coursekit.grade.similar import near_identical, shingles, tokens
from coursekit.grade.submissions import Submission, collect

EXERCISE = "01_split_by_patient"
NOTEBOOK = b'{"cells": []}'
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def make_zip(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items() if isinstance(members, dict) else [(n, NOTEBOOK) for n in members]:
            archive.writestr(name, data)
    return path


def make_folder(root, members):
    for name, data in members.items() if isinstance(members, dict) else [(n, NOTEBOOK) for n in members]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


@pytest.fixture(params=["folder", "zip"])
def export(request, tmp_path):
    """The same files as a folder and as a zip."""

    def make(members):
        if request.param == "zip":
            return make_zip(tmp_path / "export.zip", members)
        return make_folder(tmp_path / "export", members)

    return make


def by_name(found):
    assert [s.key for s in found] == sorted({s.key for s in found})  # sorted, and none twice
    assert len({s.student for s in found}) == len(found)
    return {s.student: s for s in found}


def only(found) -> Submission:
    (submission,) = found
    return submission


# ------------------------------------------------------------------------------------------------------- the layouts


def test_notebooks_side_by_side(export):
    found = by_name(
        collect(
            export(
                [
                    "anna.ipynb",
                    "bo_01_split_by_patient.ipynb",
                    "01_split_by_patient-Cy D.IPYNB",
                    "README.md",
                    ".hidden.ipynb",
                    "__MACOSX/._anna.ipynb",
                    ".ipynb_checkpoints/anna-checkpoint.ipynb",
                ]
            ),
            EXERCISE,
        )
    )
    assert sorted(found) == ["Cy D", "anna", "bo"]
    assert all(s.data == NOTEBOOK and not s.problem and not s.notes and s.ids == {} for s in found.values())
    assert found["anna"].key == "anna" and found["anna"].file == "anna.ipynb"


def test_a_folder_per_student(export):
    found = by_name(
        collect(export(["anna/any name.ipynb", "bo/mine/01_split_by_patient.ipynb", "cy/report.pdf"]), EXERCISE)
    )
    assert found["anna"].file == "any name.ipynb" and found["bo"].data == NOTEBOOK
    assert found["cy"].data is None and "report.pdf" in found["cy"].problem


def test_an_empty_folder_is_a_student_without_a_notebook(tmp_path):
    make_folder(tmp_path, ["anna/x.ipynb"])
    (tmp_path / "bo").mkdir()
    found = by_name(collect(tmp_path, EXERCISE))
    assert found["bo"].data is None and "no notebook" in found["bo"].problem


def test_nbgraders_folders(export):
    found = by_name(
        collect(
            export(
                [
                    "submitted/anna/01_split_by_patient/01_split_by_patient.ipynb",
                    "submitted/anna/02_other/02_other.ipynb",
                    "submitted/bo/01_split_by_patient/renamed.ipynb",
                ]
            ),
            EXERCISE,
        )
    )
    assert {n: s.file for n, s in found.items()} == {"anna": "01_split_by_patient.ipynb", "bo": "renamed.ipynb"}
    assert not found["anna"].notes


@pytest.mark.parametrize("wrapper", ["", "submissions/"])
def test_canvas(export, wrapper):
    found = by_name(
        collect(
            export(
                [
                    wrapper + name
                    for name in (
                        "doejane_LATE_1001_5001_01_split_by_patient.ipynb",
                        "roerichard_1002_5002_01_split_by_patient-2.ipynb",
                        "roerichard_1002_5003_notes.ipynb",
                        "ångströmåsa_1003_5004_work.pdf",
                        "anon_Ab3dE_5005_x.ipynb",
                        "LATE_anon_Ab3dF_5006_x.ipynb",
                    )
                ]
            ),
            EXERCISE,
        )
    )
    assert found["doejane"].ids == {"canvas_id": "1001", "submission_id": "5001", "late": "1"}
    assert found["doejane"].file == "01_split_by_patient.ipynb" and not found["doejane"].notes
    assert found["roerichard"].file == "01_split_by_patient-2.ipynb"
    assert found["roerichard"].ids == {"canvas_id": "1002", "submission_id": "5002"}
    assert "2 files were handed in" in only(found["roerichard"].notes)
    assert found["ångströmåsa"].data is None and "work.pdf" in found["ångströmåsa"].problem
    assert found["anonymous Ab3dE"].ids == {"submission_id": "5005"}
    assert found["anonymous Ab3dF"].ids["late"] == "1"


def test_canvas_resubmissions_take_the_last(export):
    found = only(
        collect(
            export([f"doe_7_{90 + i}_mine{tail}.ipynb" for i, tail in enumerate(["-2", "", "-10", "-9"])]), EXERCISE
        )
    )
    assert found.file == "mine-10.ipynb" and "4 files" in found.notes[0] and "graded: mine-10.ipynb" in found.notes[0]


def test_a_canvas_name_cannot_claim_another_students_number(export):
    """The names are chosen by students: one that ends in a number must not be read as that student's."""
    found = by_name(
        collect(
            export([f"bob_2345_77_888_{EXERCISE}.ipynb", f"bob_2345_889_{EXERCISE}.ipynb", "bob_2345_79_891_x.ipynb"]),
            EXERCISE,
        )
    )
    assert found["bob_2345"].ids["canvas_id"] == "77"
    assert found["bob"].file == "01_split_by_patient.ipynb" and found["bob"].notes  # flagged: two files, one unclear


def test_a_canvas_name_that_can_be_read_in_two_ways_is_flagged(export):
    found = by_name(collect(export(["bob_2345_79_891_x.ipynb", "eve_78_890_mine.ipynb"]), EXERCISE))
    assert "two ways" in only(found["bob"].notes) and found["eve"].notes == ()


def test_numbers_in_plain_names_are_no_canvas_export(export):
    found = by_name(collect(export(["lab_2024_1_anna.ipynb", "lab_2024_1_bo.ipynb", "lab_2024_1_cy.ipynb"]), EXERCISE))
    assert sorted(found) == ["lab_2024_1_anna", "lab_2024_1_bo", "lab_2024_1_cy"]


@pytest.mark.parametrize("tail", ["_", ""])
def test_moodle_with_folders(export, tail):
    found = by_name(
        collect(
            export(
                [
                    f"Anna Åberg_1234567_assignsubmission_file{tail}/01_split_by_patient.ipynb",
                    f"Eve X_1234568_assignsubmission_file{tail}/Anna Åberg_1234567_assignsubmission_file_hers.ipynb",
                    f"Participant_1234569_assignsubmission_file{tail}/sub/x.ipynb",
                    f"Dora D_1234570_assignsubmission_onlinetext{tail}/onlinetext.html",
                ]
            ),
            EXERCISE,
        )
    )
    assert found["Anna Åberg"].ids == {"moodle_id": "1234567"} and not found["Anna Åberg"].notes
    assert found["Eve X"].ids == {"moodle_id": "1234568"} and found["Eve X"].data == NOTEBOOK
    assert found["Participant 1234569"].data == NOTEBOOK
    assert found["Dora D"].data is None and "onlinetext.html" in found["Dora D"].problem


def test_moodle_flat(export):
    found = by_name(
        collect(
            export(
                [
                    "Anna B_11_assignsubmission_file_01_split_by_patient.ipynb",
                    "Bo C_12_assignsubmission_file_x.ipynb",
                    "Bo C_12_assignsubmission_file_01_split_by_patient.ipynb",
                ]
            ),
            EXERCISE,
        )
    )
    assert found["Anna B"].file == "01_split_by_patient.ipynb" and found["Anna B"].ids == {"moodle_id": "11"}
    assert found["Bo C"].file == "01_split_by_patient.ipynb" and found["Bo C"].notes


@pytest.mark.parametrize(
    "name, student",
    [
        ("anna.ipynb", "anna"),
        (f"{EXERCISE}.ipynb", EXERCISE),
        ("anna_01_split_by_patient (3).ipynb", "anna"),
        ("doe_LATE_3_4_x.ipynb", "doe"),
    ],
)
def test_one_notebook(tmp_path, name, student):
    (tmp_path / name).write_bytes(NOTEBOOK)
    assert only(collect(tmp_path / name, EXERCISE)).student == student


def test_folder_and_zip_give_the_same(tmp_path):
    names = ["Zoë Ö/a.ipynb", "anna/b.ipynb", "bo/c-1.ipynb", "bo/c-2.ipynb"]
    packed, unpacked = make_zip(tmp_path / "x.zip", names), make_folder(tmp_path / "x", names)
    assert collect(packed, EXERCISE) == collect(unpacked, EXERCISE)


def test_names_that_are_utf8_without_saying_so(tmp_path):
    """Some exports write UTF-8 names without the flag; a zip reader then sees mojibake."""
    path = make_zip(tmp_path / "x.zip", ["ZZZZZ.ipynb", "anna.ipynb"])
    path.write_bytes(path.read_bytes().replace(b"ZZZZZ", "Zoë!".encode()))
    assert "Zoë!" in by_name(collect(path, EXERCISE))


# ------------------------------------------------------------------------------------------------ one of several files


@pytest.mark.parametrize(
    "files, graded",
    [
        (["a.ipynb", f"{EXERCISE}.ipynb", "z-9.ipynb"], f"{EXERCISE}.ipynb"),
        ([f"{EXERCISE}.ipynb", f"{EXERCISE}-1.ipynb"], f"{EXERCISE}-1.ipynb"),
        ([f"{EXERCISE} (2).ipynb", f"{EXERCISE} (10).ipynb"], f"{EXERCISE} (10).ipynb"),
        (["draft.ipynb", "work-1.ipynb"], "work-1.ipynb"),
        (["a.ipynb", "b.ipynb"], "b.ipynb"),
        (["x.ipynb.txt", "a.ipynb"], "a.ipynb"),
    ],
)
def test_the_best_of_several_is_graded(export, files, graded):
    found = by_name(collect(export([f"anna/{f}" for f in files] + ["bo/x.ipynb"]), EXERCISE))
    assert found["anna"].file == graded
    assert f"{len(files)} files were handed in" in only(found["anna"].notes) and graded in found["anna"].notes[0]
    assert found["bo"].notes == ()


def test_the_next_best_where_the_best_cannot_be_used(export):
    found = by_name(
        collect(export({f"anna/{EXERCISE}.ipynb": b"", "anna/old.ipynb": NOTEBOOK, "bo/x.ipynb": NOTEBOOK}), EXERCISE)
    )
    assert found["anna"].data == NOTEBOOK and found["anna"].file == "old.ipynb" and found["anna"].problem == ""
    assert any("empty" in note for note in found["anna"].notes)


# ------------------------------------------------------------------------------------------------------- hostile input


@pytest.mark.parametrize(
    "data, word", [(b"", "empty"), (b" \n ", "empty"), (b"x" * 20_000_001, "20 MB"), (b"PK\x03\x04rest", "zip")]
)
def test_files_that_cannot_be_used(tmp_path, data, word):
    for path in (
        make_folder(tmp_path / "x", {"anna.ipynb": data, "bo.ipynb": NOTEBOOK}),
        make_zip(tmp_path / "x.zip", {"anna.ipynb": data, "bo.ipynb": NOTEBOOK}, zipfile.ZIP_STORED),
    ):
        found = by_name(collect(path, EXERCISE))
        assert found["anna"].data is None and word in found["anna"].problem and "anna.ipynb" in found["anna"].problem
        assert found["bo"].data == NOTEBOOK


def test_the_largest_notebook_is_read(tmp_path):
    data = random.Random(0).randbytes(files.MAX_BYTES)
    assert only(collect(make_folder(tmp_path, {"anna.ipynb": data}), EXERCISE)).data == data


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bo.ipynb", NOTEBOOK)
        with archive.open("anna.ipynb", "w", force_zip64=True) as member:
            for _ in range(500):
                member.write(bytes(1_000_000))
    tracemalloc.start()
    found = by_name(collect(path, EXERCISE))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 100_000_000
    assert found["anna"].data is None and "zip bomb" in found["anna"].problem and found["bo"].data == NOTEBOOK


def test_the_size_in_the_header_is_not_believed(tmp_path):
    """A member that says it holds 10 bytes and unpacks to 30 MB is not read, whatever way the reader notices."""
    path = make_zip(tmp_path / "x.zip", {"anna.ipynb": b"ab" * 15_000_000, "bo.ipynb": NOTEBOOK})
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 30_000_000), struct.pack("<I", 10)))
    found = by_name(collect(path, EXERCISE))
    assert found["anna"].data is None and found["anna"].problem and found["bo"].data == NOTEBOOK


def test_all_together_have_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "MAX_TOTAL", 250)
    found = collect(make_folder(tmp_path, {f"s{i}.ipynb": b"x" * 100 for i in range(5)}), EXERCISE)
    assert [s.data is not None for s in found] == [True, True, False, False, False]
    assert all("together" in s.problem for s in found[2:])


def test_too_many_files(export, monkeypatch):
    monkeypatch.setattr(files, "MAX_FILES", 20)
    with pytest.raises(ValueError, match="more than 20 files.*give the"):
        collect(export([f"s{i}.ipynb" for i in range(21)]), EXERCISE)


def test_encrypted_odd_and_nested_members(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("locked.ipynb", NOTEBOOK)
        archive.writestr("bz.ipynb", NOTEBOOK, zipfile.ZIP_BZIP2)
        archive.writestr("lz.ipynb", NOTEBOOK, zipfile.ZIP_LZMA)
        archive.writestr("nested.zip", b"PK\x03\x04")
        archive.writestr("good.ipynb", NOTEBOOK)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag "encrypted" of the first member
    path.write_bytes(data)
    found = by_name(collect(path, EXERCISE))
    assert "encrypted" in found["locked"].problem
    assert "unusual way" in found["bz"].problem and "unusual way" in found["lz"].problem
    assert "archive" in found["nested"].problem and found["nested"].data is None
    assert found["good"].data == NOTEBOOK


def test_a_broken_member_is_one_problem(tmp_path):
    path = make_zip(tmp_path / "x.zip", {"anna.ipynb": b"hello there", "bo.ipynb": NOTEBOOK}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"hello there", b"HELLO there"))
    found = by_name(collect(path, EXERCISE))
    assert found["anna"].data is None and "broken" in found["anna"].problem and found["bo"].data == NOTEBOOK


def test_names_are_labels_only(tmp_path, monkeypatch):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    path = make_zip(
        tmp_path / "x.zip",
        [
            "../../evil1.ipynb",
            "/tmp/evil2.ipynb",
            "C:\\evil3.ipynb",
            "a\nb.ipynb",
            "..\\..\\evil4.ipynb",
            "new\x07line.ipynb",
        ],
    )
    before = sorted(tmp_path.rglob("*"))
    found = collect(path, EXERCISE)
    assert sorted(tmp_path.rglob("*")) == before  # nothing was extracted
    assert len(found) == 6
    for s in found:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", s.key) and ".." not in s.key
        assert not re.search(r"[\x00-\x1f]", s.student + s.file)


def test_links_are_not_followed(tmp_path):
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(b"secret")
    (tmp_path / "elsewhere").mkdir()
    make_folder(tmp_path / "elsewhere", {"x.ipynb": b"secret"})
    root = make_folder(tmp_path / "in", ["good/x.ipynb", "mixed/x.ipynb"])
    (root / "anna").mkdir()
    (root / "anna" / "x.ipynb").symlink_to(secret)
    (root / "bo").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "mixed" / "z.ipynb").symlink_to(secret)
    (root / "loop").symlink_to(root, target_is_directory=True)
    found = by_name(collect(root, EXERCISE))
    for name in ("anna", "bo", "loop"):
        assert found[name].data is None and "link" in found[name].problem
    assert found["mixed"].data == NOTEBOOK and any("link" in n for n in found["mixed"].notes)


def test_a_link_in_a_zip(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("anna.ipynb")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
        archive.writestr("bo.ipynb", NOTEBOOK)
    assert "link" in by_name(collect(path, EXERCISE))["anna"].problem


def test_a_pipe_does_not_hang(tmp_path):
    make_folder(tmp_path, ["bo.ipynb"])
    os.mkfifo(tmp_path / "anna.ipynb")
    assert "ordinary file" in by_name(collect(tmp_path, EXERCISE))["anna"].problem


@pytest.mark.parametrize(
    "make, word",
    [
        (lambda p: p / "absent", "does not exist"),
        (lambda p: make_folder(p / "empty", {"notes.txt": b"x"}), "no notebook"),
        (lambda p: make_zip(p / "x.zip", ["a/notes.txt"]), "no notebook"),
        (lambda p: make_folder(p, {"roster.csv": b"id"}) / "roster.csv", "not a folder, a zip"),
        (lambda p: make_folder(p, {"x.zip": b"PK\x05\x06" + bytes(3)}) / "x.zip", "not a folder, a zip"),
    ],
)
def test_nothing_to_grade(tmp_path, make, word):
    path = make(tmp_path)
    with pytest.raises(ValueError, match=rf"{re.escape(path.name)}.*{word}.*give"):
        collect(path, EXERCISE)


@pytest.mark.timeout(60)
def test_names_that_take_long_to_read_do_not(tmp_path):
    names = [
        "_" * 60_000 + ".ipynb",
        "1_" * 30_000 + "x.ipynb",
        "a_1_" * 15_000 + ".ipynb",
        "-1" * 30_000 + ".ipynb",
        "(" * 60_000 + ".ipynb",
        f"{EXERCISE}_" * 3000 + ".ipynb",
    ]
    found = collect(make_zip(tmp_path / "x.zip", names), EXERCISE)
    assert len(found) == len(names) and all(len(s.student) <= 400 and len(s.key) < 100 for s in found)


# a file name: anything but a slash and NUL, not hidden
names = st.text(
    st.characters(exclude_characters="/\x00\\", exclude_categories=["Cs"]), min_size=1, max_size=120
).filter(lambda n: not n.startswith(".") and n != "__MACOSX" and n.strip())


@quick
@given(st.lists(names, min_size=1, max_size=8, unique=True))
def test_any_names_give_safe_keys_that_never_meet(tmp_path_factory, found_names):
    path = make_zip(tmp_path_factory.mktemp("n") / "x.zip", [f"{n}/x.ipynb" for n in [*found_names, "a.", "b"]])
    found = collect(path, EXERCISE)
    keys = [s.key for s in found]
    assert len(set(keys)) == len(keys) == len({k.lower() for k in keys})
    for s in found:
        assert re.fullmatch(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", s.key) and len(s.key) < 100
        s.student.encode()
    assert collect(path, EXERCISE) == found


def test_very_long_and_foreign_names(tmp_path):
    people = ["x" * 300, "x" * 299 + "y", "李小龙", "محمد علي", "Anna B.", "anna b", "Anna-B", "con", "Å", "A\u030a"]
    found = collect(make_zip(tmp_path / "x.zip", [f"{p}/x.ipynb" for p in people]), EXERCISE)
    assert len(found) == len(people) - 1  # Å is one student, however it is written
    assert {s.student for s in found} >= {"李小龙", "محمد علي", "x" * 300}


def test_a_key_cannot_be_forged(tmp_path):
    """Whoever takes another student's key as a name gets another key."""
    key = only(collect(make_zip(tmp_path / "a.zip", ["Anna B./x.ipynb"]), EXERCISE)).key
    found = collect(make_zip(tmp_path / "b.zip", ["Anna B./x.ipynb", f"{key}/x.ipynb"]), EXERCISE)
    assert {s.student: s.key for s in found}["Anna B."] == key and len({s.key for s in found}) == 2


@pytest.mark.skipif(os.sep != "/", reason="names of bytes")
def test_file_names_that_are_no_text(tmp_path):
    for raw in (b"an\xffna.ipynb", b"an\xfena.ipynb"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + raw)).write_bytes(NOTEBOOK)
    found = collect(tmp_path, EXERCISE)
    assert len({s.key for s in found}) == 2
    for s in found:
        (s.student + s.file).encode()


# -------------------------------------------------------------------------------------------------------- course lists

SIMPLE = (
    'id,name,email\n17,Anna Berg,anna@uni.example\n18,"Åberg, Bo",bo.aberg@uni.example\n19,Li Wang,li@uni.example\n'
)
CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Exercise 0 (77),Current Score (read only)\r\n"
    "    Points Possible,,,,,10.00,(read only)\r\n"
    '"Berg, Anna",1001,u17,aberg,A,3.00,30\r\n"Åberg, Bo",1002,u18,bo,A,,0\r\n'
    '"Student, Test",1003,,t,A,,\r\n'
)
MOODLE = (
    "\ufeffIdentifier,Full name,Email address,Status,Grade,Maximum Grade,Grade can be changed,"
    "Last modified (grade)\n"
    "Participant 501,Anna Berg,anna@uni.example,Submitted for grading,,10.00,Yes,-\n"
    "Participant 502,Bo Åberg,bo@uni.example,No submission,,10.00,Yes,-\n"
)


def who(student, **ids):
    return Submission(student, "key", "x.ipynb", NOTEBOOK, "", (), ids)


def graded(student, points, status="graded", **ids):
    return {"student": student, "key": student, "ids": ids, "points": points, "max_points": 10.0, "status": status}


def read_roster(tmp_path, text, name="roster.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Roster.read(path)


def read_csv(path, delimiter=","):
    return list(csv.reader(io.StringIO(Path(path).read_bytes().decode("utf-8-sig"), newline=""), delimiter=delimiter))


def test_the_kind_is_seen(tmp_path):
    assert read_roster(tmp_path, SIMPLE).kind == "simple"
    assert read_roster(tmp_path, CANVAS).kind == "canvas"
    assert read_roster(tmp_path, MOODLE).kind == "moodle"
    assert read_roster(tmp_path, CANVAS).students() == [(1, "Berg, Anna"), (2, "Åberg, Bo")]


@pytest.mark.parametrize(
    "student, row",
    [
        ("Anna Berg", 0),
        ("anna berg", 0),
        ("Berg, Anna", 0),
        ("berganna", 0),
        ("ANNA_BERG", 0),
        ("anna@uni.example", 0),
        ("17", 0),
        ("Bo Åberg", 1),
        ("bo aberg", 1),
        ("Bo A\u030aberg", 1),
        ("bo.aberg", 1),
        ("Nobody", None),
        ("", None),
        ("Anna", 0),
        ("Ann", None),
        ("wangli", 2),
    ],
)
def test_match_in_a_plain_list(tmp_path, student, row):
    roster = read_roster(tmp_path, SIMPLE)
    assert roster.match(who(student)) == row
    assert roster.match({"student": student, "ids": {}}) == row  # a result too


def test_two_that_fit_are_no_match(tmp_path):
    roster = read_roster(tmp_path, "name,email\nLi Wang,a@x\nWang Li,b@x\nAnna Berg,c@x\nAnna Berg,d@x\n")
    assert roster.match(who("Li Wang")) is None and roster.match(who("Anna Berg")) is None
    assert roster.match(who("d@x")) == 3


def test_numbers_of_the_export_count_first(tmp_path):
    canvas, moodle = read_roster(tmp_path, CANVAS), read_roster(tmp_path, MOODLE)
    assert canvas.match(who("åbergbo", canvas_id="1002")) == 2 and canvas.rows[2][0] == "Åberg, Bo"
    assert canvas.match(who("berganna")) == 1 and canvas.match(who("aberg")) == 1  # the login
    assert canvas.match(who("berganna", canvas_id="9999")) is None  # another person with the same name
    assert moodle.match(who("Participant 502", moodle_id="502")) == 1
    assert moodle.match(who("Anna Berg", moodle_id="999")) is None
    assert canvas.match(who("Points Possible")) is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_delimiters_and_byte_order_mark(tmp_path, delimiter, bom):
    text = f"E-Mail{delimiter}Last Name{delimiter}First Name\na@x{delimiter}Berg{delimiter}Anna\n"
    roster = read_roster(tmp_path, bom + text.encode())
    assert roster.match(who("Anna Berg")) == 0
    roster.export([graded("Anna Berg", 7.5)], tmp_path / "out.csv", EXERCISE, 10)
    assert (tmp_path / "out.csv").read_bytes().startswith(bom)
    assert read_csv(tmp_path / "out.csv", delimiter) == [
        ["E-Mail", "Last Name", "First Name", "points"],
        ["a@x", "Berg", "Anna", "7.5"],
    ]


def test_export_to_a_plain_list(tmp_path):
    roster = read_roster(tmp_path, SIMPLE)
    notes = roster.export(
        [graded("Anna Berg", 7.0), graded("Mallory", 10.0), graded("Li Wang", 0, status="missing")],
        tmp_path / "out.csv",
        EXERCISE,
        10,
    )
    assert [row[-1] for row in read_csv(tmp_path / "out.csv")] == ["points", "7", "", ""]
    assert "Mallory" in only(notes)


def test_export_to_canvas(tmp_path):
    roster = read_roster(tmp_path, CANVAS)
    anna = [graded("berganna", 7.25, canvas_id="1001")]
    with pytest.raises(ValueError, match="--column.*Exercise 0"):  # a column under another title is asked for
        roster.export(anna, tmp_path / "out.csv", EXERCISE, 10)
    assert roster.export(anna, tmp_path / "out.csv", EXERCISE, 10, "Exercise 0 (77)") == []
    before, rows = read_csv(roster.path), read_csv(tmp_path / "out.csv")
    place = before[0].index("Exercise 0 (77)")
    assert rows[2][place] == "7.25"
    before[2][place] = "7.25"
    assert rows == before  # all else is still there


def test_who_is_excused_stays_so(tmp_path):
    text = CANVAS.replace("Exercise 0 (77)", EXERCISE)
    roster = read_roster(tmp_path, text)
    place = roster.header.index(EXERCISE)
    roster.rows[1][place] = "EX"
    notes = roster.export([graded("berganna", 7.0, canvas_id="1001")], tmp_path / "out.csv", EXERCISE, 10)
    assert read_csv(tmp_path / "out.csv")[2][place] == "EX" and "excused" in only(notes)


def test_a_teams_number_gives_no_member_the_grade(tmp_path):
    roster = read_roster(tmp_path, MOODLE)
    team = graded("Team Alpha", 9.0, moodle_id="502")
    assert roster.match(team) is None and "Bo Åberg" in roster.conflict(team)
    notes = roster.export([team], tmp_path / "out.csv", EXERCISE, 10)
    assert [row[4] for row in read_csv(tmp_path / "out.csv")[1:]] == ["", ""] and "Team Alpha" in only(notes)
    for same in ("Bo Åberg", "bo aberg", "Åberg, Bo", "Bo K. Åberg", "Participant 502"):
        assert roster.match(who(same, moodle_id="502")) == 1 and not roster.conflict(who(same, moodle_id="502")), same


def test_two_of_one_name_are_not_missing(tmp_path):
    roster = read_roster(tmp_path, "id,name\n1,Kim Lee\n2,Kim Lee\n3,Jo Park\n")
    assert roster.match(who("Kim Lee")) is None and roster.fitting(who("Kim Lee")) == {0, 1}


@pytest.mark.parametrize("kind, what", [("link", "a link"), ("text", "a text")])
@pytest.mark.parametrize("number", ["", "5001_"])
def test_a_link_or_a_text_in_canvas_is_a_submission(export, kind, what, number):
    found = by_name(
        collect(export([f"doejane_LATE_1001_{number}{kind}.html", f"roejo_1002_5002_{EXERCISE}.ipynb"]), EXERCISE)
    )
    assert f"{what} was handed in" in found["doejane"].problem and found["doejane"].ids["canvas_id"] == "1001"
    assert found["roejo"].data == NOTEBOOK


def test_a_group_of_moodle_is_flagged(export):
    names = [
        f"Default group_assignsubmission_file/{EXERCISE}.ipynb",
        f"Anna B_11_assignsubmission_file/{EXERCISE}.ipynb",
    ]
    found = by_name(collect(export(names), EXERCISE))
    assert "by hand" in only(found["Default group"].notes) and not found["Anna B"].notes


def test_export_to_a_canvas_column_with_its_number_and_its_maximum(tmp_path):
    roster = read_roster(tmp_path, CANVAS.replace("Exercise 0 (77)", f"{EXERCISE} (77)").replace("10.00", "100.00"))
    notes = roster.export([graded("berganna", 7.0, canvas_id="1001")], tmp_path / "out.csv", EXERCISE, 10)
    assert [row[5] for row in read_csv(tmp_path / "out.csv")][2:] == ["70", "", ""]
    assert "scaled from 10 to 100" in only(notes)
    twice = read_roster(tmp_path, CANVAS.replace("Section", f"Section,{EXERCISE} (1)").replace("Exercise 0", EXERCISE))
    with pytest.raises(ValueError, match=f"2 columns are called '{EXERCISE}'"):
        twice.export([], tmp_path / "out.csv", EXERCISE, 10)


def test_export_to_moodle(tmp_path):
    roster = read_roster(tmp_path, MOODLE)
    assert roster.export([graded("Anna Berg", 8.5, moodle_id="501")], tmp_path / "out.csv", EXERCISE, 10) == []
    header, first, second = read_csv(tmp_path / "out.csv")
    assert first[4] == "8.5" and second[4] == "" and first[7] == "-"
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    comma = read_roster(tmp_path, MOODLE.replace(",10.00,", ',"20,00",'))
    assert comma.export([graded("Anna Berg", 8.5, moodle_id="501")], tmp_path / "out.csv", EXERCISE, 10)
    assert read_csv(tmp_path / "out.csv")[1][4] == "17"
    comma.export([graded("Anna Berg", 8.25, moodle_id="501")], tmp_path / "out.csv", EXERCISE, 10)
    assert read_csv(tmp_path / "out.csv")[1][4] == "16,5"


def test_two_submissions_for_one_row_are_left_to_a_person(tmp_path):
    notes = read_roster(tmp_path, SIMPLE).export(
        [graded("Anna Berg", 7.0), graded("17", 9.0)], tmp_path / "out.csv", EXERCISE, 10
    )
    assert "2 submissions fit this row" in only(notes) and read_csv(tmp_path / "out.csv")[1][-1] == ""


@pytest.mark.parametrize(
    "text, says",
    [
        (b"", "is empty.*id,name,email"),
        (b"a,b\n1,2\n", "no column is called id, name or email.*a, b.*name them"),
        ("name\nÅsa\n".encode("latin-1"), "line 2: this is not UTF-8.*save"),
        ("name\nÅsa\n".encode("utf-16"), "save"),
        (b"PK\x03\x04", "workbook.*save it as"),
        (b"name,email\na,b,c\n", "row 2: 3 cells.*2 columns.*quotes"),
        (b'name,email\n"a,b\n', "not a readable CSV.*export it again"),
        (b"name\n" + b"x" * 200_000, "not a readable CSV"),
        ("Identifier,Vollständiger Name,Status,Bewertung\nTeilnehmer 12,A,x,\n".encode(), "column “Grade”.*English"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, text, says):
    with pytest.raises(ValueError, match=rf"(?s)roster\.csv.*{says}"):
        read_roster(tmp_path, text)
    with pytest.raises(ValueError, match="cannot be read"):
        Roster.read(tmp_path / "absent.csv")


def test_cells_of_other_columns_keep_their_bytes(tmp_path):
    evil = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", " =1", "＝1", "\ufeff=1"]
    text = "name,email\n" + "".join(f'"{e}",a{i}@x\n' for i, e in enumerate(evil)) + "Jo,-\nKim,-5\n"
    read_roster(tmp_path, text).export([], tmp_path / "out.csv", EXERCISE, 10)
    rows = read_csv(tmp_path / "out.csv")[1:]
    assert [row[0] for row in rows] == [*evil, "Jo", "Kim"]  # a comment may begin with a dash
    assert [row[1] for row in rows[-2:]] == ["-", "-5"]


@quick
@given(st.text(max_size=30))
def test_safe_cell_changes_only_what_could_run(text):
    found = safe_cell(text)
    assert found in (text, f"'{text}")
    assert not re.match(r"\s*[=@]", found)
    if text[:1].isalpha():
        assert found == text


cells = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)


@quick
@given(st.lists(st.tuples(cells, cells), max_size=8), st.sampled_from(",;\t"))
def test_a_list_comes_back_as_it_was(tmp_path_factory, people, delimiter):
    folder = tmp_path_factory.mktemp("r")
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(["id", "name", "comment"])
    writer.writerows([str(i), *pair] for i, pair in enumerate(people))
    (folder / "roster.csv").write_bytes(buffer.getvalue().encode())
    roster = Roster.read(folder / "roster.csv")
    roster.export([graded(str(i), i) for i in range(len(people))], folder / "out.csv", EXERCISE, 10)
    rows = read_csv(folder / "out.csv", delimiter)
    assert rows[0] == ["id", "name", "comment", "points"]
    for i, (pair, row) in enumerate(zip(people, rows[1:], strict=True)):
        assert row[0] == str(i) and row[1:3] == list(pair)


# ------------------------------------------------------------------------------------------------------- like answers

STUB = 'def split(patients, share, seed):\n    """Split."""\n    raise NotImplementedError()\n'
COPY = '''def split(patients, share, seed):
    """Split."""
    rng = np.random.default_rng(seed)
    people = sorted(set(patients))
    rng.shuffle(people)
    count = int(len(people) * share)
    held = set(people[:count])
    train = [i for i, p in enumerate(patients) if p not in held]
    val = [i for i, p in enumerate(patients) if p in held]
    return np.array(train), np.array(val)
'''
RENAMED = '''
def split(patients, share, seed):
    """My own work, honestly."""
    # think hard
    generator = np.random.default_rng( seed )
    folks = sorted(set(patients))   # all of them
    generator.shuffle(folks)

    n = int(len(folks) * share)
    out = set(folks[:n])
    a = [k for k, who in enumerate(patients) if who not in out]
    b = [k for k, who in enumerate(patients) if who in out]
    return np.array(a), np.array(b)
'''
OTHER = """def split(patients, share, seed):
    order = pd.Series(patients).drop_duplicates().sample(frac=1, random_state=seed)
    while order.size > 0 and order.iloc[0] is None:
        order = order[1:]
    mask = pd.Series(patients).isin(order.head(round(order.size * share)))
    return mask[~mask].index.to_numpy(), mask[mask].index.to_numpy()
"""


def test_a_renamed_copy_is_found():
    found = near_identical({"a": {"t": COPY}, "b": {"t": OTHER}, "c": {"t": RENAMED}}, {"t": STUB})
    assert [(p.a, p.b, p.tasks) for p in found] == [("a", "c", ("t",))] and found[0].similarity == 1.0
    assert near_identical({"a": {"t": COPY}, "b": {"t": OTHER}}, {"t": STUB}) == []


def test_stubs_and_short_answers_do_not_count():
    assert near_identical({"a": {"t": STUB}, "b": {"t": STUB}}, {"t": STUB}) == []
    short = "def f(x):\n    return x.mean()\n"
    stub = {"t": "def f(x):\n    raise NotImplementedError()\n"}
    assert near_identical({"a": {"t": short}, "b": {"t": short}}, stub) == []
    assert near_identical({}, {}) == [] and near_identical({"a": {}, "b": {"t": ""}}, {"t": STUB}) == []


def test_what_the_whole_class_wrote_does_not_count():
    everybody = {f"s{i}": {"t": COPY} for i in range(8)}
    assert near_identical(everybody, {"t": STUB}) == []
    pair = {"x": {"t": COPY + OTHER}, "y": {"t": RENAMED + OTHER}}  # beyond what all wrote, these two share the rest
    assert [(p.a, p.b) for p in near_identical(everybody | pair, {"t": STUB})] == [("x", "y")]
    assert len(near_identical({f"s{i}": {"t": COPY} for i in range(5)}, {"t": STUB})) == 10  # too few to know the usual


def test_the_most_similar_first_and_tasks_together():
    less = COPY.replace("    return", "    print(len(train), len(val))\n    return")
    found = near_identical(
        {"a": {"t": COPY, "u": OTHER}, "b": {"t": RENAMED, "u": OTHER}, "c": {"t": less}}, {"t": STUB}, threshold=0.6
    )
    assert [(p.a, p.b) for p in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found[0].tasks == ("t", "u") and found[0].similarity == 1.0 > found[1].similarity > 0.6
    with pytest.raises(ValueError, match="threshold"):
        near_identical({}, {}, threshold=0)


@quick
@given(st.text(max_size=400))
def test_tokens_never_raise(text):
    tokens(text)
    shingles(text)


@pytest.mark.parametrize("part", ['"""', "'''\\", '"\\', "x", "\\\n", "#", "9.", "\x00\ud800", "\n \t", "'", "é"])
@pytest.mark.timeout(60)
def test_garbage_is_read_in_linear_time(part):
    tokens(part * (200_000 // len(part)))


@pytest.mark.timeout(200)
def test_two_thousand_submissions_are_not_compared_one_by_one():
    rng = random.Random(0)

    def answer():
        lines = [
            f"    {rng.choice(string.ascii_lowercase)} = np.{rng.choice(['mean', 'std', 'sort', 'sum', 'abs'])}"
            f"(x[{rng.randrange(9)}] {rng.choice('+-*/')} {rng.randrange(30)}) if k > {rng.randrange(9)} else None"
            for _ in range(15)
        ]
        return "def f(x):\n" + "\n".join(lines)

    answers = {f"s{i:04d}": {task: answer() for task in "ab"} for i in range(2000)}
    answers["s0007"]["a"] = answers["s1234"]["a"].replace("x[", "data[")
    found = near_identical(answers, {"a": "", "b": ""})
    assert [(p.a, p.b, p.tasks) for p in found] == [("s0007", "s1234", ("a",))]
