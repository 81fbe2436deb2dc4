"""Confinement of the parsing child: no network, allow-lists for files and system calls, limited resources.

Linux only, by system calls through ctypes: `unshare(2)` for an empty network namespace, Landlock (kernel 5.13 and newer,
`Documentation/userspace-api/landlock.rst`) for files, `setrlimit(2)` for resources, and a seccomp filter for everything else
(`sanyu.readers.syscalls`). All of it must happen while the process has one thread,
because the kernel confines threads, not processes; hence before numpy, Arrow or GDAL are imported.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import stat
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from sanyu.readers import syscalls
from sanyu.readers.model import Limits
from sanyu.shipped import packages

NETWORK, FILES, LIMITS, CALLS = "network", "files", "limits", "calls"
PROTECTIONS = (NETWORK, FILES, LIMITS, CALLS)

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_SYS_CAPGET_CAPSET = {"x86_64": (125, 126), "aarch64": (90, 91)}
_CAPABILITIES_VERSION = 0x20080522
_CAP_DAC_OVERRIDE = 1
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture since 5.13
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE = 1 << 14
_FS_BITS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15}  # number of file rights the ABI knows; 16 from ABI 5 on
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_FILE_ONLY = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_NO_TCP = 0b11  # bind and connect, ABI 4
_NO_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11  # ABI 6


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def confine(read: Iterable[Path], write: Iterable[Path], limits: Limits) -> set[str]:
    """Confine this process permanently and return which of `PROTECTIONS` are active.

    `read` are files or folders in addition to Python's own and the system's libraries, `write` are folders. Call it before any thread
    exists.
    """
    die_with_parent()
    libc = _libc()
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    held = set()
    if _leave_network(libc):
        held.add(NETWORK)
    _drop_capabilities(libc)
    if _landlock(libc, [*_runtime_paths(), *read], list(write)):
        held.add(FILES)
    if _set_limits(limits):
        held.add(LIMITS)
    if syscalls.restrict(libc):
        held.add(CALLS)
    return held


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def capabilities() -> dict[str, bool]:
    """Return which protections this machine supports, tested in a separate process."""
    command = [sys.executable, "-P", "-m", "sanyu.readers.child", "--probe"]
    try:
        answer = subprocess.run(command, env=child_environment(), capture_output=True, text=True, timeout=30, check=False).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        answer = []
    return {name: name in answer for name in PROTECTIONS}


def child_environment(**extra: str) -> dict[str, str]:
    """Return the complete environment of the child; only what the loader needs to find libraries is inherited."""
    inherited = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {
        **inherited,
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(packages()),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",  # mimalloc reserves address space that RLIMIT_AS would count
        "MALLOC_ARENA_MAX": "2",
        "OPENPYXL_LXML": "False",
        **extra,
    }


def _leave_network(libc: ctypes.CDLL) -> bool:
    flags = [_CLONE_NEWNET] if os.geteuid() == 0 else []
    return any(libc.unshare(flag) == 0 for flag in [*flags, _CLONE_NEWUSER | _CLONE_NEWNET])


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Drop all capabilities, also in a new user namespace, except root's right to read other users' files, which Landlock restricts."""
    numbers = _SYS_CAPGET_CAPSET.get(platform.machine())
    if numbers is None:
        return
    get, set_ = numbers
    header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
    found = ctypes.create_string_buffer(24)
    if libc.syscall(get, header, found) != 0:
        return
    keep = struct.unpack("=6I", found.raw)[1] & (1 << _CAP_DAC_OVERRIDE)
    libc.syscall(set_, header, struct.pack("=6I", keep, keep, 0, 0, 0, 0))


def _runtime_paths() -> list[Path]:
    """Return the paths that Python and the shared libraries must be able to read; of the project root only its two packages."""
    folders = {Path(path) for path in sysconfig.get_paths().values()}
    folders |= {Path(path).resolve() for path in sys.path if path and Path(path).resolve() != packages()}
    # in an environment made by venv, the standard library is with the interpreter it was made from
    folders |= {Path(sys.prefix) / "lib", Path(sys.base_prefix) / "lib", Path(sys.prefix) / "pyvenv.cfg"}
    folders |= {packages() / "sanyu", packages() / "schemas"}
    folders |= {Path(path) for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path}
    system = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/localtime"]
    return [*folders, *map(Path, system), *map(Path, ["/dev/null", "/dev/urandom", "/dev/zero"])]


def _landlock(libc: ctypes.CDLL, read: list[Path], write: list[Path]) -> bool:
    abi = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    if abi < 1:
        return False
    everything = (1 << _FS_BITS_BY_ABI.get(abi, 16)) - 1
    attributes = struct.pack("=Q", everything)
    if abi >= 4:
        attributes += struct.pack("=Q", _NO_TCP)
    if abi >= 6:
        attributes += struct.pack("=Q", _NO_ABSTRACT_SOCKETS_AND_SIGNALS)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    try:
        allowed = all([_allow(libc, ruleset, path, _READ) for path in read] + [_allow(libc, ruleset, path, everything) for path in write])
        return allowed and libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)) == 0
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> bool:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True  # a path that does not exist needs no permission
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _FILE_ONLY
        rule = struct.pack("=Qi", rights, descriptor)
        return bool(libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, ctypes.c_uint32(0)) == 0)
    finally:
        os.close(descriptor)


def _set_limits(limits: Limits) -> bool:
    megabyte = 1 << 20
    wanted = {
        resource.RLIMIT_AS: limits.max_memory_mb * megabyte,
        resource.RLIMIT_CPU: limits.max_seconds + 5,
        resource.RLIMIT_FSIZE: max(limits.max_output_mb, limits.max_uncompressed_mb) * megabyte,
        resource.RLIMIT_NOFILE: 512,
        resource.RLIMIT_CORE: 0,
    }
    try:
        for kind, value in wanted.items():
            hard = resource.getrlimit(kind)[1]
            bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (bound, bound))
    except (OSError, ValueError):
        return False
    return True
