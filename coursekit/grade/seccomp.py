"""A seccomp filter for the sandbox: no new processes, no sockets, no kernel interfaces that grading never needs.

Limits on the number of processes do not bind the superuser, so a fork bomb is stopped here: creating a process fails,
creating a thread does not. The program is classic BPF as seccomp(2) describes it; bubblewrap loads it.
"""

from __future__ import annotations

import platform
import struct

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
EPERM, ENOSYS = 1, 38
CLONE_THREAD = 0x00010000

# System call numbers: asm/unistd_64.h and asm-generic/unistd.h
_CALLS = {
    "x86_64": {"arch": 0xC000003E, "clone": 56, "clone3": 435, "denied": {
        "fork": 57, "vfork": 58, "socket": 41, "ptrace": 101, "unshare": 272, "setns": 308, "mount": 165,
        "memfd_create": 319, "memfd_secret": 447, "shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240,
        "add_key": 248, "request_key": 249, "keyctl": 250, "perf_event_open": 298, "bpf": 321, "userfaultfd": 323,
        "process_vm_readv": 310, "process_vm_writev": 311, "io_uring_setup": 425, "pidfd_open": 434,
    }},
    "aarch64": {"arch": 0xC00000B7, "clone": 220, "clone3": 435, "denied": {
        "socket": 198, "ptrace": 117, "unshare": 97, "setns": 268, "mount": 40,
        "memfd_create": 279, "memfd_secret": 447, "shmget": 194, "semget": 190, "msgget": 186, "mq_open": 180,
        "add_key": 217, "request_key": 218, "keyctl": 219, "perf_event_open": 241, "bpf": 280, "userfaultfd": 282,
        "process_vm_readv": 270, "process_vm_writev": 271, "io_uring_setup": 425, "pidfd_open": 434,
    }},
}  # fmt: skip

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _FLAGS = 0, 4, 16  # offsets in struct seccomp_data: call number, architecture, first argument


def program(machine: str | None = None) -> bytes:
    """Return the filter for this machine's processor as bytes of `struct sock_filter`.

    Raises ValueError for a processor whose system calls are not listed here.
    """
    machine = machine or platform.machine()
    if machine not in _CALLS:
        raise ValueError(f"the sandbox has no system call filter for {machine!r}; it knows {', '.join(_CALLS)}")
    calls = _CALLS[machine]
    denied = [
        (_AT_LEAST, 0x40000000, EPERM),  # the x32 numbers are another way to the same calls
        (_EQUAL, calls["clone3"], ENOSYS),  # its flags are out of reach of a filter; libc falls back to clone
        *((_EQUAL, number, EPERM) for number in calls["denied"].values()),
    ]
    # A line: operation, how many lines to jump where it is true, and where it is false, value.
    code = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, calls["arch"]), (_RETURN, 0, 0, KILL), (_LOAD, 0, 0, _NUMBER)]
    for operation, value, error in denied:
        code += [(operation, 0, 1, value), (_RETURN, 0, 0, ERRNO | error)]
    code += [(_EQUAL, 0, 3, calls["clone"]), (_LOAD, 0, 0, _FLAGS), (_ANY_BIT, 1, 0, CLONE_THREAD)]
    code += [(_RETURN, 0, 0, ERRNO | EPERM), (_RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("=HBBI", *line) for line in code)
