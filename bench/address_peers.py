"""Peers of the address engine, installed by name into folders of their own: PyPI cpca, jionlp, addressparser; npm address-parse.

Each reads a JSON list of texts and gives a JSON list of [province, city, district] with the CPU seconds that it took after loading.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import unicodedata
from itertools import pairwise
from pathlib import Path

import numpy as np
import opencc
import pandas as pd
from pypinyin import lazy_pinyin
from sklearn.feature_extraction.text import TfidfVectorizer

PYTHON_PEERS = ("cpca", "jionlp", "addressparser")
# cpca imports pkg_resources, which setuptools 81 dropped; addressparser imports six without asking for it.
_NEEDS = (*PYTHON_PEERS, "setuptools<81", "six")
_HEAD = """
import contextlib, json, sys, time, warnings
warnings.simplefilter("ignore")
out, sys.stdout = sys.stdout, sys.stderr
texts = json.load(open(sys.argv[1], encoding="utf-8"))
"""
_TAIL = """
run(texts[:20])
start = time.process_time()
rows = run(texts)
json.dump({"rows": rows, "cpu_s": time.process_time() - start}, out)
"""
_FRAME = """
import {0}
def run(texts):
    frame = {0}.transform(texts)
    return frame[["省", "市", "区"]].fillna("").values.tolist()
"""
_BODIES = {
    "cpca": _FRAME.format("cpca"),
    "addressparser": _FRAME.format("addressparser"),
    "jionlp": """
import jionlp
def run(texts):
    found = [jionlp.parse_location(text) for text in texts]
    return [[f.get(k) or "" for k in ("province", "city", "county")] for f in found]
""",
}
_NODE = """
const fs = require("fs"), {default: Parse} = require("address-parse");
const texts = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const run = list => list.map(t => { const r = (Parse.parse(t) || [])[0] || {}; return [r.province || "", r.city || "", r.area || ""]; });
run(texts.slice(0, 20));
const start = process.cpuUsage();
const rows = run(texts);
const used = process.cpuUsage(start);
process.stdout.write(JSON.stringify({rows, cpu_s: (used.user + used.system) / 1e6}));
"""


def peer_folder() -> Path:
    """Return the cache folder of the peers."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sanyu" / "address-peers"


def parsed_by_peers(texts: list[str], work: Path) -> dict[str, tuple[pd.DataFrame, float]]:
    """Return per peer its divisions (province, city, district) and CPU seconds; a peer that fails is told and left out."""
    asked = work / "texts.json"
    asked.write_text(json.dumps(texts, ensure_ascii=False), "utf-8")
    commands: dict[str, list[str]] = {}
    python = _python()
    for name in PYTHON_PEERS if python else ():
        script = work / f"{name}_peer.py"
        script.write_text(_HEAD + _BODIES[name] + _TAIL, "utf-8")
        commands[name] = [str(python), str(script), str(asked)]
    node = _node()
    if node:
        script = node / "peer.js"
        script.write_text(_NODE, "utf-8")
        commands["address-parse (npm)"] = ["node", str(script), str(asked)]
    found = {}
    for name, command in commands.items():
        done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
        if done.returncode:
            print(f"peer {name} failed: {done.stderr.strip().splitlines()[-1:]}")
            continue
        answer = json.loads(done.stdout)
        found[name] = (pd.DataFrame(answer["rows"], columns=["province", "city", "district"]), float(answer["cpu_s"]))
    return found


def _python() -> Path | None:
    """Return the peers' Python, installed on the first call; None, and a word why, where that fails."""
    folder = peer_folder() / "venv"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        for command in (
            [uv, "venv", "-q", "--clear", "--python", "3.11", str(folder)],
            [uv, "pip", "install", "-q", "--python", str(python), *_NEEDS],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"Python peers not installed: {done.stderr.strip()[-200:]}")
                return None
        (folder / "ready").touch()
    return python


def _node() -> Path | None:
    folder = peer_folder() / "node"
    if not (folder / "node_modules" / "address-parse").exists():
        folder.mkdir(parents=True, exist_ok=True)
        npm = shutil.which("npm")
        if (
            npm is None
            or subprocess.run([npm, "install", "--silent", "address-parse"], cwd=folder, capture_output=True, check=False).returncode
        ):
            print("npm peer not installed")
            return None
    return folder


def tfidf_top1(standard: list[str], queries: list[str], *, chunk: int = 500) -> np.ndarray:
    """Return the row of the most alike standard text per query: TF-IDF over character and syllable n-grams, cosine.

    Width and script are levelled first (NFKC, OpenCC), as anybody would.
    """
    simplified = opencc.OpenCC("t2s")

    def grams(text: str) -> list[str]:
        text = simplified.convert(unicodedata.normalize("NFKC", text))
        syllables = lazy_pinyin(text)
        pairs = [text[i : i + 2] for i in range(len(text) - 1)]
        return [*text, *pairs, *syllables, *(" ".join(pair) for pair in pairwise(syllables))]

    vectoriser = TfidfVectorizer(analyzer=grams, dtype=np.float32)
    base = vectoriser.fit_transform(standard).T.tocsr()
    asked = vectoriser.transform(queries)
    return np.concatenate([np.asarray((asked[i : i + chunk] @ base).argmax(axis=1)).ravel() for i in range(0, asked.shape[0], chunk)])
