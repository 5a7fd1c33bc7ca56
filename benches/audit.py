"""The cold audit and the unchanged one, beside `ruff analyze graph` and PyInstaller's analysis, in one run; then how time and
memory grow with the bytes of reached source.

usage: python3 benches/audit.py PACKPROOF PROJECT [--python VENV] [--pyinstaller SCRIPT] [--rounds N]

PROJECT has a packproof.toml, and its environment in `.venv` unless `--python` names it. The peers are installed beside it, not
into it. ruff reads all of site-packages and resolves what lies in it, without names; PyInstaller (asked for by its flag: it
takes minutes) analyses, and is stopped before it packs. Prints the median of each in seconds, the ratio to the cold audit, the median
of the processor time of the process and its children, and the largest resident set of the process itself in MiB. Where others use
the machine too, the processor time says more than the seconds. Nothing is asserted. Standard library alone.

Growth: 1, 3 and 10 copies of the same real sources (12 MB of site-packages), in an environment that holds nothing else, so that
whatever they import is either the standard library or another copy's business. What one copy more costs should stay the same.
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
    """Seconds, exit code, processor time in seconds, and the largest resident set in MiB."""
    before = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - before, child.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def median(name, command, environment=lambda: None, good=(0,)):
    times, busy, sizes = [], [], []
    for _ in range(ROUNDS):
        seconds, code, processor, size = timed(command, environment())
        if code not in good:
            sys.exit("%s ended with %d: %s" % (name, code, " ".join(command)))
        times.append(seconds)
        busy.append(processor)
        sizes.append(size)
    return statistics.median(times), statistics.median(busy), max(sizes)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("packproof")
    arguments.add_argument("project")
    arguments.add_argument("--python", help="the project's environment [default: PROJECT/.venv]")
    arguments.add_argument("--pyinstaller", metavar="SCRIPT", help="analyse this entry script too")
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    asked = arguments.parse_args()
    globals()["ROUNDS"] = asked.rounds
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
            pip = [os.path.join(peer, "python"), "-m", "pip", "--python", python]
            subprocess.run([*pip, "install", "-q", "--target", os.path.join(work, "pyinstaller"), "pyinstaller==6.18.0"], check=True)
            rows.append(("PyInstaller, analysis alone", analysed(python, work, asked.pyinstaller)))
        first = rows[0][1][0]
        for name, (seconds, processor, size) in rows:
            print("%-32s %7.2f s  %6.2f  %6.2f s busy  %5.0f MiB" % (name, seconds, seconds / first, processor, size))
        growth(asked.packproof, packages, work)
    finally:
        shutil.rmtree(work)


def analysed(python, work, script):
    """One round, with an empty configuration folder, so that nothing is cached; it ends where the analysis does."""
    environment = dict(os.environ, PYTHONPATH=os.path.join(work, "pyinstaller"), PYINSTALLER_CONFIG_DIR=os.path.join(work, "config"))
    spec = os.path.join(work, "analysis.spec")
    with open(spec, "w") as file:
        file.write("Analysis([%r], pathex=[%r])\n" % (os.path.abspath(script), os.path.dirname(os.path.abspath(script))))
    command = [python, "-m", "PyInstaller", "--noconfirm", "--workpath", os.path.join(work, "w"), "--distpath", os.path.join(work, "d"), spec]
    seconds, code, processor, size = timed(command, environment)
    if code != 0:
        sys.exit("PyInstaller ended with %d" % code)
    return seconds, processor, size


def growth(packproof, packages, work):
    """The audit of 1, 3 and 10 copies of the same sources."""
    sources, total = [], 0
    for folder, folders, files in os.walk(packages):
        folders.sort()
        for file in sorted(files):
            path = os.path.join(folder, file)
            if file.endswith(".py") and total < 12e6:
                sources.append(path)
                total += os.path.getsize(path)
    project = os.path.join(work, "growth")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", os.path.join(project, ".venv")], check=True)
    with open(os.path.join(project, "packproof.toml"), "w") as file:
        file.write("[runner]\nname = 'growth'\nentry = 'main.py'\n")
    before = None
    for copies in (1, 3, 10):
        for copy in range(copies):
            folder = os.path.join(project, "copy%d" % copy)
            if os.path.isdir(folder):
                continue
            os.mkdir(folder)
            with open(os.path.join(folder, "__init__.py"), "w") as init:
                init.write("try:\n")
                for at, source in enumerate(sources):
                    shutil.copyfile(source, os.path.join(folder, "m%d.py" % at))
                    init.write("    from . import m%d\n" % at)
                init.write("except ImportError:\n    pass\n")
        with open(os.path.join(project, "main.py"), "w") as file:
            file.writelines("import copy%d\n" % copy for copy in range(copies))
        cold = iter(range(1000))
        environment = lambda: dict(os.environ, PACKPROOF_TOOL_CACHE=os.path.join(work, "growth-cache", str(copies), str(next(cold))))
        command = [packproof, "audit", "-q", "--static", project]
        figures = median("growth", command, environment, (0, 1))
        more = ""
        if before is not None:
            each = [(now - then) / (copies - before[0]) for now, then in zip(figures, before[1])]
            more = "  each copy more: %.2f s, %.2f s busy, %.0f MiB" % tuple(each)
        print("%2d copies, %6.1f MB of source %7.2f s  %6.2f s busy  %5.0f MiB%s" % (copies, copies * total / 1e6, *figures, more))
        before = (copies, figures)


main()
