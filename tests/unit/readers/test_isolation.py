"""What the child may not do, and what happens when it takes too much."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from pathlib import Path

import pytest

from sanyu.readers import Limits, ReadOptions, capabilities, launch, parse, sandbox, syscalls
from schemas.messages import SanyuError


def confined(code: str, tmp_path: Path) -> str:
    """Run code in a process that is confined to reading `in` and writing `out` below tmp_path; return what it prints."""
    for name in ("in", "out", "other"):
        (tmp_path / name).mkdir(exist_ok=True)
        if not (tmp_path / name / "file").exists():
            (tmp_path / name / "file").write_text("content")
    setup = f"""
        import os, socket
        from pathlib import Path
        from sanyu.readers import sandbox
        from sanyu.readers.model import Limits
        here = Path({str(tmp_path)!r})
        held = sandbox.confine([here / "in" / "file"], [here / "out"], Limits(max_memory_mb=512))
        def tried(act):
            try:
                act()
            except (OSError, MemoryError) as error:
                return type(error).__name__
            return "done"
    """
    program = textwrap.dedent(setup) + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-P", "-c", program], env=sandbox.child_environment(), capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def outside(tmp_path: Path) -> dict[str, object]:
    """Return what a confined process must leave as it is: mode, times and content of the files beyond its reach."""
    facts = {}
    for name in ("in", "other"):
        file = tmp_path / name / "file"
        stat = file.stat()
        facts[name] = (stat.st_mode, stat.st_uid, stat.st_mtime_ns, stat.st_nlink, file.read_bytes(), os.listxattr(file))
    return facts


needs_isolation = pytest.mark.skipif(not all(capabilities().values()), reason=f"this machine isolates only in part: {capabilities()}")


@needs_isolation
def test_files_beyond_the_allowed_are_out_of_reach(tmp_path):
    code = """
        print(tried(lambda: (here / "in/file").read_text()), tried(lambda: (here / "other/file").read_text()),
              tried(lambda: open("/etc/passwd").read()), tried(lambda: open("/proc/self/environ").read()),
              tried(lambda: (here / "out/new").write_text("x")), tried(lambda: (here / "in/new").write_text("x")),
              tried(lambda: (here / "in/file").write_text("x")), tried(lambda: os.listdir(here)))
    """
    denied = "PermissionError"
    assert confined(code, tmp_path).split() == ["done", denied, denied, denied, "done", denied, denied, denied]


@needs_isolation
def test_there_is_no_network(tmp_path):
    code = """
        print(tried(lambda: socket.create_connection(("127.0.0.1", 9), 1)), tried(lambda: socket.create_connection(("192.0.2.1", 80), 1)))
    """
    assert "done" not in confined(code, tmp_path)


CHANGES = {
    "chmod": "os.chmod(target, 0o777)",
    "fchmod": "os.fchmod(os.open(here / 'in/file', os.O_RDONLY), 0o777)",
    "chown": "os.chown(target, 12345, 12345)",
    "utime": "os.utime(target, (1, 1))",
    "futimens": "os.utime(os.open(here / 'in/file', os.O_RDONLY), (1, 1))",
    "truncate": "os.truncate(target, 0)",
    "open to truncate": "os.open(target, os.O_RDONLY | os.O_TRUNC)",
    "unlink": "os.unlink(target)",
    "rename": "os.rename(target, here / 'out/stolen')",
    "link": "os.link(target, here / 'out/link')",
    "setxattr": "os.setxattr(target, 'user.mark', b'x')",
    "mkfifo": "os.mkfifo(here / 'out/fifo')",
    "flock": "__import__('fcntl').flock(os.open(here / 'in/file', os.O_RDONLY), 6)",
    "file attributes": "__import__('fcntl').ioctl(os.open(here / 'in/file', os.O_RDONLY), 0x40086602, bytes(8))",
}


@needs_isolation
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("where", ["in", "other"])
def test_files_beyond_the_output_folder_keep_content_mode_owner_and_times(tmp_path, name, where):
    code = f"""
        target = here / "{where}/file"
        try:
            {CHANGES[name]}
        except OSError as error:
            print(type(error).__name__)
        else:
            print("done")
    """
    for folder in ("in", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text("content")
    before = outside(tmp_path)
    assert confined(code, tmp_path) in ("PermissionError", "OSError")
    assert outside(tmp_path) == before


@needs_isolation
@pytest.mark.parametrize("address", ["path", "abstract"])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_unix_sockets_are_out_of_reach(tmp_path, address, kind):
    name = str(tmp_path / "socket") if address == "path" else "\0" + uuid.uuid4().hex
    with socket.socket(socket.AF_UNIX, kind) as server:
        server.bind(name)
        if kind == socket.SOCK_STREAM:
            server.listen()
        code = f"print(tried(lambda: socket.socket(socket.AF_UNIX, {int(kind)}).connect({name!r})))"
        assert confined(code, tmp_path) == "PermissionError"


@needs_isolation
@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_VSOCK", "AF_ALG", "AF_PACKET"])
def test_no_socket_of_any_family_is_made(tmp_path, family):
    assert confined(f"print(tried(lambda: socket.socket(socket.{family}, socket.SOCK_RAW, 0)))", tmp_path) == "PermissionError"


@pytest.fixture
def bystander():
    """A process of the same user that does nothing."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


@needs_isolation
def test_other_processes_are_out_of_reach(tmp_path, bystander):
    code = f"""
        import ctypes, signal
        libc = ctypes.CDLL(None, use_errno=True)
        pid = {bystander.pid}
        def call(number, *arguments):
            ctypes.set_errno(0)
            return libc.syscall(number, *map(ctypes.c_long, arguments)), ctypes.get_errno()
        print([
            tried(lambda: os.kill(pid, signal.SIGTERM)), tried(lambda: os.kill(os.getppid(), 0)), tried(lambda: os.kill(-1, 0)),
            tried(lambda: os.killpg(os.getpgid(pid), signal.SIGTERM)), tried(lambda: os.setpriority(os.PRIO_PROCESS, pid, 19)),
            tried(lambda: os.sched_setaffinity(pid, [0])), tried(lambda: os.fork()), tried(lambda: os.execv("/bin/true", ["true"])),
            tried(lambda: os.pidfd_open(pid)),
            tried(lambda: __import__("fcntl").fcntl(0, 8, pid)),
            tried(lambda: __import__("resource").prlimit(pid, 7, (10, 10))), tried(lambda: open(f"/proc/{{pid}}/mem").read()),
        ])
        if os.uname().machine == "x86_64":
            numbers = dict(ptrace=101, process_vm_readv=310, shmget=29, msgget=68, semget=64, mq_open=240, memfd_create=319, keyctl=250,
                           io_uring_setup=425, perf_event_open=298, bpf=321, userfaultfd=323, unshare=272, setns=308, mount=165,
                           name_to_handle_at=303, open_by_handle_at=304, rt_sigqueueinfo=129, clone3=435, pidfd_getfd=438,
                           prctl_pdeathsig=157, seccomp=317, acct=163, reboot=169, swapon=167, quotactl=179, future=999)
            print([name for name, number in numbers.items() if call(number, 1, 0, 0, 0, 0)[1] not in (1, 38)])
    """
    said = confined(code, tmp_path).splitlines()
    outcomes = eval(said[0])
    assert [outcome for outcome in outcomes if outcome not in ("PermissionError", "OSError")] == []
    assert said[1:] in ([], ["[]"])
    assert bystander.poll() is None


@needs_isolation
def test_the_childs_own_threads_files_and_signals_work(tmp_path):
    code = """
        import threading, signal, sqlite3, tempfile, time
        done = []
        thread = threading.Thread(target=lambda: done.append(1)); thread.start(); thread.join()
        os.kill(os.getpid(), 0)
        time.sleep(0.001)
        (here / "out/a").write_text("x"); os.replace(here / "out/a", here / "out/b")
        with sqlite3.connect(here / "out/c") as base:
            base.execute("CREATE TABLE t AS SELECT 1 AS n")
        import numpy
        print(done, sorted(os.listdir(here / "out")), float(numpy.ones((300, 300)).dot(numpy.ones((300, 300)))[0, 0]))
    """
    assert confined(code, tmp_path) == "[1] ['b', 'c', 'file'] 300.0"


def test_tables_of_system_calls_agree_with_the_kernels_headers():
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip("no kernel headers")
    known = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", header.read_text())}
    listed = syscalls.allowed(0) | syscalls.numbers(syscalls._WITH_ARGUMENTS, 0)
    assert {name: known.get(name) for name in listed} == listed


def test_descriptors_and_environment_are_not_inherited(write, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    secret = os.open(__file__, os.O_RDONLY)
    os.set_inheritable(secret, True)
    seen = tmp_path / "seen"
    real = launch.subprocess.Popen
    program = (
        "import os, sys\n"
        "seen = sorted(map(int, os.listdir('/proc/self/fd'))), 'AWS_SECRET_ACCESS_KEY' in os.environ\n"
        f"open({str(seen)!r}, 'w').write(repr(seen))\n"
        "from sanyu.readers import child; child.main()"
    )
    monkeypatch.setattr(launch.subprocess, "Popen", lambda command, **options: real([sys.executable, "-P", "-c", program], **options))
    parse(write("a.csv", "a\n1\n"), tmp_path / "out", ReadOptions(format="csv"))
    os.close(secret)
    assert eval(seen.read_text()) == ([0, 1, 2, 3], False)  # 3 is the folder that was being listed


@pytest.mark.parametrize("name", ["parsed.json", ".work/stderr", "part-00000.parquet"])
def test_links_that_the_child_leaves_are_not_followed(write, tmp_path, monkeypatch, name):
    """A parser that was taken over points a name, which the parent will write or read, at a file of the user."""
    secret = tmp_path / "secret"
    secret.write_text("password")
    link = tmp_path / "out" / name
    program = f"""
import atexit, os
from sanyu.readers import child
def leave():
    if os.path.lexists({str(link)!r}):
        os.unlink({str(link)!r})
    os.symlink({str(secret)!r}, {str(link)!r})
atexit.register(leave)
child.main()
"""
    real = launch.subprocess.Popen
    monkeypatch.setattr(launch.subprocess, "Popen", lambda command, **options: real([sys.executable, "-P", "-c", program], **options))
    path = write("a.csv", "a\n1\n")
    if name.startswith("part-"):
        with pytest.raises(SanyuError, match="SY-R031") as caught:
            parse(path, tmp_path / "out", ReadOptions(format="csv"))
        assert "password" not in str(caught.value)
    else:
        parse(path, tmp_path / "out", ReadOptions(format="csv"))
    assert secret.read_text() == "password"
    assert not link.is_symlink()


@needs_isolation
def test_memory_is_bounded(tmp_path):
    assert confined("print(tried(lambda: bytearray(1 << 30)))", tmp_path) == "MemoryError"


def test_environment_of_the_child_holds_no_secrets(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert "secret" not in sandbox.child_environment().values()


def test_protections_are_reported_with_the_rows(read, write):
    got = read(write("a.csv", "a\n1\n"), "csv")
    if all(capabilities().values()):
        assert got.parsed.isolation == "network+files+limits+calls"
        assert got.warnings == []
    else:
        assert "SY-R083" in got.warnings


def big_csv(write) -> Path:
    return write("big.csv", "a,b,c\n" + "1,2,3\n" * 3_000_000)


def test_time_is_bounded_and_nothing_is_left(write, tmp_path):
    began = time.monotonic()
    with pytest.raises(SanyuError, match=r"SY-R016: big.csv: reading took longer than 1 s"):
        parse(big_csv(write), tmp_path / "out", ReadOptions(format="csv", limits=Limits(max_seconds=1)))
    assert time.monotonic() - began < 5
    assert list((tmp_path / "out").iterdir()) == []


def test_too_little_memory_is_said(write, tmp_path):
    text = '{"elements":[' + ",".join(['{"type":"node","id":1,"lat":1,"lon":1}'] * 2_000_000) + "]}"
    with pytest.raises(SanyuError, match=r"SY-R017: a.json: reading needs more than 400 MB"):
        parse(write("a.json", text), tmp_path / "out", ReadOptions(format="overpass", limits=Limits(max_memory_mb=400)))


def test_output_is_bounded(write, tmp_path):
    with pytest.raises(SanyuError, match="SY-R018"):
        parse(big_csv(write), tmp_path / "out", ReadOptions(format="csv", limits=Limits(max_output_mb=1)))


def test_interruption_ends_the_child_and_removes_its_parts(write, tmp_path):
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    before = children()
    with pytest.raises(KeyboardInterrupt):
        parse(big_csv(write), tmp_path / "out", ReadOptions(format="csv"), interrupt)
    assert list((tmp_path / "out").iterdir()) == []
    assert children() == before


def children() -> set[str]:
    tasks = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children")
    return set(tasks.read_text().split()) if tasks.exists() else set()


def test_progress_counts_rows(write, tmp_path):
    seen: list[int] = []
    parse(write("a.csv", "a\n" + "1\n" * 50_000), tmp_path / "out", ReadOptions(format="csv"), seen.append)
    assert seen == [20_000, 40_000, 50_000]


def test_crash_of_the_parser_is_an_error_of_the_file(write, tmp_path, monkeypatch):
    program = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    real = launch.subprocess.Popen
    monkeypatch.setattr(launch.subprocess, "Popen", lambda command, **options: real([sys.executable, "-c", program], **options))
    with pytest.raises(SanyuError, match=r"SY-R019: a.csv: the parser of csv died \(SIGSEGV\)"):
        parse(write("a.csv", "a\n1\n"), tmp_path / "out", ReadOptions(format="csv"))


def test_strict_refuses_where_a_protection_is_missing(write, tmp_path, monkeypatch):
    real = launch.subprocess.Popen
    program = "from sanyu.readers import child, sandbox; sandbox._landlock = lambda *a: False; child.main()"
    monkeypatch.setattr(launch.subprocess, "Popen", lambda command, **options: real([sys.executable, "-P", "-c", program], **options))
    path = write("a.csv", "a\n1\n")
    with pytest.raises(SanyuError, match=r"SY-R027: a.csv was not opened.*files"):
        parse(path, tmp_path / "out", ReadOptions(format="csv", strict=True))
    parsed = parse(path, tmp_path / "out", ReadOptions(format="csv"))
    assert parsed.isolation == "network+limits+calls"
    assert [note.code for note in parsed.warnings] == ["SY-R083"]


def test_record_is_written_beside_the_parts_and_reads_back(write, tmp_path):
    import json

    from sanyu.readers import Parsed

    parsed = parse(write("a.csv", "a\n1\n"), tmp_path / "out", ReadOptions(format="csv"))
    assert Parsed.from_dict(json.loads((tmp_path / "out" / "parsed.json").read_text("utf-8")), tmp_path / "out") == parsed
