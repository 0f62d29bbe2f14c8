"""What tools/fuzz.py feeds: one target per function that reads what comes from outside, and how its bad input is made.

An input is bytes: a damaged file, or JSON that says what to build. It depends on the seed and its number alone.
"""

from __future__ import annotations

import click

from . import checkpoints, commands, dicom, folders, grading, images, recipes, records
from .target import ROOT as ROOT  # tools/fuzz.py takes it from here
from .target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("image", 300, images.run_image, images.make_image),
        Target("tiff", 60, images.run_image, images.make_tiff),
        Target("dicom", 180, dicom.run_dicom, dicom.make_dicom),
        Target("attributes", 60, dicom.run_dicom, dicom.make_attributes),
        Target("folder", 50, folders.run_folder, folders.make_folder, answers=(ValueError, FileNotFoundError)),
        Target("layout", 40, folders.run_layout, folders.make_layout),
        Target("name", 40, folders.run_name, folders.make_name),
        Target("checkpoint", 70, checkpoints.run_checkpoint, checkpoints.make_checkpoint, names="model.pt"),
        Target("weights", 30, checkpoints.run_weights, checkpoints.make_weights, names="lungs.npz"),
        Target("training", 25, checkpoints.run_training, checkpoints.make_training, names="training.pt"),
        Target("intake", 80, grading.run_intake, grading.make_intake, names="export"),
        Target("notebook", 100, grading.run_notebook, strategy=grading.notebooks),
        Target("roster", 80, grading.run_roster, strategy=grading.rosters, names="roster.csv"),
        Target("resume", 50, grading.run_resume, grading.make_resume, names="graded"),
        Target("frame", 60, grading.run_frame, grading.make_frame),
        Target("records", 50, records.run_records, records.make_records, names="record-chest_xray-seed0.json"),
        Target("reproduce", 15, records.run_reproduce, records.make_reproduce),
        Target("guesses", 40, records.run_guesses, records.make_guesses),
        Target("layers", 50, recipes.run_layers, strategy=recipes.layers),
        Target("recipe", 50, recipes.run_recipe, strategy=recipes.recipes),
        Target("report", 40, recipes.run_report, strategy=recipes.reports),
        Target("mapping", 40, recipes.run_mapping, strategy=recipes.mappings),
        Target("command", 25, commands.run_command, strategy=commands.commands, answers=(click.ClickException,)),
    )
}
