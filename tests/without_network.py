"""Runs a command in a process that the kernel kills when it asks for a network socket.

    python tests/without_network.py SECONDS apps/doctor.py --json

Native threads are seen too, since the filter is in the kernel (seccomp), which needs neither root
nor another program. The process stays alive until SECONDS after its start, because some libraries
wait before they call home; its exit code is then that of the command, or -SIGSYS.
"""

import ctypes
import platform
import runpy
import struct
import sys
import time

AF_UNIX = 1  # the only kind of socket that stays on this machine by itself
# Per machine: its number in the kernel's audit interface, and that of the call `socket`.
CALLS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
IO_URING_SETUP = 425  # sockets of another door; the same number on every machine
LOAD, EQUALS, RETURN = 0x20, 0x15, 0x06  # instructions of the kernel's packet filter
ALLOW, KILL = 0x7FFF0000, 0x80000000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


class Program(ctypes.Structure):
    """The kernel's struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def forbid_network() -> None:
    """Has the kernel kill this process at its first network socket; cannot be undone."""
    architecture, socket = CALLS[platform.machine()]
    lines = [  # operation, lines to skip if true, lines to skip if false, value
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUALS, 0, 5, architecture),
        (LOAD, 0, 0, NUMBER),
        (EQUALS, 3, 0, IO_URING_SETUP),
        (EQUALS, 0, 3, socket),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (EQUALS, 1, 0, AF_UNIX),
        (RETURN, 0, 0, KILL),
        (RETURN, 0, 0, ALLOW),
    ]
    code = b"".join(struct.pack("=HBBI", *line) for line in lines)
    program = Program(len(lines), code)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for words in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if prctl(*words):
            raise OSError(ctypes.get_errno(), "the kernel refuses the filter")


def main() -> int:
    """Runs the command and waits; returns its exit code."""
    start, wait_s = time.monotonic(), float(sys.argv[1])
    sys.argv = sys.argv[2:]
    forbid_network()
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        code: object = 0
    except SystemExit as end:
        code = end.code
    time.sleep(max(0.0, start + wait_s - time.monotonic()))
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    raise SystemExit(main())
