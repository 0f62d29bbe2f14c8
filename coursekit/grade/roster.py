"""The list of the course: whose submission is whose, and the grades in the form that Canvas or Moodle import.

Three kinds of CSV files are read, told apart by their columns: a plain list (id, name, email), a Canvas gradebook
export, and a Moodle grading worksheet. `export` writes the same file back with one column filled.
"""

from __future__ import annotations

import collections
import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cxrlib.files import atomic_path

from .submissions import fold

MAX_BYTES = 20_000_000
_FORMULA = re.compile(r"[\s\x00-\x1f\ufeff]*[=+\-@＝＋－＠]")  # the wide ones count too
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*%?\Z|-\Z")

# What the files call their columns, in small letters without signs; the first title that is there counts.
_NAME = ("name", "full name", "fullname", "student", "student name")
_EMAIL = ("email", "e mail", "email address", "e mail address", "mail")
_TITLES = {
    "canvas": {
        "name": ("student",), "first": ("firstname",), "last": ("lastname",), "id": ("id",), "sis": ("sis user id",),
        "login": ("sis login id",), "email": ("email",),
    },
    "moodle": {
        "id": ("identifier", "id"), "name": _NAME, "email": _EMAIL, "sis": ("id number",), "login": ("username",),
        "grade": ("grade",), "maximum": ("maximum grade",),
    },
    "simple": {
        "id": ("id", "student id", "studentid", "student number", "matriculation number", "matriculation", "number"),
        "name": _NAME, "first": ("first name", "firstname", "given name", "forename"),
        "last": ("last name", "lastname", "surname", "family name"), "email": _EMAIL,
        "login": ("login", "username", "user name", "user", "user id"),
    },
}  # fmt: skip
_TEST_STUDENT = {"student test", "test student"}  # of Canvas: nobody


def safe_cell(text: str) -> str:
    """`text` for a cell of a CSV file. A spreadsheet runs what starts with =, +, - or @; an apostrophe stops that."""
    text = str(text)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text


@dataclass
class Roster:
    """The rows of a course list.

    kind: "simple", "canvas" or "moodle"
    rows: the cells of each row below the header, as they are in the file
    """

    path: Path
    kind: str
    header: list[str]
    rows: list[list[str]]
    delimiter: str = ","
    bom: bool = False

    def __post_init__(self) -> None:
        self._columns = _columns(self.kind, self.header)
        self._people = [i for i, row in enumerate(self.rows) if self._is_student(row)]
        self._by_id, self._by_mail, self._by_name = (collections.defaultdict(set) for _ in range(3))
        for i in self._people:
            for column in ("id", "sis", "login", "email"):
                self._by_id[self._cell(i, column).casefold()].add(i)
            self._by_mail[(self._cell(i, "email") or self._cell(i, "login")).casefold().partition("@")[0]].add(i)
            for name in _turned(self._name(i)):
                self._by_name[name].add(i)
        for index in (self._by_id, self._by_mail, self._by_name):
            index.pop("", None)  # what is not known is nobody's

    @classmethod
    def read(cls, path: str | Path) -> Roster:
        """Read a course list. Raises ValueError that names the file, the column, and what to do."""
        path = Path(path)
        try:
            with path.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror}): give the CSV file of the course") from error
        if len(data) > MAX_BYTES:
            raise ValueError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB: give the CSV file of the course")
        if data[:4] == b"PK\x03\x04":
            raise ValueError(f"{path} is a workbook (.xlsx or .ods), not a CSV file: save it as “CSV UTF-8”")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise ValueError(f"{path}, line {line}: this is not UTF-8 text: save the file as “CSV UTF-8”") from error
        if "\x00" in text:
            raise ValueError(f"{path} holds zero bytes, so it is no CSV file in UTF-8: save it as “CSV UTF-8”")
        text = re.sub(r"\Asep=(.)\r?\n", "", text)
        delimiter = _delimiter(text)
        try:
            lines = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row]
        except csv.Error as error:
            raise ValueError(f"{path} is not a readable CSV file ({error}): export it again") from error
        if not lines:
            raise ValueError(f"{path} is empty: the first line names the columns, such as id,name,email")
        header, rows = lines[0], lines[1:]
        kind = _kind(path, header, rows)
        for i, row in enumerate(rows):
            if len(row) > len(header) and any(cell.strip() for cell in row[len(header) :]):
                given = f"{len(row)} cells, but the header has {len(header)} columns"
                raise ValueError(f"{path}, row {i + 2}: {given}: put quotes around cells that hold a {delimiter!r}")
            row[:] = [*row[: len(header)], *[""] * (len(header) - len(row))]
        return cls(path, kind, header, rows, delimiter, data.startswith(b"\xef\xbb\xbf"))

    def students(self) -> list[tuple[int, str]]:
        """Return the students: their row and their name (the e-mail address or the id where there is no name)."""
        named = ((i, self._name(i) or self._cell(i, "email") or self._cell(i, "id")) for i in self._people)
        return [(i, name or f"row {i + 2}") for i, name in named]

    def match(self, submission: object) -> int | None:
        """Return the row of a submission (or of a result), or None where there is none or more than one that fits.

        A number from the export (Canvas, Moodle) counts first, and the name must not be another person's: a team's
        submission has the number of one member. Who has another number is another person, also with the same name. Then
        an id, a login or an e-mail address as the name; then the name, without accents and in any order of its parts.
        """
        rows = self.fitting(submission)
        return rows.pop() if len(rows) == 1 and not self.conflict(submission) else None

    def conflict(self, submission: object) -> str:
        """Tell what is wrong where the export's number is one person's and its name another's; else ""."""
        ids, student = _who(submission)
        rows = self._numbered(ids)
        if len(rows) != 1 or _alike(student, self._name(rows[0])):
            return ""
        numbered = f"the number in the export is that of {self._name(rows[0])}"
        return f"{numbered}, but the name is {student}: a team? Enter the grade by hand"

    def fitting(self, submission: object) -> set[int]:
        """All rows that a submission can belong to; `match` wants one."""
        ids, student = _who(submission)
        if rows := self._numbered(ids):
            return set(rows)
        exported = ids.get(f"{self.kind}_id")
        allowed = {i for i in self._people if not exported or not self._number(i)}
        who = student.strip().casefold()
        for rows in (
            self._by_id.get(who, set()),
            set().union(*(self._by_name.get(n, set()) for n in _turned(student))),
            self._by_mail.get(who, set()),
        ):
            if rows & allowed:
                return rows & allowed
        return set()

    def _numbered(self, ids: Mapping[str, str]) -> list[int]:
        """Return the rows that have the number from the export."""
        number = ids.get(f"{self.kind}_id")
        return [i for i in self._people if number and self._number(i) == number]

    def column(self, exercise: str, title: str = "") -> int | None:
        """Return the column for the points: `title`, or the exercise's (Canvas), Grade (Moodle), points (a plain list).

        None is a plain list without such a column: it gets one. Raises ValueError for a column that is not there.
        """
        if title or self.kind == "canvas":
            wanted = title or exercise
            titles = [re.sub(r"\s*\(\d+\)\s*\Z", "", t).strip().casefold() for t in self.header]  # "Name (12345)"
            exact = [i for i, t in enumerate(self.header) if t.strip() == wanted.strip()]
            found = exact or [i for i, t in enumerate(titles) if t == wanted.strip().casefold()]
            if len(found) != 1:
                known = ", ".join(t for t in self.header[4:] if t)[:300] or "none"
                raise ValueError(
                    f"{self.path}: {len(found) or 'no'} columns are called {wanted!r}: name the one for the points "
                    f"with --column (the columns are: {known})"
                )
            return found[0]
        if self.kind == "moodle":
            return self._columns["grade"]
        return next((i for i, t in enumerate(self.header) if _plain(t) == "points"), None)

    def export(
        self, results: list[dict], path: str | Path, exercise: str, max_points: float, column: str = ""
    ) -> list[str]:
        """Write the list to `path` with the points of `results` filled in; returns what a person should know.

        Where the file says another maximum than `max_points`, the points are scaled to it. Students without a
        submission keep what is there, and so does who is excused (EX). Other cells stay as they are.
        """
        place, notes = self.column(exercise, column), []
        more = [] if place is not None else [""]
        header, rows = [*self.header, *(["points"] if more else [])], [[*row, *more] for row in self.rows]
        place = len(self.header) if place is None else place
        comma = self._decimal_comma()
        scaled: set[float] = set()
        for i, result in self._graded(results, notes):
            if rows[i][place].strip().upper() == "EX":
                notes.append(f"{self._name(i)} is excused (EX) in {self.path.name}, and stays so")
                continue
            points, best = float(result["points"]), self._maximum(i, place)
            if best is not None and max_points and abs(best - max_points) > 1e-9:
                points *= best / max_points
                scaled.add(best)
            text = shown_points(points)
            rows[i][place] = text.replace(".", ",") if comma else text
        for best in sorted(scaled):
            change = f"from {shown_points(max_points)} to {shown_points(best)}, the maximum that the file gives"
            notes.append(f"{self.path.name}: the points were scaled {change}")
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
            stream.write("\ufeff" if self.bom else "")
            writer = csv.writer(stream, delimiter=self.delimiter, lineterminator="\r\n")
            writer.writerow(header)
            writer.writerows(rows)
        return notes

    def _graded(self, results: list[dict], notes: list[str]) -> Iterator[tuple[int, dict]]:
        found: dict[int, list[dict]] = {}
        lost = []
        for result in results:
            if result.get("status") in ("missing", "not graded"):
                continue
            row = self.match(result)
            if row is None:
                lost.append(self.conflict(result) or result.get("student", ""))
            else:
                found.setdefault(row, []).append(result)
        if lost:
            listed = ", ".join(sorted(lost)[:10]) + (" …" if len(lost) > 10 else "")
            where = f"no row of {self.path.name}, or more than one; enter them by hand"
            notes.append(f"{len(lost)} submissions fit {where}: {listed}")
        for row, (result, *others) in sorted(found.items()):
            if not others:
                yield row, result
            else:
                fit = f"{1 + len(others)} submissions fit this row of {self.path.name}"
                notes.append(f"{self._name(row)}: {fit}, so it was left as it is; enter the grade by hand")

    def _cell(self, row: int, column: str) -> str:
        place = self._columns.get(column)
        return "" if place is None else self.rows[row][place].strip()

    def _number(self, row: int) -> str:
        """Return the number that the export knows this person by."""
        text = self._cell(row, "id")
        return text if self.kind != "moodle" else re.search(r"\d*\Z", text)[0]

    def _name(self, row: int) -> str:
        return self._cell(row, "name") or f"{self._cell(row, 'first')} {self._cell(row, 'last')}".strip()

    def _is_points_possible(self, row: list[str]) -> bool:
        return self.kind == "canvas" and "points possible" in row[0].casefold()

    def _is_student(self, row: list[str]) -> bool:
        if not any(cell.strip() for cell in row):
            return False
        if self.kind != "canvas":
            return True
        known = {c: row[self._columns[c]] for c in ("name", "first", "last", "id") if c in self._columns}
        if self._is_points_possible(row) or _plain(known.get("name", "")).replace(",", "") in _TEST_STUDENT:
            return False
        return any(cell.strip() for cell in known.values())

    def _maximum(self, row: int, column: int) -> float | None:
        if self.kind == "moodle":
            return _float(self._cell(row, "maximum"))
        if self.kind == "canvas" and column < len(self.header):
            return next((_float(r[column]) for r in self.rows if self._is_points_possible(r)), None)
        return None

    def _decimal_comma(self) -> bool:
        places = [self._columns[c] for c in ("grade", "maximum") if c in self._columns]
        return any(re.fullmatch(r"\d+,\d+", row[i].strip()) for row in self.rows for i in places)


def _kind(path: Path, header: list[str], rows: list[list[str]]) -> str:
    titles = [_plain(title) for title in header]
    there = set(titles)
    if there & {"sis login id", "sis user id", "section"} and "id" in there and there & {"student", "lastname"}:
        return "canvas"
    if titles[0] == "identifier" or (
        titles[0] == "id" and "status" in titles and any(re.fullmatch(r"\D+\d+", row[0].strip()) for row in rows[:3])
    ):
        if "grade" not in titles:
            remedy = "set Moodle's language to English, then download the grading worksheet again"
            raise ValueError(f"{path}: this Moodle worksheet has no column “Grade”: {remedy}")
        return "moodle"
    columns = _columns("simple", header)
    if not {"id", "name", "email", "login", "last"} & set(columns):
        given = f"the columns are: {', '.join(header)[:200]}"
        raise ValueError(f"{path}: no column is called id, name or email ({given}): name them in the first line")
    return "simple"


def _columns(kind: str, header: list[str]) -> dict[str, int]:
    titles = [_plain(title) for title in header]
    wanted = {column: [name for name in names if name in titles] for column, names in _TITLES[kind].items()}
    return {column: titles.index(names[0]) for column, names in wanted.items() if names}


def _plain(title: str) -> str:
    return re.sub(r"[\s_\-.]+", " ", title.strip().casefold()).strip()


def _turned(name: str) -> set[str]:
    """Return a name without accents, spaces and signs, with its parts in every turn: Groß, Åsa -> grossasa, asagross.

    Canvas writes the last name first and without a space, so the parts of one side may be glued together.
    """
    if name.count(",") == 1:
        last, first = name.split(",")
        name = f"{first} {last}"
    parts = [p for p in re.split(r"[^\w]+|_", fold(name)) if p][:12]
    return {"".join(parts[i:] + parts[:i]) for i in range(len(parts))}


def _who(submission: object) -> tuple[Mapping[str, str], str]:
    """Return the ids and the name of a submission, or of a result."""
    if isinstance(submission, Mapping):
        return submission.get("ids", {}), submission.get("student", "")
    return submission.ids, submission.student


def _alike(handed_in: str, listed: str) -> bool:
    """Whether two names can be the same person's: all parts of one are in the other."""
    if re.match(r"(?:participant|anonymous)\b", handed_in.casefold()):  # anonymous marking
        return True
    if not fold(handed_in) or not fold(listed) or _turned(handed_in) & _turned(listed):
        return True
    texts = [re.sub(r"[\W_]+", "", fold(name)) for name in (handed_in, listed)]  # Canvas glues the parts together
    parts = [[p for p in re.split(r"[\W_]+", fold(name)) if len(p) > 1] for name in (handed_in, listed)]
    return any(part and all(p in text for p in part) for part, text in zip(parts, reversed(texts), strict=True))


def _delimiter(text: str) -> str:
    first = re.sub(r'"[^"]*"', "", text.split("\n", 1)[0])
    return max(",;\t", key=first.count)


def _float(text: str) -> float | None:
    try:
        found = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return found if 0 < found < 1e6 else None


def shown_points(points: float) -> str:
    """Write points with at most two decimals."""
    return f"{float(points):.2f}".rstrip("0").rstrip(".")
