"""What the child may not do, and what happens when it takes too much."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from sanyu.readers import Limits, ReadOptions, capabilities, launch, parse, sandbox
from schemas.messages import SanyuError


def confined(code: str, tmp_path: Path) -> str:
    """Run code in a process that is confined to reading `in` and writing `out` below tmp_path; return what it prints."""
    for name in ("in", "out", "other"):
        (tmp_path / name).mkdir()
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


@needs_isolation
def test_memory_is_bounded(tmp_path):
    assert confined("print(tried(lambda: bytearray(1 << 30)))", tmp_path) == "MemoryError"


def test_environment_of_the_child_holds_no_secrets(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert "secret" not in sandbox.child_environment().values()


def test_protections_are_reported_with_the_rows(read, write):
    got = read(write("a.csv", "a\n1\n"), "csv")
    if all(capabilities().values()):
        assert got.parsed.isolation == "network+files+limits"
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
    assert parsed.isolation == "network+limits"
    assert [note.code for note in parsed.warnings] == ["SY-R083"]


def test_record_is_written_beside_the_parts_and_reads_back(write, tmp_path):
    import json

    from sanyu.readers import Parsed

    parsed = parse(write("a.csv", "a\n1\n"), tmp_path / "out", ReadOptions(format="csv"))
    assert Parsed.from_dict(json.loads((tmp_path / "out" / "parsed.json").read_text("utf-8")), tmp_path / "out") == parsed
