"""Imports what it is told to and reports on each import, or runs a script with the application's `sys.path`.

The same file runs under the environment's interpreter and under the artifact's. Standard library alone, Python 3.9
and newer. Its one argument is a JSON file:

    path      folders to put at the front of sys.path in the place of this file's own, relative ones to sys.prefix
    script    run this file as __main__; nothing below is there then
    results   file to write JSON lines to; `nonce` is in each, so that nothing else passes for one
    checks    [{"id", "module", "names"}]
    labels    {"<scratch>": [folder…]}: what to write in the place of folders in messages
"""
import json
import os
import sys


def front(folders):
    folders = [os.path.join(sys.prefix, folder) for folder in folders]
    sys.path[:] = folders + [entry for entry in sys.path[1:] if entry not in folders]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    front(spec["path"])
    if "script" in spec:
        import runpy
        sys.argv[:] = [spec["script"]]
        runpy.run_path(spec["script"], run_name="__main__")
        return
    # No application code has run yet: nothing of it sees the specification, or the name of the results' file.
    os.unlink(sys.argv[1])
    sys.argv[:] = [sys.argv[0]]
    descriptor = os.open(spec["results"], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    os.unlink(spec["results"])
    Reporter(descriptor, spec).run()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that an import started, and whatever runs at exit, are not part of the comparison.
    os._exit(0)


class Reporter:
    def __init__(self, descriptor, spec):
        import fcntl
        import sysconfig
        # High, so that code which closes "all" low descriptors, or counts on their numbers, is not disturbed.
        self.descriptor = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 200)
        os.close(descriptor)
        self.nonce = spec["nonce"]
        self.checks = spec["checks"]
        self.app = [os.path.join(sys.prefix, folder) for folder in spec["path"]]
        self.stdlib = sorted({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"),
                              os.path.dirname(os.__file__)})
        labels = [(folder, label) for label, folders in spec["labels"].items() for folder in folders]
        labels += [(folder, "<app>") for folder in self.app]
        labels += [(entry, "<site>") for entry in sys.path
                   if os.path.basename(entry) in ("site-packages", "dist-packages")]
        labels += [(folder, "<stdlib>") for folder in self.stdlib]
        # A prefix that the whole system shares says nothing of Python.
        labels += [(folder, "<prefix>") for folder in (sys.prefix, sys.base_prefix, sys.exec_prefix)
                   if folder not in ("/", "/usr", "/usr/local")]
        labels += [(os.path.realpath(folder), label) for folder, label in labels]
        self.labels = sorted(set(labels), key=lambda pair: (-len(pair[0]), pair))

    def send(self, kind, **fields):
        line = json.dumps({"nonce": self.nonce, "kind": kind, **fields}).encode() + b"\n"
        while line:
            line = line[os.write(self.descriptor, line):]

    def run(self):
        for check in self.checks:
            self.send("begin", id=check["id"])
            self.send("outcome", id=check["id"], outcome=self.check(check["module"], check["names"]))
        self.send("inventory", **self.inventory())
        self.send("done")

    def check(self, name, names):
        import importlib
        try:
            module = importlib.import_module(name)
        except BaseException as error:
            return {"failed": self.error(error)}
        missing = []
        for wanted in names:
            try:
                getattr(module, wanted)
                continue
            except AttributeError:
                pass
            except BaseException as error:
                missing.append([wanted, self.error(error)])
                continue
            # `from package import name` falls back to the submodule of that name.
            try:
                importlib.import_module(name + "." + wanted)
            except ModuleNotFoundError as error:
                ours = error.name == name + "." + wanted or not hasattr(module, "__path__")
                missing.append([wanted, None if ours else self.error(error)])
            except BaseException as error:
                missing.append([wanted, self.error(error)])
        return {"imported": {"missing": missing, **self.origin(module)}}

    def error(self, error):
        try:
            message = str(error)
        except BaseException as second:
            message = "<no message: %s>" % type(second).__name__
        return {"type": type(error).__name__, "message": self.normalise(message)}

    def normalise(self, text):
        import re
        for folder, label in self.labels:
            text = re.sub(re.escape(folder) + r"(?![\w.-])", label, text)
        return re.sub(r"\b0x[0-9a-fA-F]{6,}\b", "0x…", text)

    def origin(self, module):
        """What was loaded: kind, whose, and which file, without the folder that the world keeps it in.

        Asked of the module that sys.modules holds in the end, which need not be the one that was looked for."""
        import importlib.machinery
        name = str(getattr(module, "__name__", ""))
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            kind = "namespace" if hasattr(module, "__path__") else "built-in"
            return {"module": name, "origin": kind, "owner": "", "file": ""}
        parts = file.split(os.sep)
        count = name.count(".") + 1
        if parts[-1].startswith("__init__."):
            kind, count = "package", count + 1
        elif parts[-1].endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES)):
            kind = "extension"
        else:
            kind = "file"
        relative = "/".join(parts[-count:])
        real = os.path.realpath(file)
        inside = any(path.startswith(os.path.realpath(folder) + os.sep) for folder in self.stdlib
                     for path in (file, real))
        foreign = "site-packages" in parts or "dist-packages" in parts
        owner = "standard library" if inside and not foreign else ""
        return {"module": name, "origin": kind, "owner": owner, "file": relative}

    def inventory(self):
        files = {}
        for name, module in sorted(sys.modules.items(), key=lambda item: str(item[0])):
            try:
                file = getattr(module, "__file__", None)
            except BaseException:
                continue
            if isinstance(file, str):
                files[str(name)] = os.path.abspath(file)
        mapped = set()
        try:
            with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
                for line in maps:
                    fields = line.rstrip("\n").split(None, 5)
                    if len(fields) == 6 and fields[5].startswith("/"):
                        mapped.add(fields[5])
        except OSError:
            pass
        return {
            "prefix": sys.prefix,
            "path": [entry for entry in sys.path if isinstance(entry, str)],
            "files": files,
            "mapped": sorted(path.encode("utf-8", "replace").decode() for path in mapped),
            "distributions": self.distributions(),
            "child": self.child(),
        }

    def distributions(self):
        import importlib.metadata
        found = {}
        for distribution in importlib.metadata.distributions():
            try:
                name, version = distribution.metadata["Name"], distribution.version
            except BaseException:
                continue
            if name:
                found.setdefault(name.lower().replace("_", "-").replace(".", "-"), str(version))
        return found

    def child(self):
        """The environment that a child process of this one sees."""
        import subprocess
        code = "import json, os, sys; sys.stdout.write(json.dumps(dict(os.environ)))"
        try:
            answer = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, timeout=60, check=True)
            seen = json.loads(answer.stdout)
        except BaseException as error:
            return {"<error>": self.normalise("%s: %s" % (type(error).__name__, error))}
        return {name: self.normalise(value) for name, value in seen.items()}


if __name__ == "__main__":
    main()
