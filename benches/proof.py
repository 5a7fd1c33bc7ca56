#!/usr/bin/env python3
"""How long the fixture's proof takes, beside importing everything once unpackaged.

    taskset -c 0,1 python3 benches/proof.py [--rounds 3]

Builds the fixture, then times in turn: one process of the environment's interpreter that imports every module which the
proof imports, with the same names; the proof with what the environment showed kept from the build; and the proof with
nothing kept, so that the environment's side (imports twice, scripts, start) is run as well. Ratios are of medians of one run,
side by side: absolute times say nothing about another machine.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIXTURE = ROOT / "fixtures" / "agent-runner"
TOOL = ROOT / "target" / "release" / "packproof"

IMPORT = """
import importlib, json, os, sys
sys.path.insert(0, sys.argv[2])
for module, names in json.load(open(sys.argv[1])):
    try:
        found = importlib.import_module(module)
    except BaseException:
        continue
    for name in names:
        try:
            getattr(found, name)
        except AttributeError:
            try:
                importlib.import_module(module + "." + name)
            except BaseException:
                pass
        except BaseException:
            pass
os._exit(0)
"""


def run(*command: object, cache: Path) -> None:
    env = {**os.environ, "PACKPROOF_TOOL_CACHE": str(cache)}
    subprocess.run([str(part) for part in command], check=True, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def checks(artifact: Path) -> list[tuple[str, list[str]]]:
    """As the artifact's own record has them."""
    packed = subprocess.run(["unzip", "-p", artifact, "expected.json.zst"], capture_output=True).stdout
    record = json.loads(subprocess.run(["zstd", "-dc"], input=packed, capture_output=True, check=True).stdout)
    return [(check["module"], check["names"]) for check in record["checks"] if not check["entry_point"]]


def timed(work) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def prove(artifact: Path, cache: Path) -> None:
    run(TOOL, "verify", artifact, FIXTURE, cache=cache)
    proof = json.loads(artifact.with_name(artifact.name + ".proof.json").read_text())["predicate"]
    if proof["verdict"] == "not-proved":
        sys.exit("the fixture is not proved")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path, help="the tool's cache, to use one that is filled")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = options.cache or Path(folder) / "cache"
        artifact = Path(folder) / "agent-runner"
        run(TOOL, "build", FIXTURE, "-o", artifact, cache=cache)
        listed = Path(folder) / "checks.json"
        listed.write_text(json.dumps(checks(artifact)))
        python = next(cache.glob("environments/*/lib/python*/site-packages/daytona")).parents[3] / "bin/python"
        command = [python, "-X", f"pycache_prefix={cache / 'pycache'}", "-c", IMPORT, listed, FIXTURE]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}
        once, kept, anew = [], [], []
        for _ in range(options.rounds):
            once.append(timed(lambda: subprocess.run([str(part) for part in command], **quiet)))
            kept.append(timed(lambda: prove(artifact, cache)))
            shutil.rmtree(cache / "expected")
            anew.append(timed(lambda: prove(artifact, cache)))
        base = statistics.median(once)
        print(f"importing everything once, unpackaged: {base:.1f} s")
        for what, times in (("environment kept", kept), ("nothing kept", anew)):
            median = statistics.median(times)
            print(f"whole proof, {what}: {median:.1f} s, {median / base:.2f} x")


if __name__ == "__main__":
    main()
