"""The cold audit and the unchanged one, beside `ruff analyze graph` and PyInstaller's analysis, in one run.

usage: python3 benches/audit.py PACKPROOF PROJECT [--python VENV] [--pyinstaller SCRIPT]

PROJECT has a packproof.toml, and its environment in `.venv` unless `--python` names it. The peers are installed beside it, not
into it. ruff reads all of site-packages and resolves what lies in it, without names; PyInstaller (asked for by its flag: it
takes minutes) analyses and packs. Prints the median of each in seconds, and the ratio to the cold audit. Nothing is
asserted. Standard library alone.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5


def timed(command, environment=None):
    before = time.perf_counter()
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - before, ended.returncode


def median(name, command, environment=lambda: None, good=(0,)):
    times = []
    for _ in range(ROUNDS):
        seconds, code = timed(command, environment())
        if code not in good:
            sys.exit("%s ended with %d: %s" % (name, code, " ".join(command)))
        times.append(seconds)
    return statistics.median(times)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("packproof")
    arguments.add_argument("project")
    arguments.add_argument("--python", help="the project's environment [default: PROJECT/.venv]")
    arguments.add_argument("--pyinstaller", metavar="SCRIPT", help="analyse this entry script too")
    asked = arguments.parse_args()
    folder = asked.python or os.path.join(asked.project, ".venv")
    python = os.path.join(folder, "bin", "python")
    facts = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True, check=True)
    packages = facts.stdout.strip()
    work = tempfile.mkdtemp()
    try:
        subprocess.run([sys.executable, "-m", "venv", os.path.join(work, "peers")], check=True)
        peer = os.path.join(work, "peers", "bin")
        subprocess.run([os.path.join(peer, "python"), "-m", "pip", "install", "-q", "ruff==0.14.0"], check=True)
        count = [0]

        def cold():
            count[0] += 1
            return dict(os.environ, PACKPROOF_TOOL_CACHE=os.path.join(work, "cache%d" % count[0]))

        warm = dict(os.environ, PACKPROOF_TOOL_CACHE=os.path.join(work, "warm"))
        audit = [asked.packproof, "audit", "-q", "--python", python, asked.project]
        timed(audit, warm)
        rows = [
            ("packproof audit, cold", median("audit", audit, cold, (0, 1))),
            ("packproof audit, unchanged", median("audit", audit, lambda: warm, (0, 1))),
            ("packproof audit --static", median("audit", [*audit, "--static"], cold, (0, 1))),
            ("packproof graph", median("graph", [asked.packproof, "graph", "-q", "--python", python, asked.project], cold)),
            ("ruff analyze graph", median("ruff", [os.path.join(peer, "ruff"), "analyze", "graph", packages])),
        ]
        if asked.pyinstaller:
            subprocess.run([python, "-m", "pip", "install", "-q", "--target", os.path.join(work, "pyinstaller"), "pyinstaller==6.18.0"], check=True)
            rows.append(("PyInstaller (analysis and all)", analysed(python, work, asked.pyinstaller)))
        first = rows[0][1]
        for name, seconds in rows:
            print("%-32s %7.2f s  %6.2f" % (name, seconds, seconds / first))
    finally:
        shutil.rmtree(work)


def analysed(python, work, script):
    """One round: an empty configuration folder, so that nothing is cached."""
    environment = dict(os.environ, PYTHONPATH=os.path.join(work, "pyinstaller"), PYINSTALLER_CONFIG_DIR=os.path.join(work, "config"))
    command = [python, "-m", "PyInstaller", "--noconfirm", "--workpath", os.path.join(work, "w"), "--distpath", os.path.join(work, "d"), "--specpath", work, script]
    seconds, code = timed(command, environment)
    if code != 0:
        sys.exit("PyInstaller ended with %d" % code)
    return seconds


main()
