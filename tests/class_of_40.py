"""Make a class of 40 as Moodle exports it: a zip, the grading worksheet, and the points that each of them earns.

python tests/class_of_40.py FOLDER
"""

from __future__ import annotations

import csv
import json
import sys
import zipfile
from pathlib import Path

from coursekit.grade import load_exercise

ROOT = Path(__file__).resolve().parents[1]
BOMB = """
import threading, time
threading.stack_size(32768)
while True:
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
"""
FIRST = ("Ada", "Bo", "Cem", "Dina", "Eva", "Finn", "Gül", "Hô")
LAST = ("Åberg", "Brown", "Chen", "Dias", "Ek")


def make(folder: Path) -> dict[str, float | None]:
    """Write export.zip and worksheet.csv; returns name -> points, None for a row that nobody may fill."""
    exercise = load_exercise("03", ROOT)
    right, tasks = dict(exercise.reference), exercise.tasks
    points = {task: sum(c.points for c in exercise.checks if c.task == task) for task in tasks}
    people = [f"{first} {last}" for last in LAST for first in FIRST]
    earned: dict[str, float | None] = {}
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "export.zip", "w") as archive:
        for i, name in enumerate(people):
            done = tasks[: i % (len(tasks) + 1)]  # the first tasks are answered
            notebook = json.loads(exercise.with_answers({task: right[task] for task in done}))
            earned[name], who = sum(points[task] for task in done), name
            own = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": ""}
            if i in (4, 11):  # a thread bomb when the cells run, beside right answers
                notebook["cells"].append({**own, "source": BOMB})
            elif i == 16:  # and one when it is asked
                bomb = BOMB.strip().replace("\n", "\n    ")
                source = f"def confusion_matrix(labels, predicted, classes):\n    {bomb}"
                notebook = json.loads(exercise.with_answers({**right, "confusion_matrix": source}))
                earned[name] = exercise.max_points - points["confusion_matrix"]
            elif i == 23:  # a team under the number of one member
                who, earned[name] = "Team Alpha", None
            elif i == 30:
                earned[name] = None  # nothing was handed in
                continue
            archive.writestr(f"{who}_{7000 + i}_assignsubmission_file/{exercise.name}.ipynb", json.dumps(notebook))
    with open(folder / "worksheet.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        titles = ("Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade", "Feedback comments")
        writer.writerow(titles)
        for i, name in enumerate(people):
            mail = f"s{i}@uni.example"
            writer.writerow(
                [f"Participant {7000 + i}", name, mail, "Submitted", "", f"{exercise.max_points:.2f}", "- ok"]
            )
    return earned


if __name__ == "__main__":
    print(f"{len(make(Path(sys.argv[1])))} students in {sys.argv[1]}")
