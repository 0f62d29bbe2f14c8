"""book/scaling.md: what a million images and ten thousand submissions would take, computed from what was measured.

Run by coursekit/results.py. Without the records of its benchmarks there is no page.
"""

from __future__ import annotations

import textwrap

from .performance import machines, table

NEEDED = ("pipeline", "processes", "large", "grading")
IMAGES, GPUS, BATCH = 1_000_000, 8, 256
SUBMISSIONS, CORES = 10_000, 64
GPU_SPEEDS = (500, 1000, 2000, 4000, 8000)  # images a second: examples to read the table with, none was measured

PAGE = """\
# From a laptop to a cluster, on paper

Nothing on this page was run at the size it speaks of. Each calculation starts from a figure of [the performance
page](performance.md) and says what it assumes. Measured on: {machine}.

## One million X-rays on {gpus} GPUs

**Decode once.** {decoded:,} files of {side:,} px took {decode_seconds:.1f} s on {cores} cores, {decode_rate:.0f}
files a second and core. {images:,} such files take {decode_hours:.0f} hours of one core, or {decode_minutes:.0f}
minutes of {many} cores, if the disk keeps up. This happens once for each image size. Afterwards the files are only
looked at for changes. All machines should share one folder: set `CXR_CACHE_DIR` to it.

**Memory.** At {size} px the pixels are {cache:.0f} GB. They need not fit into memory: they are a memory-mapped file,
of which the system keeps what fits. Measured: {large_images:,} images ({large_gigabytes:.1f} GB) under a limit of
{limit:g} GB trained at {large_ratio:.2f} of the speed without a limit, and the process itself held {own:.0f} MB.
Assumed: a disk that gives single images as quickly as the one measured.

**Feeding.** One process read {feed:,.0f} images a second in random order, as batches of bytes, under that limit. On a
GPU the augmentation runs there, so reading is all that the processor does. {gpus} processes with a core each would
read {feed_all:,.0f} a second: an epoch cannot take less than {feed_seconds:.0f} s.

**Training.** How many images a second one GPU trains was not measured. `cxr train` prints yours when it ends; look
it up here. Two effects are in the table: the limit from feeding, and the loss from working together. With
{processes} processes on one machine each worked at {together} of its speed alone. The table takes the lowest of these.
That {gpus} GPUs lose no more than that is an assumption.

{gpu_table}

**Exchange.** In each step every process sends and receives the gradients: {parameters:.1f} million numbers of 4 bytes
for a {model}, {exchange:.0f} MB a step around a ring of {gpus}. With {batch} images a step that is {steps:,} steps
and {epoch_exchange:.0f} GB an epoch for each GPU.

**The batch.** `fit` divides the recipe's batch among the processes: the same steps and images as on one. Only batch
norm, dropout and augmentation see the part of their own process: {part} of {batch}. A larger batch wants another
learning rate; choose it on validation patients.

```bash
torchrun --nproc_per_node {gpus} -m cxrlib train --data folder:PATH --recipe augmented --batch-size {batch}
```

## Ten thousand submissions on a Dask cluster

Measured: {one:.0f} submissions a minute one at a time, {two:.0f} with {jobs} at a time on {jobs} cores. So
{serial:.1%} of the work did not get faster; which part that is was not measured. Two estimates for
{submissions:,} submissions on {many} cores: if all of it is shared, {best:.0f} minutes; if that part stays with one
process (Amdahl's law), {likely:.0f} minutes. On this machine alone it would be {alone:.1f} hours. Each submission may
use 3 GB, so {many} cores want {memory} GB.

```bash
cxr grade 07 submissions --dask tcp://HOST:8786
```

Dask gives the work of a machine that is lost to another one. If the command itself is stopped, `--resume` continues.
"""


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
    cores = pipeline["cores"]
    decode = files["images"] / files["first_look_seconds"] / cores
    efficiencies = {row["model"]: min(1.0, row["ratio"] / processes["processes"]) for row in processes["rows"]}
    efficiency = min(efficiencies.values())
    feed = large["under_limit"]["feed_images_per_second"]
    rates = {run["jobs"]: run["per_minute"] for run in grading["runs"]}
    jobs = grading["cores"]
    # Amdahl: with s the serial fraction, rate(jobs) / rate(1) = 1 / (s + (1 - s) / jobs)
    serial = max(0.0, (jobs * rates[1] / rates[jobs] - 1) / (jobs - 1))
    exchange = 2 * (GPUS - 1) / GPUS * training.get("trained_parameters", training["parameters"]) * 4
    steps = IMAGES // BATCH
    text = PAGE.format(
        machine=machines(records[name] for name in NEEDED), gpus=GPUS, images=IMAGES, many=CORES, cores=cores,
        decoded=files["images"], side=files["side"], decode_seconds=files["first_look_seconds"], decode_rate=decode,
        decode_hours=IMAGES / decode / 3600, decode_minutes=IMAGES / decode / CORES / 60, size=large["size"],
        cache=IMAGES * large["size"] ** 2 / 1e9, large_images=large["images"], large_gigabytes=large["gigabytes"],
        limit=large["limit_megabytes"] / 1000, large_ratio=large["ratio"], own=large["under_limit"]["own_megabytes"],
        feed=feed, feed_all=GPUS * feed, feed_seconds=IMAGES / feed / GPUS,
        together=" or ".join(f"{fraction:.0%} ({model})" for model, fraction in efficiencies.items()),
        processes=processes["processes"], gpu_table=gpu_table(feed, efficiency),
        model=training["training"]["recipe"]["model"], parameters=training["parameters"] / 1e6,
        exchange=exchange / 1e6, batch=BATCH, steps=steps, epoch_exchange=steps * exchange / 1e9, part=BATCH // GPUS,
        one=rates[1], two=rates[jobs], jobs=jobs, serial=serial, submissions=SUBMISSIONS,
        best=SUBMISSIONS / rates[1] / CORES, alone=SUBMISSIONS / rates[jobs] / 60, memory=3 * CORES,
        likely=SUBMISSIONS / rates[1] * (serial + (1 - serial) / CORES),
    )  # fmt: skip
    parts = text.rstrip("\n").split("\n\n")
    prose = {i for i, part in enumerate(parts) if not part.startswith(("#", "```", "|"))}
    filled = [textwrap.fill(p, 118, break_on_hyphens=False) if i in prose else p for i, p in enumerate(parts)]
    return "\n\n".join(filled) + "\n"
