"""Imports what it is told to and reports on each import, or runs a script with the application's `sys.path`.

The same file runs under the environment's interpreter and under the artifact's. Standard library alone, Python 3.9
and newer. Its one argument is a JSON file:

    path      folders to put at the front of sys.path in the place of this file's own, relative ones to sys.prefix
    results   file to write JSON lines to; `nonce` is in each, so that nothing else passes for one
    script    run this file as __main__
    pytest    run pytest on these; `plugins` are folders to put at the end of sys.path for that
    checks    where there is neither: [{"id", "module", "names"}], or {"id", "group", "name", "value"} for an entry point
    brief     do without what takes long to tell of the distributions, and is the same in each process
    labels    {"<scratch>": [folder…]}: what to write in the place of folders in messages
    known     folders that an open file may lie in without being named
    posing    whether to show what a virtual environment is seen by
    litter    folders of the whole run that should be empty in the end
    without   files, and folders for all in them, that no finder is to find
"""
import encodings.utf_8_sig  # 3.13 reads .pth files with it, of which the artifact has one more
import json
import os
import sys

STDLIB = frozenset(getattr(sys, "stdlib_module_names", ()))


def front(folders):
    folders = [os.path.join(sys.prefix, folder) for folder in folders]
    sys.path[:] = folders + [entry for entry in sys.path[1:] if entry not in folders]


WITHOUT = set()


def is_out(path):
    """Whether it is one of what the artifact does without, or lies in one."""
    while WITHOUT and path not in WITHOUT:
        path, last = os.path.dirname(path), path
        if path == last:
            return False
    return bool(WITHOUT)


def leave_out(paths):
    """Puts a finder in the place of the path finder's that passes over `paths`, entry by entry as the path finder goes on."""
    from importlib import machinery, util
    WITHOUT.update(paths)
    suffixes = machinery.EXTENSION_SUFFIXES + machinery.SOURCE_SUFFIXES

    class Finder(machinery.PathFinder):
        @classmethod
        def find_spec(cls, name, path=None, target=None):
            portions = []
            for entry in sys.path if path is None else path:
                spec = machinery.PathFinder.find_spec(name, [entry], target)
                if spec is not None and spec.loader is not None and is_out(spec.origin):
                    # A package may have stood before a file of its name.
                    stem = os.path.join(entry, name.rpartition(".")[2])
                    files = [stem + suffix for suffix in suffixes if os.path.isfile(stem + suffix)]
                    files = [file for file in files if not is_out(file)]
                    spec = util.spec_from_file_location(name, files[0]) if files else None
                if spec is None:
                    continue
                if spec.loader is not None:
                    return spec
                if not all(is_out(folder) for folder in spec.submodule_search_locations):
                    portions.append(entry)
            return machinery.PathFinder.find_spec(name, portions, target) if portions else None

        @classmethod
        def find_distributions(cls, *args, **kwargs):
            found = machinery.PathFinder.find_distributions(*args, **kwargs)
            return (dist for dist in found if not is_out(str(getattr(dist, "_path", ""))))

    sys.meta_path[:] = [Finder if finder is machinery.PathFinder else finder for finder in sys.meta_path]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    front(spec["path"])
    if spec.get("without"):
        leave_out(spec["without"])
    # No application code has run yet: nothing of it sees the specification, or the name of the results' file.
    os.unlink(sys.argv[1])
    sys.argv[:] = [sys.argv[0]]
    descriptor = os.open(spec["results"], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    os.unlink(spec["results"])
    reporter = Reporter(descriptor, spec)
    # After sysconfig was asked, which looks for the standard library there.
    if spec.get("posing"):
        sys.base_prefix = sys.base_exec_prefix = sys.prefix + "-base"
        reporter.labels.insert(0, (sys.base_prefix, "<prefix>"))
    if "script" in spec or "pytest" in spec:
        return run_script(spec, reporter)
    reporter.run()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that an import started, and whatever runs at exit, are not part of the comparison.
    os._exit(0)


def run_script(spec, reporter):
    """Tells what was loaded, opened, started and called when the script has come to its end: what ends the process in
    the middle of an import has an exit status of 0 as well, and tells nothing."""
    import atexit
    import gc
    # The first to be registered is the last to be called. As it ends, the interpreter goes through everything that was
    # imported several times over, a quarter of the whole run, for cycles alone; what is called at exit has been, and
    # modules are taken down as ever.
    atexit.register(gc.freeze)
    reporter.watch_all()
    passed = Passed()
    try:
        if "pytest" in spec:
            # Behind everything, so that whatever the application brings itself comes first.
            sys.path.extend(folder for folder in spec["plugins"] if folder not in sys.path)
            sys.argv[:] = ["pytest"]
            import pytest
            sys.exit(int(pytest.main(["-p", "no:cacheprovider", "-q", *spec["pytest"]], plugins=[passed])))
        import runpy
        sys.argv[:] = [spec["script"]]
        runpy.run_path(spec["script"], run_name="__main__")
    except SystemExit:
        reporter.tell_script(passed.count)
        raise
    reporter.tell_script(passed.count)


class Passed:
    """A plugin of pytest's that counts: a test that is skipped leaves the exit status as it is."""

    count = 0

    def pytest_runtest_logreport(self, report):
        if report.when == "call" and report.passed:
            self.count += 1
