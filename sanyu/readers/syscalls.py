"""System calls of the parsing child: an allow list as a hand-built seccomp filter (`seccomp(2)`).

Landlock controls which files may be opened, but not `chmod`, `utime`, sockets, locks, signals to other processes, shared memory
or new processes. The filter therefore allows only the calls that a parser needs, some of them only with certain arguments.
Calls that are not listed fail with EPERM, recent ones with ENOSYS, which makes libraries fall back to an older call.

Numbers are given for x86_64 and aarch64; `-` if the architecture has no such call.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator

_ALLOWED = {
    "descriptors": """
        read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69, pwritev 296 70,
        preadv2 327 286, pwritev2 328 287, lseek 8 62, close 3 57, close_range 436 436, dup 32 23, dup2 33 -, dup3 292 24,
        pipe 22 -, pipe2 293 59, sendfile 40 71, copy_file_range 326 285, fsync 74 82, fdatasync 75 83, sync_file_range 277 84,
        fadvise64 221 223, readahead 187 213, ftruncate 77 46, fallocate 285 47
    """,
    "files": """
        creat 85 -, stat 4 -, fstat 5 80, lstat 6 -, newfstatat 262 79, statx 332 291, access 21 -, faccessat 269 48,
        faccessat2 439 439, readlink 89 -, readlinkat 267 78, getdents 78 -, getdents64 217 61, statfs 137 43, fstatfs 138 44,
        getcwd 79 17, chdir 80 49, fchdir 81 50, umask 95 166, mkdir 83 -, mkdirat 258 34, rmdir 84 -, unlink 87 -,
        unlinkat 263 35, rename 82 -, renameat 264 38, renameat2 316 276, symlink 88 -, symlinkat 266 36
    """,
    "memory": """
        mmap 9 222, munmap 11 215, mprotect 10 226, mremap 25 216, madvise 28 233, brk 12 214, msync 26 227, mincore 27 232,
        get_mempolicy 239 236, membarrier 324 283, pkey_alloc 330 289, pkey_free 331 290, pkey_mprotect 329 288
    """,
    "threads": """
        futex 202 98, futex_waitv 449 449, set_robust_list 273 99, set_tid_address 218 96, rseq 334 293, sched_yield 24 124,
        sched_getaffinity 204 123, sched_getparam 143 121, sched_getscheduler 145 120, getcpu 309 168
    """,
    "signals and waiting": """
        rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigpending 127 136, rt_sigsuspend 130 133,
        rt_sigtimedwait 128 137, sigaltstack 131 132, restart_syscall 219 128, pause 34 -, poll 7 -, ppoll 271 73, select 23 -,
        pselect6 270 72, epoll_create 213 -, epoll_create1 291 20, epoll_ctl 233 21, epoll_wait 232 -, epoll_pwait 281 22,
        epoll_pwait2 441 441, eventfd 284 -, eventfd2 290 19
    """,
    "time": """
        clock_gettime 228 113, clock_getres 229 114, clock_nanosleep 230 115, nanosleep 35 101, gettimeofday 96 169, time 201 -,
        times 100 153, getitimer 36 102, setitimer 38 103, alarm 37 -
    """,
    "this process": """
        getpid 39 172, gettid 186 178, getppid 110 173, getpgrp 111 -, getpgid 121 155, getsid 124 156, getuid 102 174,
        geteuid 107 175, getgid 104 176, getegid 108 177, getresuid 118 148, getresgid 120 150, getgroups 115 158,
        getrlimit 97 163, getrusage 98 165, getpriority 140 141, uname 63 160, sysinfo 99 179, getrandom 318 278, arch_prctl 158 -,
        wait4 61 260, waitid 247 95, exit 60 93, exit_group 231 94
    """,
}

# Calls that are allowed only with certain arguments, see `_rules`.
_WITH_ARGUMENTS = """
    open 2 -, openat 257 56, ioctl 16 29, fcntl 72 25, prctl 157 167, prlimit64 302 261, kill 62 129, tgkill 234 131, clone 56 220
"""
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}  # AUDIT_ARCH_…, column of the tables
_FIRST_WITH_FALLBACK = 424  # from here on, calls have the same number on every architecture, and libraries fall back if a kernel lacks them

_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)  # F_DUPFD … F_SETLKW, F_OFD_*, F_DUPFD_CLOEXEC, F_GETPIPE_SZ
_PRCTLS = (15, 16, 0x53564D41)  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA (names of mappings)
_OPEN_MODE_AND_TRUNCATE, _READ_ONLY_TRUNCATE = 0x203, 0x200
_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020000

_LOAD, _EQUAL, _GREATER_OR_EQUAL, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in `struct seccomp_data`; both architectures are little-endian
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2

_Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def restrict(libc: ctypes.CDLL) -> bool:
    """Apply the filter permanently to this thread and everything it starts; return whether the kernel accepted it.

    Requires `PR_SET_NO_NEW_PRIVS`. On an architecture without a table nothing is filtered.
    """
    if platform.machine() not in _ARCHITECTURES:
        return False
    instructions = list(_filter(*_ARCHITECTURES[platform.machine()], os.getpid()))
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    program = _Program(len(instructions), code)
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def numbers(text: str, column: int) -> dict[str, int]:
    """Return the calls of a table by name with their numbers on one architecture (0: x86_64, 1: aarch64)."""
    entries = (entry.split() for entry in text.split(","))
    return {name: int(pair[column]) for name, *pair in entries if pair[column] != "-"}


def allowed(column: int) -> dict[str, int]:
    """Return the calls that are allowed with any arguments, by name."""
    return numbers(",".join(_ALLOWED.values()), column)


def _filter(architecture: int, column: int, pid: int) -> Iterator[_Instruction]:
    yield _LOAD, 0, 0, _ARCHITECTURE
    yield _EQUAL, 1, 0, architecture
    yield _RETURN, 0, 0, _KILL  # calls of another architecture (32 bit) have other numbers
    yield _LOAD, 0, 0, _NUMBER
    for number in allowed(column).values():
        yield _EQUAL, 0, 1, number
        yield _RETURN, 0, 0, _ALLOW
    for name, number in numbers(_WITH_ARGUMENTS, column).items():
        rule = [*_rules(name, pid), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
        yield _EQUAL, 0, len(rule), number
        yield from rule
    yield _GREATER_OR_EQUAL, 0, 1, _FIRST_WITH_FALLBACK
    yield _RETURN, 0, 0, _ERRNO | errno.ENOSYS
    yield _RETURN, 0, 0, _ERRNO | errno.EPERM


def _rules(name: str, pid: int) -> Iterator[_Instruction]:
    """Yield rules that allow a call for certain arguments and fall through for all others."""
    match name:
        case "ioctl":  # no terminal input, no file attributes
            yield from _one_of(1, _IOCTLS)
        case "fcntl":  # no signals to an owner, no leases
            yield from _one_of(1, _FCNTLS)
        case "prctl":  # in particular not PR_SET_PDEATHSIG, by which the child would outlive its parent
            yield from _one_of(0, _PRCTLS)
        case "prlimit64":  # the own limits only
            yield from _one_of(0, (0,))
        case "kill" | "tgkill":
            yield from _one_of(0, (pid,))
        case "clone":  # threads, but no processes and no namespaces
            yield _LOAD, 0, 0, _ARGUMENTS
            yield _AND, 0, 0, _CLONE_THREAD | _CLONE_NAMESPACES
            yield _EQUAL, 0, 1, _CLONE_THREAD
            yield _RETURN, 0, 0, _ALLOW
        case _:  # open and openat: O_RDONLY | O_TRUNC empties a file that Landlock before ABI 3 sees as merely read
            yield _LOAD, 0, 0, _ARGUMENTS + 8 * (1 if name == "open" else 2)
            yield _AND, 0, 0, _OPEN_MODE_AND_TRUNCATE
            yield _EQUAL, 1, 0, _READ_ONLY_TRUNCATE
            yield _RETURN, 0, 0, _ALLOW


def _one_of(argument: int, values: tuple[int, ...]) -> Iterator[_Instruction]:
    """Allow the call if the lower half of an argument is one of the values."""
    yield _LOAD, 0, 0, _ARGUMENTS + 8 * argument
    for value in values:
        yield _EQUAL, 0, 1, value
        yield _RETURN, 0, 0, _ALLOW
