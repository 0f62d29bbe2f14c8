"""The recorded runs: complete, and every number in README and book comes from them."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from coursekit import reproduce
from coursekit import results as tool
from coursekit.reproduce import recipes
from coursekit.tables import crop, foreign, lungs, near, scaling, sources, speed, story, took
from coursekit.tables import records as summary
from cxrlib.recipe import Recipe
from cxrlib.recipe import recipes as named

ROOT = Path(__file__).resolve().parents[1]
PARTS = tool.PARTS

RECORDS = tool.load(ROOT / "results")
TRAINING = [r for r in RECORDS if summary.is_training(r)]
REPRODUCED = [r for r in RECORDS if summary.is_reproduction(r)]


def test_readme_and_results_page_are_up_to_date():
    for path, text in tool.outputs().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run `make generated`"


def test_a_changed_record_changes_the_tables():
    changed = json.loads(json.dumps(TRAINING))
    changed[0]["test"]["values"]["recall[pneumonia]"] = 0.123
    assert "0.123" in tool.training_table(changed) and "0.123" not in tool.training_table(TRAINING)


def test_seeds_of_one_recipe_stand_together():
    one = next(runs[0] for runs in summary.by_recipe(TRAINING) if len(runs) == 1)
    more = []
    for seed, (value, low, high) in enumerate([(0.91, 0.88, 0.93), (0.95, 0.92, 0.97)], start=1):
        run = json.loads(json.dumps(one))
        run["training"]["recipe"]["crop"] = None
        run["training"]["recipe"]["seed"], run["file"] = seed, f"{summary.recipe_of(one)}-chest_xray-seed{seed}"
        run["test"]["values"]["auc"], run["test"]["intervals"]["auc"] = value, [low, high]
        more.append(run)
    text = tool.training_table(more[::-1])
    assert len(text.splitlines()) == 3
    assert f"| {summary.recipe_of(one)}, 1, 2 |" in text and "| 0.930 (0.880–0.970) [0.910–0.950] |" in text


def test_cpu_time_over_threads_is_the_training_time_where_it_was_recorded():
    record = {
        "training": {
            "epochs": [{"seconds": 600, "cpu_seconds": 240}] * 3,
            "head": [],
            "hardware": {"device": "cpu", "threads": 2},
        }
    }
    assert summary.training_minutes(record) == 6
    record["training"]["epochs"][0] = {"seconds": 6000, "cpu_seconds": 240}
    record["training"]["hardware"]["device"] = "a GPU"
    assert summary.training_minutes(record) == 30


def test_a_rung_took_as_long_as_its_runs():
    rungs = took.by_rung(summary.of_kind(RECORDS, "rungs")["rows"])
    for runs in summary.by_recipe(RECORDS):
        minutes = [row["cpu_seconds"] / 60 for row in rungs.get(summary.recipe_of(runs[0]), ())]
        assert not minutes or sorted(minutes) == pytest.approx(sorted(map(summary.training_minutes, runs)))


def test_long_lines_of_prose_are_broken_and_nothing_else():
    table, code = f"| {'word ' * 40}|", f"```bash\n{'word ' * 40}\n```"
    prose, items = "a (0.5\u00a0to\u00a00.6) " * 20, f"- one\n- {'two ' * 60}\n  more"
    text = f"# {'word ' * 40}\n\n{table}\n\n{prose}\n\n{items}\n::::\n\n{code}"
    made = summary.wrapped(text)
    assert made.split() == text.split() and table in made and code in made and summary.wrapped(made) == made
    assert all(len(line) <= 120 or line.startswith(("#", "|", "word")) for line in made.splitlines())
    assert "\n- one\n- two" in made and "\n  two" in made and "\n::::\n\n```" in made


def test_the_two_models_that_everyone_compares_with_are_recorded():
    models = {r["training"]["recipe"]["model"]: r for r in TRAINING}
    assert {"cnn5", "resnet18"} <= set(models)
    assert models["resnet18"]["training"]["recipe"]["augment"], "ResNet-18 is recorded with augmentation"


@pytest.mark.parametrize("record", TRAINING, ids=lambda r: r["file"])
def test_a_record_says_what_is_needed_to_repeat_it(record):
    assert record["command"].startswith("cxr train")
    assert {"recipe", "epochs", "seconds", "images_per_second", "hardware"} <= set(record["training"])
    assert {"torch", "cxrlib", "python"} <= set(record["versions"])
    splits = record["data"]["splits"]
    assert splits["test"]["images"] == record["test"]["images"] == sum(map(sum, record["test"]["confusion"]))
    assert record["data"]["by"] == "patient"
    for report in (record["test"], record["validation"]):
        for name, (low, high) in report["intervals"].items():
            assert low <= report["values"][name] <= high, name


@pytest.mark.parametrize("record", TRAINING, ids=lambda r: r["file"])
def test_a_record_is_of_the_recipe_that_its_file_is_named_for(record):
    own = {"seed": record["training"]["recipe"]["seed"], "about": ""}
    trained = Recipe.from_dict(record["training"]["recipe"])
    name = summary.recipe_of(record)
    assert trained.replace(**own) == named[name].replace(**own) and f"--recipe {name} " in record["command"]


@pytest.mark.parametrize("path", sorted((ROOT / "results").glob("*.json")), ids=lambda p: p.stem)
def test_a_record_holds_numbers_only(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\.jpe?g|\.png|person\d|IM-\d|base64|[\"\s=:](/[\w.-]+){2,}|[A-Z]:\\", text)
    assert path.stat().st_size < 200_000


# -- the source projects, run again -------------------------------------------------------------------------------


def made_up(row_id, seed=0, accuracy=0.81237, size=None):
    """A record of `cxr reproduce` with chosen numbers."""
    (row,) = reproduce.select(ids=[row_id])
    recipe = recipes[row.recipe].replace(seed=seed, **({"size": size} if size else {})).to_dict()
    report = json.loads(json.dumps(TRAINING[0]["test"]))
    for name in ("accuracy", "macro_f1", "auc"):
        report["values"][name] = accuracy
        report["intervals"][name] = [accuracy - 0.0321, accuracy + 0.0289]
    return {
        "file": f"reproduce-{row.id}-seed{seed}",
        "reproduction": {"row": row.id, "source": row.source, "experiment": row.experiment, "recipe": row.recipe},
        "data": {"source": row.data, "protocol": row.protocol, "by": row.by},
        "test": report,
        "validation": report,
        "training": {
            "recipe": recipe,
            "epochs": [{"seconds": 66.6}] * 7,
            "head": [{"seconds": 20}] * recipe["head_epochs"],
        },
        "versions": {"torch": "2"},
    }


def not_run(row_id, reason):
    record = made_up(row_id)
    return {
        "kind": "not run",
        "reason": reason,
        "recipe": record["training"]["recipe"],
        **{k: record[k] for k in ("file", "reproduction", "data")},
    }


EXAMPLES = [
    made_up("A-v6-lite0"),
    *(made_up("D-CPCFDD", seed, 0.93 + seed / 77) for seed in range(3)),
    not_run("A-v6", "the weights are not here"),
    made_up("E-cnn5-pneumonia3", size=77),
]


def test_reported_stands_beside_measured():
    text = PARTS["sources"](EXAMPLES)
    line = next(line for line in text.splitlines() if line.startswith("| A-v6-lite0"))
    assert "accuracy 0.907, AUC 0.957, 100 min" in line and "0.812 (0.780–0.841)" in line
    assert "3 for the head, then 7 epochs" in line and "8.8 min" in line
    line = next(line for line in text.splitlines() if line.startswith("| D-CPCFDD "))
    assert "3 seeds" in line and "0.943 (0.898–0.985) [0.930–0.956]" in line and "by image" in line
    assert "- E-cnn5-pneumonia3: The reported accuracy is below the measured interval; unlike the source: data" in text


def test_a_stand_in_is_named_once():
    records = [made_up("E-cnn5", seed) for seed in range(2)]
    for record in records:
        record["data"]["stand_in"] = "not Kaggle's own copy"
    text = PARTS["sources"]([*EXAMPLES[:-1], *records])
    assert text.count("The images are not Kaggle's own copy.") == 1
    assert text.index("### Source E") < text.index("The images are not Kaggle's")


def test_what_did_not_run_is_listed_with_its_command():
    text = PARTS["sources"](EXAMPLES)
    reason, _, after = text.partition("the weights are not here")[2].partition("`cxr reproduce --row A-v6`")
    assert "nothing is missing" in reason and after


@pytest.mark.parametrize("records", [[], EXAMPLES, REPRODUCED], ids=["none", "examples", "recorded"])
def test_the_page_has_every_row_of_the_plan(records):
    text = PARTS["sources"](records)
    for row in reproduce.PLAN:
        assert re.search(rf"\| {row.id}†? \|", text) or f"--row {row.id}`" in text
        assert row.experiment in text


def test_runs_of_the_source_projects_stay_out_of_the_other_tables():
    assert tool.training_table([*TRAINING, *EXAMPLES]) == tool.training_table(TRAINING)
    assert tool.readme_block([*RECORDS, *EXAMPLES]) == tool.readme_block(RECORDS)


def test_every_reproduction_belongs_to_the_plan_and_is_complete():
    for record in REPRODUCED:
        complete(record)


def complete(record):
    (row,) = reproduce.select(ids=[record["reproduction"]["row"]])
    assert record["reproduction"] == {
        "row": row.id,
        "source": row.source,
        "experiment": row.experiment,
        "recipe": row.recipe,
    }
    assert record["command"].startswith(f"cxr reproduce --row {row.id} ")
    assert (record["data"]["source"], record["data"]["protocol"], record["data"]["by"]) == (
        row.data,
        row.protocol,
        row.by,
    )
    if record.get("kind") == "not run":
        assert record["reason"] and "test" not in record
        return
    assert {"torch", "cxrlib", "python"} <= set(record["versions"]) and record["data"]["fingerprint"]
    assert {"recipe", "epochs", "seconds", "hardware"} <= set(record["training"])
    assert record["training"]["stopped"] in ("finished", "early", "diverged")
    for report in (record["test"], record["validation"]):
        assert report["images"] == sum(map(sum, report["confusion"])) and report["bootstrap"] >= 1000


@pytest.mark.parametrize(
    "text, says",
    [
        (b"{", "cannot be read as JSON"),
        (b"\xff{}", "not UTF-8"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b"[]", "not a complete record"),
        (b'{"training": {}, "test": 1}', "not a complete record"),
        (b'{"reproduction": {"row": "A-baseline"}, "training": {}, "test": {}}', "not a complete record"),
        (b'{"kind": "phantom transfer"}', "not a complete record"),
        (b'{"kind": "choices", "rows": 3}', "not a complete record"),
    ],
)
def test_a_damaged_record_is_named(tmp_path, text, says):
    (tmp_path / "one.json").write_bytes(text)
    with pytest.raises(ValueError, match=rf"one\.json .*{says}"):
        tool.load(tmp_path)


def test_the_page_of_benchmarks_says_what_was_measured_and_whether_the_bar_was_met(tmp_path):
    (tmp_path / "starting.json").write_text(
        json.dumps(
            {
                "rows": [
                    {"what": "cxr --help", "seconds": 0.75, "bar": 0.5},
                    {"what": "import", "seconds": 0.31, "bar": 1.0},
                ],
                "machine": {"device": "cpu", "threads": 3, "cpu_capability": "AVX2"},
            }
        )
    )
    measured = speed.read(tmp_path)
    text = speed.page(measured)
    assert "| `cxr --help` | 0.75 s | under 0.5 s | no |" in text
    assert "| import | 0.31 s | under 1 s | yes |" in text
    assert "cpu, 3 threads, AVX2" in text


def test_every_benchmark_that_is_recorded_has_its_lines():
    folder = ROOT / "benchmarks"
    recorded = speed.read(folder)
    assert set(recorded) == {path.stem for path in folder.glob("*.json")}
    assert all((folder / f"{n}.py").exists() or (ROOT / "tools" / f"{n}.py").exists() for n in recorded)
    assert all("| yes |" in speed.page({name: record}) for name, record in recorded.items())


def test_the_page_says_in_one_line_what_did_not_run():
    gone = "the ImageNet weights of resnet50 are not here and could not be downloaded"
    records = [not_run("A-v6", gone), not_run("A-v5", gone), made_up("A-v6-lite0")]
    text = sources.not_run(records)
    assert "not run: 2 for want of the ImageNet weights of resnet50, which cannot be had here." in text
    text = sources.not_run([*records, not_run("E-cnn5", "the data set lung4 is not here")])
    assert "not run: 1 for another reason and 2 for want" in text
    assert "not run: 1 for" in sources.not_run([*records, made_up("A-v6")])  # measured with another seed


def test_what_is_recorded_lacks_nothing_but_weights():
    told = sources.not_run(RECORDS)
    assert "for want of the ImageNet weights" in told and "another reason" not in told and "\n" not in told


# --- the calculation on paper

MACHINE = {"device": "cpu", "threads": 1, "cpu_capability": "AVX2"}
MEASURED = {
    "pipeline": {
        "machine": MACHINE,
        "cores": 2,
        "rows": [
            {"side": 1500, "images": 100, "first_look_seconds": 2.0},
            {"side": 224, "images": 100, "first_look_seconds": 1.0},
        ],
    },
    "processes": {
        "machine": MACHINE,
        "processes": 2,
        "rows": [{"model": "big", "ratio": 1.6}, {"model": "small", "ratio": 1.9}],
    },
    "large": {
        "machine": MACHINE,
        "images": 100_000,
        "size": 100,
        "gigabytes": 1.0,
        "limit_megabytes": 900,
        "ratio": 0.95,
        "under_limit": {"own_megabytes": 400.0, "feed_images_per_second": 1000.0},
    },
    "grading": {
        "machine": MACHINE,
        "cores": 2,
        "runs": [{"jobs": 1, "per_minute": 10.0}, {"jobs": 2, "per_minute": 16.0}],
    },
}
NETWORK = {"parameters": 10_000_000, "training": {"recipe": {"model": "resnet18"}}}


def test_the_paper_calculation_is_right():
    text = " ".join(scaling.page(MEASURED, NETWORK).split())
    assert "25 files per second and core" in text  # 100 files in 2 s on 2 cores
    assert "take 11 hours of one core, or 10 minutes of 64 cores" in text  # 40,000 s
    assert "At 100 px the pixels are 10 GB" in text
    assert "read 8,000 a second: an epoch cannot take less than 125 s" in text
    assert "With 2 processes on one machine each worked at 80% (big) or 95% (small) of its speed alone" in text
    assert "| 500 | 3,200 | 5.2 min | the GPUs |" in text and "| 2,000 | 8,000 | 2.1 min | feeding |" in text
    assert "70 MB a step around a ring of 8" in text  # 2 * 7/8 * 40 MB
    # two at a time are 1.6 times as fast: 1 / (s + (1 - s) / 2) = 1.6 for s = 1/4
    assert "25.0% of the work did not get faster" in text
    assert "all of it is shared, 16 minutes" in text and "(Amdahl's law), 262 minutes" in text


def test_no_calculation_without_its_measurements(monkeypatch):
    monkeypatch.setattr(speed, "read", lambda folder: {})
    assert "scaling.md" not in {path.name for path in tool.outputs()}


def test_the_lungs_on_the_page_are_those_of_the_record():
    record = next(r for r in RECORDS if r.get("kind") == "lungs")
    changed = json.loads(json.dumps(record))
    changed["runs"][0]["reporting"]["dice"]["mean"] = changed["runs"][0]["all"]["dice"]["mean"] = 0.1234
    assert "0.123 (" in PARTS["lungs"]([changed]) and "0.123 (" not in PARTS["lungs"]([record])
    assert "0.123 to" in lungs.line(changed)
    assert PARTS["lungs"](TRAINING) == "" and lungs.picture(TRAINING) is None


def test_chapter_11_gives_the_range_of_what_others_report():
    reported = [dice for _, dice, _ in lungs.ANCHORS.values() if dice]
    chapter = " ".join((ROOT / "chapters" / "11_where_are_the_lungs.md").read_text(encoding="utf-8").split())
    assert f"real masks gets {min(reported):.2f} to {max(reported):.2f}." in chapter


def test_the_worst_outlines_are_a_picture_without_an_image_in_it():
    record = next(r for r in RECORDS if r.get("kind") == "lungs")
    svg = ElementTree.fromstring(lungs.picture([record]))
    names = {element.tag.rpartition("}")[2] for element in svg.iter()}
    assert names <= {"svg", "style", "path", "g", "rect", "text"}
    assert len([e for e in svg.iter() if e.tag.endswith("}g")]) == len(record["worst"]) == 6


def test_the_part_about_cropping_says_what_its_record_says():
    def seed(number, low, high):
        score = {"whole": 0.97, "cut": 0.98, "difference": 0.01, "interval": [low, high]}
        places = {p: {name: score for name in crop.SCORES} for p in crop.PLACES}
        counts = {"images": {"validation": 22, "test": 80}, "not_cut": {"train": 3, "val": 0, "test": 7, "stress": 1}}
        return {"seed": number} | counts | places

    record = {"kind": "crop", "command": "made", "rows": [seed(0, 0.002, 0.02), seed(1, -0.01, 0.02)]}
    page = PARTS["crop"]([record, {"kind": "lungs"}])
    assert "0.970, 0.980; +0.010 (+0.002 to +0.020)" in page
    assert "Test: the AUC is higher with the cut in 1, not told apart in 1 of 2 seeds." in page
    assert "3, 0 and 7" in page
    record["rows"] = [seed(0, -0.02, -0.01)]
    assert "Test: the AUC is lower with the cut in 1 of 1 seeds." in PARTS["crop"]([record])


# -- where the maps look ------------------------------------------------------------------------------------------


def test_the_page_tells_which_copies_are_found():
    def half(strangers, wrong):
        found = {"of": 20, "fraction": 0.95, "interval": [0.751, 0.999]}
        pairs = {name: {"pairs": 0, "highest": []} for name in near.PAIRS}
        pairs["different patients"] = {"pairs": strangers, "highest": [0.921]}
        change = {"change": "mirrored", "all": found, "adults": found | {"of": 0}}
        return {
            "images": 500, "sources": {"adults": 500}, "changes": [change], "pairs": pairs,
            "other_patients_called_the_same": wrong,
        }  # fmt: skip

    record = {
        "kind": "near-duplicates", "same": 0.9, "size": 224, "command": "made", "machine": {"threads": 1},
        "speed": {"images": 15000, "cpu_seconds": 21.4}, "halves": {"choosing": half(1, 0), "reporting": half(0, 0)},
    }  # fmt: skip
    page = PARTS["near"]([record, {"kind": "lungs"}])
    assert "| mirrored | 95.0% of 20 (75.1%–99.9%) | – |" in page and "15,000 images of 224 pixels took 21 sec" in page
    assert "1 pair of two different patients by their names was called the same" in page and "0.921" in page
    assert "Of 20 copies, none were taken for another patient's." in page
    record["halves"] = {"choosing": half(0, 0), "reporting": half(0, 1)}
    page = PARTS["near"]([record])
    assert "No pairs of two different patients" in page and "Of 20 copies, 1 was taken" in page


def test_what_attention_changed_is_said_from_the_records():
    names = ["auc_same", "auc_removed", "auc_swapped", "removed", "flips", "energy_lesion", "energy_marker"]

    def network(seed, p, weight, **values):
        return {"seed": seed, "p": p, "weight": weight} | {n: [values.get(n, 0.5), 0.4, 0.6] for n in names}

    both = [network(s, 1.0, w, flips=0.25 if w else 0.75 + s / 100) for s in (0, 2) for w in (0.0, 0.3)]
    phantoms = {
        "kind": "attend phantoms", "command": "made", "recipe": {"model": "CP", "size": 64}, "weight": 0.3,
        "rows": both, "choosing": [network(9, 1.0, w) for w in (0.0, 0.3)],
        "pairs": {"train": 8, "choosing": 2, "test": 3},
    }  # fmt: skip
    page = PARTS["attend"]([phantoms])
    assert "flips 25% of the answers with the penalty and 76% without" in page
    assert "| 0.760 (0.400–0.600) [0.750–0.770] |" in page and "0.500 for 0, 0.500 for 0.3" in page

    def place(low, high):
        auc = {"whole": 0.9, "cut": 0.9 + (low + high) / 2, "difference": (low + high) / 2, "interval": [low, high]}
        energy = {"without": [0.3, 0.2, 0.4], "with": [0.8, 0.7, 0.9], "difference": [0.5, 0.4, 0.6], "uniform": 0.25}
        return {"auc": auc, "balanced_accuracy_at_own_threshold": auc, "energy": energy, "images": 7}

    rows = [{"seed": s, "validation": place(-0.01, 0.02), "test": place(-0.02 + s / 100, 0.02)} for s in (0, 3)]
    real = {
        "kind": "attend real", "command": "made", "recipe": {"size": 96, "epochs": 5}, "weight": 0.3, "rows": rows,
        "choosing": [{"weight": w, "validation": 0.98} for w in (0.0, 0.3)], "tolerated": 0.005, "without_lungs": 34,
    }  # fmt: skip
    page = PARTS["attend"]([real, phantoms])
    assert page.index("Phantoms") < page.index("Real X-rays") and page.count("## ") == 1
    assert (
        "Test: the maps lie more in the lungs in 2 of 2 seeds; the AUC is higher in 1, lower in 0, and not told" in page
    )
    assert "0.300, 0.800; +0.500 (+0.400 to +0.600)" in page and "in 34 images" in page
    assert PARTS["attend"]([{"kind": "lungs"}]) == ""


def energies(images=40, **values):
    """Rows of a region table: name=(energy, uniform); the intervals are 0.01 wide to each side."""
    rows = {}
    for name, (energy, uniform) in values.items():
        ends = {"energy_low": energy - 0.01, "energy_high": energy + 0.01}
        gain = {"gain": energy - uniform, "gain_low": energy - uniform - 0.01, "gain_high": energy - uniform + 0.01}
        rows[name.replace("_", " ")] = (
            {"energy": energy, "uniform": uniform, "ceiling": 0.8, "mean_map": 0.3, "images": images} | ends | gain
        )
    return rows


def maps_record(**changed):
    """A small record of benchmarks/maps.py."""
    parts = {
        "lungs": (0.4, 0.25),
        "between": (0.1, 0.2),
        "below": (0.1, 0.1),
        "above": (0.2, 0.2),
        "beside": (0.1, 0.15),
    }
    parts |= {"outside": (0.1, 0.1), "right_edge": (0.05, 0.1), "rib_edge": (0.2, 0.1), **changed}
    table = energies(**parts)
    change = {
        "one": 0.3,
        "two": 0.2,
        "difference": 0.1234,
        "low": 0.05,
        "high": 0.2,
        "images_one": 20,
        "images_two": 20,
    }
    maps = {
        "regions": table, "blank": 3, "nowhere": 2, "grid": [4, 4], "size": [128, 128], "layer": "layer3",
        "by_class": {name: table for name in ("normal", "pneumonia")},
        "right_minus_wrong": {
            name: dict.fromkeys(table, change | ({"images_two": 3} if name == "pneumonia" else {}))
            for name in ("all", "normal", "pneumonia")
        },
    }  # fmt: skip
    run = {
        "name": "baseline-seed0", "trained": "cxr train --seed 0", "recipe": {"model": "cnn5", "crop": None},
        "epochs": 8, "images": 40, "patients": 30,
        "classes": ["normal", "pneumonia"], "right": {"normal": [20, 40], "pneumonia": [30, 33]},
        "test": {"accuracy": 0.9, "auc": 0.95},
        "maps": dict.fromkeys(("grad-cam, predicted", "grad-cam, pneumonia", "layer-cam, predicted"), maps),
    }  # fmt: skip
    stage = {"name": "baseline-seed1", "trained": "cxr train --seed 1", "epochs": 1, "test": {"accuracy": 0.8}}
    pair = {"one": "baseline-seed0", "two": "baseline-seed1", "mean": 0.512, "interval": [0.48, 0.54]}
    return {
        "kind": "maps", "band": 0.04, "edge": 0.1, "fine": 8, "runs": [run], "stages": [stage], "command": "python x",
        "alike": [pair | {"other_images": [0.3, 0.4]}], "file": "maps",
    }  # fmt: skip


def test_the_part_about_maps_says_what_its_record_says():
    text = PARTS["maps"]([maps_record()])
    assert (
        "0.400 (0.390 to 0.410) [0.250]" in text
        and "40% of the energy lies in the lungs" in text
        and "has 30% there" in text
    )
    assert (
        "more than a uniform map: lungs; less: between, beside; as much, as far as one can tell: below, above, outside"
        in text
    )
    assert "| A: the map lies mostly on the heart | 0.100 [0.200]: less |" in text
    assert "| C: on the outer edge of the ribs | 0.200 [0.100]: more |" in text
    assert "normal: 20 right, 20 wrong | +0.123 (+0.050 to +0.200)" in text
    assert "more of the map lies in the lungs where the answer is right (normal)." in text
    assert "3 wrong |" not in text and "answer is right (pneumonia)" not in text, "too few to compare"
    assert "3 blank maps, 2 images in which no lungs were found" in text
    assert "| baseline-seed1 (accuracy 0.80) | 0.512 (0.480 to 0.540) | 0.300 and 0.400 |" in text


def test_the_marker_is_told_only_where_it_was_measured():
    without, measured = (PARTS["maps"]([maps_record(**more)]) for more in ({}, {"marker": (0.3, 0.04)}))
    assert "was not measured" in without and "| C: on the R marker | – |" in without
    assert "was not measured" not in measured and "| C: on the R marker | 0.300 [0.040]: more |" in measured


def test_other_energies_change_the_verdict():
    text = PARTS["maps"]([maps_record(between=(0.6, 0.2))])
    assert "| A: the map lies mostly on the heart | 0.600 [0.200]: more |" in text
    assert PARTS["maps"]([]) == ""


# -- with the lungs covered -----------------------------------------------------------------------------------------


def test_the_part_about_controls_says_what_its_record_says():
    def row(auc, change, seeds):
        ends = {
            "auc": auc,
            "auc_low": auc - 0.02,
            "auc_high": auc + 0.02,
            "auc_min": auc - seeds,
            "auc_max": auc + seeds,
        }
        limits = (change - 0.01, change + 0.01) if change else (0.0, 0.0)
        return ends | dict(zip(("difference", "difference_low", "difference_high"), (change, *limits), strict=True))

    def part(seeds, painted):
        names = ["untouched", "lungs black", "box alone", "only border", "markers painted"]
        aucs = zip(names, (0.9, 0.7, 0.6, 0.51, 0.9 + painted), (0, -0.2, -0.3, -0.39, painted), strict=True)
        counts = {"images": 1000, "patients": 800, "left_out": 3, "seeds": seeds, "beyond_box": [0.1, 0.05, 0.15]}
        corners = {"auc": 0.65, "auc_low": 0.6, "auc_high": 0.7}
        return counts | {"versions": {n: row(a, d, len(seeds) / 100) for n, a, d in aucs}, "corners": corners}

    def whole(seeds, **parts):
        return {"classes": {"normal": 50, "pneumonia": 70}, "parts": {n: part(seeds, p) for n, p in parts.items()}}

    recipe = {"model": "CPFD", "epochs": 6}
    sets = {"children": whole([0, 1], validation=-0.1, test=0.001), "sources": whole([0], validation=-0.1)}
    record = {"kind": "controls", "size": 128, "command": "made", "recipe": recipe, "sets": sets}
    page = PARTS["controls"]([record, {"kind": "lungs"}])
    assert "| lungs black | 0.700 (0.680–0.720) [0.680–0.720] | -0.200 (-0.210 to -0.190) |" in page
    assert "| lungs black | 0.700 (0.680–0.720) | -0.200" in page, "one seed has no lowest and highest"
    assert "Validation: without a lung in sight, 50% of what the AUC has above guessing is still there." in page
    assert (
        "box alone gives clearly more than guessing" in page and "border alone gives not clearly more or less" in page
    )
    assert "Without what looks like markers the AUC is clearly less." in page
    assert "Without what looks like markers the AUC is not clearly more or less." in page
    assert "Trained on 50 normal, 70 pneumonia; scored on 1,000 validation images of 800 patients" in page
    assert "| corners of the box* | 0.650 (0.600–0.700) |" in page and PARTS["controls"]([]) == ""


def test_the_part_about_other_hospitals_says_what_its_record_says():
    def value(v, low=None, high=None):
        return {"value": v, "low": low, "high": high}

    def cell(auc, change, **referred):
        kinds = ("accuracy", "sensitivity", "specificity", "balanced_accuracy")
        answers = {f"{name}.{kind}": value(0.7, 0.6, 0.8) for name in foreign.ANSWERS for kind in kinds}
        answers["after_em.accuracy"] = value(0.65)
        said = {f"said.{k}": value(v) for k, v in (("training", 0.74), ("truth", 0.62), ("em", 0.9), ("bbse", 0.6))}
        found = {"images": 100, "auc": value(auc, auc - 0.05, auc + 0.05), "ece": value(0.1)}
        found["change"] = value(change, change - 0.1, change + 0.1)
        return found | {"ece_calibrated": value(0.2)} | answers | said | referred

    def tests(own):
        half = {"referred.0.1": value(0.25, 0.2, 0.3)}
        names = list(foreign.SETS)
        return {n: cell(0.9, 0.0, **half) if n == own else cell(0.52, -0.38, **half) for n in names}

    shifted = {f"accuracy_{kind}": 0.9 for kind in ("at_half", "after_em", "after_bbse")}
    one = {"simulated": [{"truth": 0.5, "em": 0.49, "bbse": 0.51} | shifted]}
    trained = {n: one | {"tests": tests(n)} for n in list(foreign.SETS)[:3]}
    record = {"kind": "foreign", "size": 96, "seeds": [0], "prevalence": 0.05, "command": "made", "trained": trained}
    page = PARTS["foreign"]([record | {"recipe": {"model": "CPFD", "epochs": 6}}, {"kind": "lungs"}])
    assert "| children, normal or pneumonia | the same, 100 test images | 0.900 (0.850–0.950) |" in page
    assert "0.520 (0.470–0.570) | -0.380 (-0.480 to -0.280) | 0.10, 0.20 |" in page
    assert "clearly lower elsewhere in 9 of 9 cases, by 0.38 to 0.38, and in 9 of them not clearly better" in page
    assert "EM says 90% ill, more than in training, where the truth is 62%: the accuracy goes from 0.700 to" in page
    assert "BBSE says 60% ill, fewer than in training" in page and "| 10% | 25% (20%–30%) |" in page
    assert PARTS["foreign"]([]) == ""


def test_the_part_about_disease_or_hospital_says_what_its_record_says():
    three = [0.5, 0.4, 0.6]
    names = ("normal", "pneumonia", "covid-19", "tuberculosis")
    row = {"auc": 0.97, "auc_low": 0.96, "auc_high": 0.98}
    seen = dict.fromkeys(("untouched", "lungs black", "only border", "metadata only"), row)
    covered = {"versions": seen, "per_class": {v: dict.fromkeys(names, three) for v in seen}}

    def asked(normal, ill):
        called = dict.fromkeys(names, three) | {"normal": [ill, ill, ill]}
        scores = {"recall": dict.fromkeys(names, three), "accuracy": three, "macro_f1": three}
        return {"asked": 400, "training": {"normal": normal}, "healthy_adults_called": called} | scores

    def box(change):
        change = [change, change - 0.01, change + 0.01]
        return {"images": 50, "ill_before": three, "ill_after": three, "flips": three, "change": change}

    boxes = {"filled": box(-0.2), "painted": box(0.3), "gray": box(0.0)}
    record = {
        "kind": "hospitals", "size": 96, "seeds": [0], "command": "made", "recipe": {"model": "CPFD", "epochs": 6},
        "white": {"normal": [1, 100], "tuberculosis": [30, 90]}, "lung4": covered, "ages": covered,
        "adults": {"merged": asked(100, 0.01), "healthy adults added": asked(300, 0.94)},
        "boxes": boxes | {"auc": 0.9, "found_without_box": three, "without_box": 60},
    }  # fmt: skip
    page = PARTS["hospitals"]([record, {"kind": "lungs"}])
    assert "| lungs black | 0.500 (0.400–0.600) |" in page and "Then 200 others of them join" in page
    assert "99% of the healthy adults are called ill" in page and "30 of 90 images of tuberculosis" in page
    assert "painted over, fewer of their images" in page and "more of the healthy are called ill (+30.0%)" in page
    assert PARTS["hospitals"]([]) == ""


def test_a_record_of_the_old_splits_is_marked():
    record = next(r for r in RECORDS if summary.is_training(r))
    recipe = {name: value for name, value in record["training"]["recipe"].items() if name != "crop"}
    old = record | {"training": record["training"] | {"recipe": recipe}}
    new = record | {"training": record["training"] | {"recipe": recipe | {"crop": None}}}
    assert summary.name_of([old, new]).endswith("†, " + str(recipe["seed"]))
    assert summary.wrapped(summary.OLD) in tool.readme_block([old])
    assert summary.wrapped(summary.OLD) not in tool.readme_block([new])


def test_the_page_tells_its_story_first_and_folds_the_rest():
    page = tool.outputs()[ROOT / "book" / "results.md"]
    overview = page.partition("\n## ")[0]
    assert overview.count("\n| [") == len(story.STORIES)
    for heading, (question, answer) in story.STORIES.items():
        part = page.partition(f"\n## {heading}\n")[2]
        first = answer(RECORDS).partition("\n\n")[0]
        assert part.lstrip().startswith(summary.wrapped(f"*{question}* {first}")) and f"{first} |" in overview
    outside = re.sub(r"^::::\{dropdown\}.*?^::::$", "", page, flags=re.M | re.S)
    assert len(re.findall(r"^\|---", outside, re.M)) == 2, "the overview, and the scores of the recipes"
    assert not re.search(r"(?<!`)\b(baseline|augmented|whole|best)-seed\d", re.sub(r"`[^`]*`", "", page))


def test_a_fork_with_fewer_records_gets_a_shorter_story():
    page = story.told("# Results\n\nLead.\n\n## The recipes\n\n| a |\n", TRAINING[:1])
    assert "Lead." in page and "{dropdown} The details\n| a |" in page
    assert "#where-the-maps-look" not in page


def test_a_runs_name_in_words():
    assert story.words("baseline-seed0-epochs1 (0.5)") == "five-layer CNN, 1 epoch (0.5)"
    assert story.words("best-seed1") == "EfficientNet, cut to the lungs, seed 1"


# -- what it took -------------------------------------------------------------------------------------------------


def joint(**alone_and_together):
    """A small record of `benchmarks/ladder.py ensemble`: accuracy and AUC, alone and together."""

    def scored(accuracy, auc):
        values = {"accuracy": accuracy, "auc": auc, "recall[normal]": 0.9, "recall[pneumonia]": 0.97}
        row = {"values": values, "intervals": {name: [value - 0.02, value + 0.01] for name, value in values.items()}}
        return {"seeds": [0, 1], "cpu_seconds": 3600} | dict.fromkeys(took.DECISIONS, row)

    alone, together = (scored(*alone_and_together[name]) for name in ("alone", "together"))
    return {"kind": "ensemble", "cut": {"networks": [alone, alone], "ensemble": together}}


@pytest.mark.parametrize(
    "alone, together, says",
    [
        ((0.95, 0.98), (0.96, 0.995), "it is reached"),
        ((0.96, 0.992), (0.9, 0.95), "it is reached"),
        ((0.96, 0.98), (0.95, 0.995), "the accuracy is reached and the AUC is reached"),  # but not by the same
        ((0.95, 0.98), (0.94, 0.995), "the AUC is reached and the accuracy is missed by 0.005"),
        ((0.90, 0.98), (0.94, 0.97), "the accuracy is missed by 0.015 and the AUC is missed by 0.011"),
    ],
)
def test_the_goal_is_reached_only_by_both_scores_of_one(alone, together, says):
    record = joint(alone=alone, together=together)
    text = took.came_out(record)
    assert (
        says in took.verdict(record)
        and f"{together[0]:.3f} ({together[0] - 0.02:.3f}–{together[0] + 0.01:.3f})" in text
    )


def test_agreement_counts_pairs_in_the_order_of_the_test():
    def rung(own, stressed, test):
        auc = [{"values": {"auc": value}} for value in (own, stressed, test)]
        return [{"validation": auc[0], "stress": {"blur": auc[1]}, "test": auc[2]}]

    groups = {"a": rung(0.9, 0.7, 0.6), "b": rung(0.8, 0.8, 0.7), "c": rung(0.7, 0.9, 0.8)}
    assert took.agreement(groups, stressed=True) == (3, 3)
    assert took.agreement(groups, stressed=False) == (0, 3)


def test_what_was_planned_and_not_trained_is_said():
    every = {name: [{"seed": seed} for seed in range(3)] for name in took.RUNGS}
    assert took.missing(every) == ""
    some = {name: rows[:2] for name, rows in every.items() if name != "masked"}
    assert "blank outside of the lungs*; *EfficientNet" in took.missing(some)
    assert took.missing(some).count("seed 2") == 2


def test_what_it_took_says_what_the_records_say():
    page = took.page(RECORDS).replace("\u2060", "").replace("\u00a0", " ")
    readme = tool.readme_block(RECORDS)
    found = {r["kind"]: r for r in RECORDS if r.get("kind") in ("rungs", "ensemble")}
    best = [r["test"]["values"]["auc"] for r in TRAINING if summary.recipe_of(r) == "best"]
    assert f"[{min(best):.3f}–{max(best):.3f}]" in page, "the rungs quote what the runs have recorded"
    three = found["ensemble"]["cut"]["ensemble"]["at_half"]
    results = tool.outputs()[ROOT / "book" / "results.md"].replace("\u2060", "").replace("\u00a0", " ")
    for text in (page, readme, results):
        assert "{:.3f} ({:.3f}–{:.3f})".format(three["values"]["auc"], *three["intervals"]["auc"]) in text
        assert "not an innocent choice" in text or "chosen after trials that had scored these test images" in text
    assert took.page([found["ensemble"]]) is None and took.line([]) == ""


def test_the_prose_of_what_it_took_holds_for_its_records():
    (rungs,) = (r for r in RECORDS if r.get("kind") == "rungs")
    (three,) = (r for r in RECORDS if r.get("kind") == "ensemble")
    groups = took.by_rung(rungs["rows"])
    whole, cut = (took.stress_means(groups[name]) for name in ("whole", "best"))
    own, first = (took.agreement(groups, stressed) for stressed in (False, True))
    assert first[0] > own[0], "stress tells more than validation does"
    assert all(cut[kind] < whole[kind] for kind in cut), "nothing measured without the test would have chosen the cut"
    assert cut["shading"] == min(cut.values()) and whole["shading"] - cut["shading"] > 0.01
    assert (
        abs(cut["blur"] - sum(r["validation"]["values"]["auc"] for r in groups["best"]) / len(groups["best"])) < 0.003
    )
    values = {name: three["cut"]["ensemble"][name]["values"]["accuracy"] for name in took.DECISIONS}
    assert values["at_validation_threshold"] < values["at_half"] and values["label_shift"] <= values["at_half"]
    assert three["the networks, and those on whole images"]["at_half"]["accuracy"]["interval"][0] > 0


def test_the_picture_of_the_ladder_has_a_mark_for_every_network():
    (rungs,) = (r for r in RECORDS if r.get("kind") == "rungs")
    svg = ElementTree.fromstring(took.picture(RECORDS))
    marks = [e.get("class") for e in svg.iter()]
    assert marks.count("test") == len(rungs["rows"]) + 2, "one each, the three together, and the key"
    assert marks.count("validation") == len(rungs["rows"]) + 1
    xs = [float(e.get("cx")) for e in svg.iter() if e.get("class") == "validation"]
    assert all(0 < x < 420 for x in xs)
