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


def is_address(host):
    return ":" in host or host.replace(".", "").isdigit()


class Watch:
    """An audit hook: what is opened, started and called beside what belongs here, with who did it first."""

    def __init__(self, known):
        self.known = tuple(known)
        # Of the kernel's, not kept by anybody.
        self.kernels = ("/proc/", "/dev/", "/sys/")
        self.is_on = True
        self.opened = {}
        self.written = {}
        self.started = {}
        self.network = {}
        self.has_asked = False
        self.host = os.uname().nodename

    def __call__(self, event, args):
        if not self.is_on:
            return
        try:
            if event == "open":
                path = args[0]
                if type(path) is bytes:
                    path = os.fsdecode(path)
                if type(path) is str and path.startswith("/"):
                    # In this order: the folders of the run may lie in `/dev/shm`.
                    if path.startswith(self.known):
                        if args[2] & 3 and ".pyc" not in path:
                            self.written.setdefault(path, self.who())
                    elif not path.startswith(self.kernels):
                        self.opened.setdefault(path, self.who())
            elif event in ("os.rename", "sqlite3.connect"):
                path = os.fsdecode(args[1 if event == "os.rename" else 0])
                if path.startswith(self.known) and ".pyc" not in path:
                    self.written.setdefault(path, self.who())
            elif event in ("subprocess.Popen", "os.posix_spawn", "os.exec"):
                program = os.fspath(args[0])
                program = os.fsdecode(program) if type(program) is bytes else program
                self.started.setdefault(program, self.who())
            elif event == "os.system":
                self.started.setdefault("/bin/sh", self.who())
            elif event in ("socket.connect", "socket.sendto", "socket.sendmsg") and type(args[1]) is tuple:
                host = str(args[1][0])
                # A name that was asked for is noted, and may have another address each time.
                if not (self.has_asked and is_address(host)):
                    self.call(host)
            elif event == "socket.getaddrinfo" and args[0]:
                self.call(args[0].decode() if type(args[0]) is bytes else str(args[0]))
        except Exception:
            # What is watched must not notice.
            pass

    def call(self, host):
        # Its own name is another one on each machine.
        if host == self.host:
            host = "<hostname>"
        if host not in ("localhost", "::1", "::", "0.0.0.0") and not host.startswith("127."):
            self.network.setdefault(host, self.who())
            if host != "<hostname>" and not is_address(host):
                self.has_asked = True

    @staticmethod
    def who():
        frame = sys._getframe(2)
        while frame is not None:
            scope = frame.f_globals
            name = str(scope.get("__name__", ""))
            top = name.partition(".")[0]
            if scope is not globals() and top not in STDLIB and top not in ("importlib", "_frozen_importlib"):
                return name
            frame = frame.f_back
        return "the interpreter"


class Reporter:
    def __init__(self, descriptor, spec):
        import fcntl
        import gc
        import sysconfig
        # High, so that code which closes "all" low descriptors, or counts on their numbers, is not disturbed.
        self.descriptor = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 200)
        os.close(descriptor)
        self.nonce = spec["nonce"]
        self.process = os.getpid()
        self.checks = spec.get("checks", [])
        self.is_brief = spec.get("brief", False)
        self.app = [os.path.join(sys.prefix, folder) for folder in spec["path"]]
        self.stdlib = sorted({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"),
                              os.path.dirname(os.__file__)})
        labels = [(folder, label) for label, folders in spec["labels"].items() for folder in folders]
        labels += [(folder, "<app>") for folder in self.app]
        labels += [(entry, "<site>") for entry in sys.path
                   if os.path.basename(entry) in ("site-packages", "dist-packages")]
        labels += [(folder, "<stdlib>") for folder in self.stdlib]
        labels += [(entry, "<zip>") for entry in sys.path
                   if os.path.basename(entry) == "python%d%d.zip" % sys.version_info[:2]]
        labels += [(sys.executable, "<python>"), (os.path.realpath(sys.executable), "<python>")]
        # A prefix that the whole system shares says nothing of Python.
        labels += [(folder, "<prefix>") for folder in (sys.prefix, sys.base_prefix, sys.exec_prefix)
                   if folder not in ("/", "/usr", "/usr/local")]
        labels += [(os.path.realpath(folder), label) for folder, label in labels]
        self.labels = sorted(set(labels), key=lambda pair: (-len(pair[0]), pair))
        self.litter = spec["litter"]
        self.reals = {}
        self.warned = []
        self.codes = {}
        if self.checks:
            # Thousands of imports make a few long-lived objects each; collecting in between finds nothing.
            gc.set_threshold(100000, 50, 1000)
        known = [folder.rstrip("/") + "/" for folder in spec["known"] + self.app + self.stdlib]
        self.watch = Watch(known)

    def send(self, kind, **fields):
        # A name that is no text cannot be read at the other end, and the whole line would be lost with it.
        line = json.dumps({"nonce": self.nonce, "kind": kind, **fields}, ensure_ascii=False)
        line = line.encode("utf-8", "replace") + b"\n"
        while line:
            line = line[os.write(self.descriptor, line):]

    def watch_all(self):
        self.follow_code()
        sys.addaudithook(self.watch)

    def tell_script(self, passed):
        """A child that was forked off and came to the script's end as well has nothing to tell."""
        if os.getpid() == self.process:
            self.send("inventory", **self.loaded())
            self.send("done", passed=passed)

    def run(self):
        import warnings
        warnings.showwarning = self.warn
        self.watch_all()
        for check in self.checks:
            self.send("begin", id=check["id"])
            del self.warned[:]
            outcome = self.check(check)
            self.send("outcome", id=check["id"], outcome=outcome, warnings=list(self.warned))
        self.send("inventory", **self.inventory())
        self.send("done")

    def warn(self, message, category, filename, lineno, file=None, line=None):
        # The compiler's warnings depend on whether there was bytecode already.
        if category is not SyntaxWarning and "invalid escape sequence" not in str(message):
            text = "%s: %s" % (category.__name__, self.normalise(str(message)))
            if text not in self.warned:
                self.warned.append(text)

    def follow_code(self):
        """Notes a digest of each module's code when it is loaded. The loader is back from this before the module
        runs, so that no traceback and no stack level shows it."""
        from importlib import _bootstrap_external as external
        original = external.SourceLoader.get_code
        codes = self.codes

        def get_code(loader, name):
            code = original(loader, name)
            try:
                codes[name] = digest_of_code(code)
            except Exception:
                pass
            return code

        external.SourceLoader.get_code = get_code

    def check(self, check):
        import importlib
        if "value" in check:
            return self.entry_point(check)
        name, names = check["module"], check["names"]
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
                ours = error.name == name + "." + wanted or ask(module, "__path__") is None
                missing.append([wanted, None if ours else self.error(error)])
            except BaseException as error:
                missing.append([wanted, self.error(error)])
        return {"imported": {"missing": missing, **self.origin(module)}}

    def entry_point(self, check):
        import importlib.metadata
        try:
            point = importlib.metadata.EntryPoint(check["name"], check["value"], check["group"])
            loaded = point.load()
        except BaseException as error:
            return {"failed": self.error(error)}
        return {"imported": {"missing": [], "module": text_of(ask(loaded, "__module__")),
                             "origin": "object", "owner": "", "file": type(loaded).__name__}}

    def error(self, error):
        try:
            message = str(error)
        except BaseException as second:
            message = "<no message: %s>" % type(second).__name__
        return {"type": type(error).__name__, "message": self.normalise(message)}

    def normalise(self, text):
        import re
        for folder, label in self.labels:
            if folder in text:
                text = re.sub(re.escape(folder) + r"(?![\w.-])", label, text)
        text = re.sub(r"\b0x[0-9a-fA-F]{6,}\b", "0x…", text)
        return without_moment(text)

    def origin(self, module):
        """What was loaded: kind, whose, and which file, without the folder that the world keeps it in.

        Asked of the module that sys.modules holds in the end, which need not be the one that was looked for."""
        import importlib.machinery
        name, file = text_of(ask(module, "__name__")), text_of(ask(module, "__file__"))
        if not file:
            kind = "built-in" if ask(module, "__path__") is None else "namespace"
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
        inside = any(path.startswith(self.real(folder) + os.sep) for folder in self.stdlib
                     for path in (file, os.path.realpath(file) if os.path.islink(file) else file,
                                  self.real(os.path.dirname(file)) + os.sep))
        foreign = "site-packages" in parts or "dist-packages" in parts
        owner = "standard library" if inside and not foreign else ""
        return {"module": name, "origin": kind, "owner": owner, "file": relative}

    def loaded(self):
        """What the process holds, and what it did to get there."""
        watched = self.watched()
        files, contents, own = {}, {}, []
        for name, module in sorted(sys.modules.items(), key=lambda item: str(item[0])):
            file = text_of(ask(module, "__file__"))
            if file and name not in ("__main__", "_packproof"):
                files[str(name)] = file = os.path.abspath(file)
                contents[str(name)] = ["", self.codes.get(name, "")]
                if self.is_own(file):
                    own.append(str(name))
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
            "own": own,
            "contents": contents,
            "mapped": sorted(path.encode("utf-8", "replace").decode() for path in mapped),
            **watched,
        }

    def real(self, folder):
        """`os.path.realpath`, which asks for each part of a path, once for a folder."""
        if folder not in self.reals:
            self.reals[folder] = os.path.realpath(folder)
        return self.reals[folder]

    def inventory(self):
        loaded = self.loaded()
        names = {}
        for name, file in loaded["files"].items():
            loaded["contents"][name][0] = digest_of_file(file)
            try:
                names[name] = spell(dict(vars(sys.modules[name])), None if self.is_stdlib(file) else name)
            except BaseException:
                pass
        if self.is_brief:
            return {**loaded, "names": names}
        return {
            **loaded,
            "names": names,
            "libraries": {path: digest_of_file(path) for path in loaded["mapped"] if ".so" in path},
            **self.distributions(),
            "resources": self.resources(),
            "child": self.child(),
        }

    def is_own(self, file):
        """Whether it lies in a folder of the application's, and is neither installed nor the standard library's."""
        inside = any(file.startswith(folder.rstrip("/") + "/") for folder in self.app)
        return inside and not is_installed(file) and not self.is_stdlib(file)

    def is_stdlib(self, file):
        return not is_installed(file) and any(file.startswith(folder + "/") for folder in self.stdlib)

    def watched(self):
        """What imports did; what follows is this script's own doing."""
        watch = self.watch
        seen = {
            "opened": {path.encode("utf-8", "replace").decode(): who for path, who in watch.opened.items()},
            "started": {self.normalise(program): who for program, who in watch.started.items()},
            "network": dict(watch.network),
            "written": {self.normalise(path): who for path, who in watch.written.items()},
            "litter": [os.path.join(folder, name) for folder in self.litter if os.path.isdir(folder)
                       for name in sorted(os.listdir(folder))],
        }
        watch.is_on = False
        return seen

    def distributions(self):
        import importlib.metadata
        versions, entry_points, records = {}, {}, {}
        for distribution in importlib.metadata.distributions():
            try:
                name, version = distribution.metadata["Name"], distribution.version
            except BaseException:
                continue
            if not name:
                continue
            name = name.lower().replace("_", "-").replace(".", "-")
            # The first on sys.path is the one that importlib.metadata finds.
            if name in versions:
                continue
            versions[name] = str(version)
            try:
                points = sorted("%s: %s = %s" % (point.group, point.name, point.value)
                                for point in distribution.entry_points)
            except BaseException as error:
                points = [self.normalise("%s: %s" % (type(error).__name__, error))]
            if points:
                entry_points[name] = points
            records[name] = self.record(distribution)
        return {"distributions": versions, "entry_points": entry_points, "records": records}

    def record(self, distribution):
        """What RECORD lists and is not there, or is there with another content. Relocation may change shared
        libraries, `.pth` files and scripts; bytecode is made anew."""
        import base64
        import csv
        import hashlib
        import re
        try:
            # `distribution.files` leaves out what is missing, from 3.12 on.
            text = distribution.read_text("RECORD")
            rows = [row for row in csv.reader((text or "").splitlines()) if row]
            folder = str(distribution.locate_file(""))
        except BaseException as error:
            return [self.normalise("%s: %s" % (type(error).__name__, error))]
        odd = []
        for row in rows:
            name, digest = row[0], row[1] if len(row) > 1 else ""
            if "__pycache__" in name or name.endswith(("direct_url.json", "RECORD")):
                continue
            # The environment's programs. What a package has in a `bin` of its own is its own.
            if re.match(r"(\.\./)+bin/|/.*/bin/", name):
                continue
            path = os.path.join(folder, name)
            try:
                library = re.search(r"\.so(\.\d+)*$", name)
                if library or name.endswith(".pth") or not digest:
                    os.stat(path)
                    continue
                with open(path, "rb") as opened:
                    content = opened.read()
            except OSError:
                odd.append(name + " is missing")
                continue
            # Programs of a package's are relocated and stripped as libraries are.
            if content.startswith(b"\x7fELF"):
                continue
            if digest.startswith("sha256="):
                found = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
                if found != digest.partition("=")[2]:
                    odd.append("%s has another content (%s)" % (name, found[:8]))
        return odd

    def resources(self):
        """The first level of each top-level package that was installed, as importlib.resources lists it."""
        from importlib import resources
        listed = {}
        for name, module in sorted(sys.modules.items(), key=lambda item: str(item[0])):
            file = text_of(ask(module, "__file__"))
            if not file or "." in text_of(name) or not os.path.basename(file).startswith("__init__."):
                continue
            if os.path.basename(os.path.dirname(os.path.dirname(file))) not in ("site-packages", "dist-packages"):
                continue
            try:
                entries = resources.files(name).iterdir()
                listed[name] = sorted(entry.name for entry in entries
                                      if entry.name != "__pycache__" and not entry.name.endswith(".pyc")
                                      and not is_out(str(entry)))
            except BaseException as error:
                listed[name] = [self.normalise("%s: %s" % (type(error).__name__, error))]
        return listed

    def child(self):
        """The environment that a child process of this one sees."""
        import subprocess
        code = "import json, os, sys; sys.stdout.write(json.dumps(dict(os.environ)))"
        try:
            answer = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, timeout=600, check=True)
            seen = json.loads(answer.stdout)
        except BaseException as error:
            return {"<error>": self.normalise("%s: %s" % (type(error).__name__, error))}
        return {name: self.normalise(value) for name, value in seen.items()}


def without_moment(text):
    """What another run at another time says otherwise: this process's number where it is called that, the time of day
    today, and seconds since 1970 that are about now."""
    import re
    import time
    now = time.time()
    text = re.sub(r"\b(pid|process)(\W{1,3})%d\b" % os.getpid(), r"\1\2<pid>", text, flags=re.IGNORECASE)
    for moment in (now - 60, now):
        for day in {time.strftime("%Y-%m-%d", since(moment)) for since in (time.gmtime, time.localtime)}:
            text = re.sub(day + r"([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?)?", "<time>", text)

    def is_now(match):
        return "<time>" if abs(float(match[0]) - now) < 3600 else match[0]

    return re.sub(r"\b\d{10}(\.\d+)?\b", is_now, text)


def is_installed(file):
    parts = file.split(os.sep)
    return "site-packages" in parts or "dist-packages" in parts


def ask(thing, name):
    """An attribute, or None. A module need not be one: what an application puts in sys.modules may raise anything."""
    try:
        return getattr(thing, name, None)
    except BaseException:
        return None


def text_of(value):
    """What is text already; the class is asked of the value's own type, not of what it says of itself."""
    return str(value) if issubclass(type(value), str) else ""


def spell(bound, package):
    """The names that a module binds; what is true or false shows its value, as flags for optional parts do.

    A submodule, bound by whoever imports it first, is spelled `.name`. Those of the standard library (there is no
    `package` then) depend on what the interpreter itself needed while it started, and are left out."""
    told = []
    for name, value in bound.items():
        if not isinstance(name, str) or name.startswith("__"):
            continue
        # The user's site-packages are off in every artifact, and are on in environments that are not virtual.
        if package is None and name == "ENABLE_USER_SITE":
            continue
        if type(value) is type(sys) and value.__name__.endswith("." + name):
            if package is not None:
                told.append("." + name if sys.modules.get(package + "." + name) is value else name)
        else:
            told.append("%s=%s" % (name, value) if value is True or value is False else name)
    return " ".join(sorted(told))


def digest_of_file(path):
    """Of an ELF file the machine code alone: run paths and the compiled-in prefix may change."""
    from _blake2 import blake2b
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (OSError, ValueError):
        return "unreadable"
    if content[:6] == b"\x7fELF\x02\x01":
        try:
            content = machine_code(content) or content
        except Exception:
            pass
    return blake2b(content, digest_size=8).hexdigest()


def machine_code(content):
    """The sections of a 64-bit little-endian ELF file that are run."""
    import struct
    start, = struct.unpack_from("<Q", content, 0x28)
    size, count = struct.unpack_from("<HH", content, 0x3A)
    code = b""
    for at in range(start, start + size * count, size):
        kind, flags = struct.unpack_from("<IQ", content, at + 4)
        offset, length = struct.unpack_from("<QQ", content, at + 24)
        if kind == 1 and flags & 4:
            code += content[offset:offset + length]
    return code


def digest_of_code(code):
    """Equal for equal code, whatever folder it was compiled in."""
    from _blake2 import blake2b
    if sys.version_info >= (3, 11):
        import marshal
        # Version 2 shares nothing between values, and sets are written in one order since 3.11.
        path = code.co_filename.encode("utf-8", "surrogatepass")
        spelled = len(path).to_bytes(4, "little") + path
        return blake2b(marshal.dumps(code, 2).replace(spelled, b"<file>"), digest_size=8).hexdigest()
    return blake2b(repr(plain(code)).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def plain(value):
    if isinstance(value, type(plain.__code__)):
        return (value.co_name, value.co_code, value.co_names, value.co_varnames, value.co_freevars,
                value.co_cellvars, value.co_flags, value.co_firstlineno, value.co_lnotab,
                tuple(map(plain, value.co_consts)))
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, frozenset):
        return ("frozenset", sorted(repr(plain(item)) for item in value))
    return (type(value).__name__, value)


if __name__ == "__main__":
    main()
