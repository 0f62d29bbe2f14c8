"""What the machine at hand is good at: device, number format, memory layout."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a process that only counts cores starts without it
    import torch


def fast_bf16(device: torch.device) -> bool:
    """Tell whether bfloat16 is computed natively, not emulated."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported()
    return False


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the dtype of autocast for a recipe's ``precision`` on ``device``, or None for plain float32.

    "auto" takes bf16 where it is native; on a GPU without it (the T4 of Colab) fp16.
    """
    import torch

    if precision == "auto":
        if fast_bf16(device):
            return torch.bfloat16
        return torch.float16 if device.type == "cuda" else None
    if precision == "fp16" and device.type != "cuda":
        raise ValueError(f'precision="fp16" needs a CUDA device, this one is {device}; take "auto" or "bf16"')
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": None}[precision]


def memory_layout(device: torch.device) -> torch.memory_format:
    """Return the order of a network's weights and maps in memory that is fastest on ``device``."""
    import torch

    return torch.channels_last if device.type in ("cpu", "cuda") else torch.contiguous_format


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes_started() -> int:
    """Return how many processes ``torchrun`` or ``accelerate launch`` has started to train together; 1 without them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Tell whether this is the first of these processes."""
    return processes_started() == 1 or os.environ.get("RANK", "0") == "0"


def describe(device: torch.device | None = None) -> dict:
    """Describe the hardware in words and numbers, for a recorded result: nothing that names the machine."""
    import torch

    cuda = torch.cuda.is_available() if device is None else device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "processor": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "system": platform.system(),
    }
