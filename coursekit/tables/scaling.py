"""book/scaling.md: what a million images and ten thousand submissions would take, computed from what was measured.

Run by coursekit/results.py. Without the records of its benchmarks there is no page.
"""

from __future__ import annotations

from .records import filled, table, wrapped
from .speed import machines

NEEDED = ("pipeline", "processes", "large", "grading")
IMAGES, GPUS, BATCH = 1_000_000, 8, 256
SUBMISSIONS, CORES = 10_000, 64
GPU_SPEEDS = (500, 1000, 2000, 4000, 8000)  # images a second: examples to read the table with, none was measured


def gpu_table(feed: float, efficiency: float) -> str:
    """Minutes an epoch, for GPUs of several speeds."""
    rows = []
    for speed in GPU_SPEEDS:
        together = GPUS * speed * efficiency
        reached = min(together, GPUS * feed)
        by = "feeding" if reached < together else "the GPUs"
        rows.append([f"{speed:,}", f"{reached:,.0f}", f"{IMAGES / reached / 60:.1f} min", by])
    return table(["images a second of one GPU, alone (assumed)", f"of {GPUS}", "an epoch", "limited by"], rows)


def page(records: dict[str, dict], training: dict) -> str:
    """Return the page. training: a record of `cxr train`, for the size of its network."""
    pipeline, processes, large, grading = (records[name] for name in NEEDED)
    files = max(pipeline["rows"], key=lambda row: row["side"])
    decode = files["images"] / files["first_look_seconds"] / pipeline["cores"]
    efficiencies = {row["model"]: min(1.0, row["ratio"] / processes["processes"]) for row in processes["rows"]}
    feed = large["under_limit"]["feed_images_per_second"]
    rates = {run["jobs"]: run["per_minute"] for run in grading["runs"]}
    jobs = grading["cores"]
    # Amdahl: with s the serial fraction, rate(jobs) / rate(1) = 1 / (s + (1 - s) / jobs)
    serial = max(0.0, (jobs * rates[1] / rates[jobs] - 1) / (jobs - 1))
    exchange = 2 * (GPUS - 1) / GPUS * training.get("trained_parameters", training["parameters"]) * 4
    steps = IMAGES // BATCH
    text = filled(
        "scaling", records, machine=machines(records[name] for name in NEEDED), files=files, network=training,
        gpus=GPUS, images=IMAGES, many=CORES, batch=BATCH, submissions=SUBMISSIONS,
        decode_rate=decode, decode_hours=IMAGES / decode / 3600, decode_minutes=IMAGES / decode / CORES / 60,
        cache=IMAGES * large["size"] ** 2 / 1e9, limit=large["limit_megabytes"] / 1000,
        feed=feed, feed_all=GPUS * feed, feed_seconds=IMAGES / feed / GPUS,
        together=" or ".join(f"{fraction:.0%} ({model})" for model, fraction in efficiencies.items()),
        gpu_table=gpu_table(feed, min(efficiencies.values())), parameters=training["parameters"] / 1e6,
        exchange=exchange / 1e6, steps=steps, epoch_exchange=steps * exchange / 1e9, part=BATCH // GPUS,
        one=rates[1], two=rates[jobs], serial=serial,
        best=SUBMISSIONS / rates[1] / CORES, alone=SUBMISSIONS / rates[jobs] / 60, memory=3 * CORES,
        likely=SUBMISSIONS / rates[1] * (serial + (1 - serial) / CORES),
    )  # fmt: skip
    return wrapped(text) + "\n"
