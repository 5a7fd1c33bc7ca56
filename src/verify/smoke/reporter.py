# What each import came to, and what a process holds in the end. A part of the script that begins in main.py.


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
            **distributions(self.normalise),
            "resources": resources(self.normalise),
            "child": child(self.normalise),
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
