"""packproof, PyInstaller and the unpackaged program side by side, on the runner of `fixtures/agent-runner`.

    cargo build --release && python3 benches/compare.py [--runs 5] [--work DIR]

Makes the fixture's environment once, installs PyInstaller 6.18.0 beside it (not into it), builds both, and times whole
processes in turn: A B C A B C …, so that all see the same machine. Prints one table of medians, in Markdown. Standard
library alone. `--work` keeps environment and builds for a second run; first starts always unpack into new folders.
"""

import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
FIXTURE = REPOSITORY / "fixtures" / "agent-runner"
PACKPROOF = REPOSITORY / "target" / "release" / "packproof"
PYINSTALLER = "pyinstaller==6.18.0"
READY = "Worker ready"
# A daemon that never gets ready is waited for no longer.
LIMIT = 120
HELLO = 'print("hello")\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of each start; builds run three times at most")
    parser.add_argument("--work", type=Path, help="a folder to keep environment and builds in")
    arguments = parser.parse_args()
    with work_folder(arguments.work) as work:
        bench = Bench(work, arguments.runs)
        print(render(bench.build_rows() + bench.size_rows() + bench.start_rows() + bench.hello_rows()))


@contextmanager
def work_folder(wanted):
    if wanted:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted.resolve()
    else:
        with tempfile.TemporaryDirectory(prefix="packproof-bench-") as folder:
            yield Path(folder)


class Bench:
    def __init__(self, work, runs):
        self.work, self.runs = work, runs
        self.fresh = 0
        self.cache = work / "tool-cache"
        self.out = work / "out"
        self.out.mkdir(exist_ok=True)
        say("environment")
        self.packproof("audit", FIXTURE)
        environments = self.cache / "environments"
        self.python = next(
            path / "bin" / "python"
            for path in environments.iterdir()
            if list(path.glob("lib/python*/site-packages/daytona"))
        )
        self.pyinstaller_home = work / "pyinstaller"
        if not self.pyinstaller_home.exists():
            say("PyInstaller")
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", self.pyinstaller_home]
            run([*pip, PYINSTALLER], {})
        self.artifact = self.out / "agent-runner"
        self.frozen = self.out / "frozen" / "agent-runner"

    # Builds

    def packproof(self, command, *arguments):
        return measure([PACKPROOF, command, "--quiet", *arguments], {"PACKPROOF_TOOL_CACHE": self.cache})

    def build(self, level="fast", cold=True, name="agent-runner"):
        if cold:
            for entry in self.cache.iterdir():
                if entry.name != "environments":
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        return self.packproof("build", "--no-proof", "--compression", level, "-o", self.out / name, FIXTURE)

    def freeze(self, script=FIXTURE / "main.py", name="agent-runner"):
        folder = self.new("freeze")
        hidden = []
        if name == "agent-runner":
            modules = ["multipart", "python_multipart", "daytona._async.filesystem", "agentapis.v1.task_pb2"]
            modules += ["agentapis.v1.report_pb2", "worker.activities", "worker.registry", "worker.sandbox"]
            hidden = [word for module in modules for word in ("--hidden-import", module)]
            hidden += ["--collect-data", "worker", "--paths", FIXTURE]
        command = [self.python, "-m", "PyInstaller", "--onefile", "--noconfirm", "--log-level", "ERROR"]
        command += ["--name", name, "--workpath", folder / "work", "--specpath", folder]
        command += ["--distpath", self.out / "frozen", *hidden, script]
        return measure(command, {"PYTHONPATH": self.pyinstaller_home, "PYINSTALLER_CONFIG_DIR": folder / "config"})

    def build_rows(self):
        say("builds")
        builds = min(self.runs, 3)
        cold, warm, frozen = [], [], []
        for _ in range(builds):
            cold.append(self.build())
            warm.append(self.build(cold=False))
            frozen.append(self.freeze())
        balanced = self.build("balanced", name="balanced")
        small = self.build("small", name="small")
        say("proof")
        proof = self.packproof("verify", self.artifact, FIXTURE)
        ours, unchanged, theirs = median_seconds(cold), median_seconds(warm), median_seconds(frozen)
        rows = [
            row("build, graph to file, nothing cached", "", seconds(ours), seconds(theirs), ratio(ours, theirs)),
            row("… `--compression balanced`", "", seconds(balanced.seconds), "", ratio(balanced.seconds, theirs)),
            row("… `--compression small`", "", seconds(small.seconds), "", ratio(small.seconds, theirs)),
            row("build, nothing changed", "", seconds(unchanged), "", ""),
            row("proof", "", seconds(proof.seconds), "none", ""),
        ]
        peak = max(it.mebibytes for it in frozen)
        for level, builds in [("fast", cold), ("balanced", [balanced]), ("small", [small])]:
            most = max(it.mebibytes for it in builds)
            rows.append(row(f"memory of such a build, `{level}`", "", f"{most:.0f} MiB", f"{peak:.0f} MiB", ratio(most, peak)))
        return rows

    def size_rows(self):
        theirs = self.frozen.stat().st_size
        rows = []
        for level, name in [("fast", "agent-runner"), ("balanced", "balanced"), ("small", "small")]:
            ours = (self.out / name).stat().st_size
            rows.append(row(f"size, `{level}`", "", megabytes(ours), megabytes(theirs), ratio(ours, theirs)))
        return rows

    # Starts

    def start_rows(self):
        """The daemon until it polls, then SIGTERM and exit 0; PyInstaller's dies before."""
        say("starts")
        unpackaged, first, later, in_memory, again = [], [], [], [], []
        for _ in range(self.runs):
            # What a disk does where files were removed a moment ago, as builds do, is no part of it there.
            with tempfile.TemporaryDirectory(prefix="packproof-bench-", dir="/dev/shm") as memory:
                held = Path(memory) / "packproof"
                in_memory.append(self.until_ready([self.artifact], {"PACKPROOF_CACHE": held}))
                again.append(self.until_ready([self.artifact], {"PACKPROOF_CACHE": held}))
            # Each in a folder that nothing has been in before, and that the launcher makes itself, as for a user.
            cache = self.new("cache") / "packproof"
            unpackaged.append(self.until_ready([self.python, FIXTURE / "main.py"], {}))
            first.append(self.until_ready([self.artifact], {"PACKPROOF_CACHE": cache}))
            later.append(self.until_ready([self.artifact], {"PACKPROOF_CACHE": cache}))
        # Once is enough to see it die, or to be wrong.
        frozen = self.until_ready([self.frozen], {}, may_fail=True)
        base = statistics.median(unpackaged)
        rows = [row("daemon ready, unpackaged", seconds(base), "", frozen if isinstance(frozen, str) else seconds(frozen), "")]
        starts = [("daemon ready, first start", first), ("daemon ready, later starts", later)]
        starts += [("… first start, from a tmpfs", in_memory), ("… later starts, from a tmpfs", again)]
        for name, times in starts:
            ours = statistics.median(times)
            rows.append(row(name, seconds(base), seconds(ours), "", f"{ours / base:.2f} × unpackaged"))
        return [*rows, self.import_row(cache)]

    def import_row(self, cache):
        """What the daemon's activities and all that they import take, as the process itself measures it."""
        code = (
            "import os, sys, time; sys.path.insert(0, os.path.join(sys.prefix, sys.argv[1])); begun = time.perf_counter(); "
            "import worker.activities; print(time.perf_counter() - begun, flush=True); os._exit(0)"
        )

        def took(command, variables):
            said = subprocess.run(command, env=clean(variables), capture_output=True, text=True, check=True).stdout
            return float(said.split()[-1])

        unpackaged, ours = [], []
        for _ in range(self.runs * 2):
            unpackaged.append(took([self.python, "-c", code, FIXTURE], {}))
            ours.append(took([self.artifact, "-c", code, "app"], {"PACKPROOF": "python", "PACKPROOF_CACHE": cache}))
        base, packed = statistics.median(unpackaged), statistics.median(ours)
        return row("… import of its activities alone", seconds(base), seconds(packed), "", ratio(packed, base, "unpackaged"))

    def hello_rows(self):
        say("hello")
        script = self.new("hello") / "hello.py"
        script.write_text(HELLO)
        ours, theirs = self.out / "hello", self.out / "frozen" / "hello"
        arguments = ["--no-proof", "--python", self.python, "-o", ours, script]
        run([PACKPROOF, "build", "--quiet", *arguments], {"PACKPROOF_TOOL_CACHE": self.cache})
        self.freeze(script, "hello")
        cache = self.new("cache") / "packproof"
        run([ours], {"PACKPROOF_CACHE": cache})
        times = {"unpackaged": [], "ours": [], "theirs": []}
        for _ in range(self.runs * 4):
            times["unpackaged"].append(run([self.python, script], {}))
            times["ours"].append(run([ours], {"PACKPROOF_CACHE": cache}))
            times["theirs"].append(run([theirs], {}))
        base, packed, frozen = (statistics.median(times[key]) for key in ("unpackaged", "ours", "theirs"))
        return [
            row("hello world, later starts", milliseconds(base), milliseconds(packed), milliseconds(frozen), ratio(packed, base, "unpackaged")),
        ]

    def until_ready(self, command, variables, may_fail=False):
        folder = self.new("start")
        port = folder / "port"
        peer = subprocess.Popen([self.python, FIXTURE / "frontend.py", "--port-file", port], cwd=FIXTURE)
        try:
            wait_for(port.exists)
            output = folder / "output"
            environment = {**clean(variables, folder), "MODE": "local", "TEMPORAL_PORT_FILE": str(port)}
            with output.open("wb") as sink:
                begun = time.monotonic()
                daemon = subprocess.Popen(command, env=environment, cwd=folder, stdout=sink, stderr=sink)
                try:
                    wait_for(lambda: READY in output.read_text() or daemon.poll() is not None)
                    took = time.monotonic() - begun
                    said = output.read_text()
                    if READY not in said:
                        if may_fail:
                            return f"dies after {took:.1f} s: {last_error(said)}"
                        raise SystemExit(f"{command} did not get ready:\n{said}")
                finally:
                    daemon.send_signal(signal.SIGTERM)
                    code = daemon.wait(LIMIT)
            if code != 0 and not may_fail:
                raise SystemExit(f"{command} ended with {code}:\n{output.read_text()}")
            return took
        finally:
            peer.terminate()
            peer.wait()

    def new(self, purpose):
        self.fresh += 1
        return Path(tempfile.mkdtemp(prefix=f"{purpose}-{self.fresh}-", dir=self.work))


def clean(variables, home=None):
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(home or os.environ["HOME"])}
    environment.update({name: str(value) for name, value in variables.items()})
    return environment


class Took(NamedTuple):
    seconds: float
    # Of the process, or of the largest of those that it has waited for.
    mebibytes: float


def measure(command, variables):
    """What the whole process took. An installer may need the caller's own settings."""
    with tempfile.TemporaryFile() as errors:
        begun = time.monotonic()
        environment = {**os.environ, **clean(variables)}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        took = Took(time.monotonic() - begun, usage.ru_maxrss / 1024)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            said = errors.read().decode(errors="replace")
            raise SystemExit(f"{' '.join(map(str, command))}: exit {process.returncode}\n{said}")
    return took


def run(command, variables):
    return measure(command, variables).seconds


def median_seconds(took):
    return statistics.median(it.seconds for it in took)


def wait_for(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("waited too long")
        time.sleep(0.005)


def last_error(text):
    errors = re.findall(r"^\w*Error: .*", text, re.MULTILINE)
    return errors[-1] if errors else text.strip().splitlines()[-1]


def say(what):
    print(f"{what} …", file=sys.stderr)


def seconds(value):
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def milliseconds(value):
    return f"{value * 1000:.1f} ms"


def megabytes(value):
    return f"{value / 1e6:.1f} MB"


def ratio(ours, other, name="PyInstaller"):
    return f"{ours / other:.2f} × {name}"


def row(*cells):
    return cells


def render(rows):
    head = [("", "unpackaged", "packproof", "PyInstaller 6.18", "ratio"), ("---",) * 5]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in head + rows)


if __name__ == "__main__":
    main()
