"""Prints as JSON what only this interpreter itself can say. Standard library alone, Python 3.6 and newer.

Started with `-S`, so that the network is gone before `site` runs others' code: `cut_off.py` stands before this.
`importlib.machinery` is asked rather than a table by version; the path is what `site` made of it, so that `.pth` files and
editable finders have already had their effect.
"""
import _imp
import importlib.machinery
import json
import os
import site
import sys

machinery = importlib.machinery


def guarded():
    """Has `site` cut itself off before it runs what is not its own: lines of `.pth` files that begin with `import`, and
    `sitecustomize`. Most environments have neither, and need not wait for it."""
    once = []

    def cut_off_once():
        if not once:
            once.append(True)
            cut_off()

    def has_code(sitedir, name):
        try:
            with open(os.path.join(sitedir, name), "rb") as file:
                return any(line.lstrip(b"\xef\xbb\xbf").startswith(b"import") for line in file.read().splitlines())
        except OSError:
            return False

    addpackage = site.addpackage

    def addpackage_apart(sitedir, name, known_paths):
        if has_code(sitedir, name):
            cut_off_once()
        return addpackage(sitedir, name, known_paths)

    def apart(run, module):
        def execute():
            if machinery.PathFinder.find_spec(module) is not None:
                cut_off_once()
            return run()
        return execute

    if hasattr(site, "StartupState"):
        # 3.15 and newer (PEP 829): what a batch of folders names is called in the end, entry points of `.start` files as well.
        process = site.StartupState.process

        def process_apart(state):
            if getattr(state, "_importexecs", True) or getattr(state, "_entrypoints", True):
                cut_off_once()
            return process(state)

        site.StartupState.process = process_apart
    else:
        site.addpackage = addpackage_apart
    site.execsitecustomize = apart(site.execsitecustomize, "sitecustomize")
    site.execusercustomize = apart(site.execusercustomize, "usercustomize")


before = dict(sys.modules)
if sys.flags.no_site:
    guarded()
    # The working folder, which `site` would make absolute.
    sys.path[:] = [entry for entry in sys.path if entry]
    site.main()
# sysconfig keeps the prefix that it finds, which is the virtual environment's from here on.
import platform
import sysconfig


def frozen_names():
    # 3.11 and newer; before, nothing but the import machinery itself is frozen.
    names = getattr(_imp, "_frozen_module_names", None)
    return sorted(set(names())) if names else ["_frozen_importlib", "_frozen_importlib_external", "zipimport"]


def marker_environment():
    """PEP 508, "Environment Markers"."""
    info = sys.implementation.version
    implementation_version = "%d.%d.%d" % (info.major, info.minor, info.micro)
    if info.releaselevel != "final":
        implementation_version += info.releaselevel[0] + str(info.serial)
    python_full_version = platform.python_version()
    if python_full_version.endswith("+"):
        # Built from a branch; as pip's own markers have it, so that it is a version (PEP 440).
        python_full_version += "local"
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": implementation_version,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": python_full_version,
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def base_site_packages():
    """The site-packages folders that an ordinary (not virtual) installation of this interpreter would have,
    relative to its prefix: Debian's differ from everybody else's."""
    in_venv = sys.prefix != sys.base_prefix
    # Debian's site.py asks sys.prefix, not only its argument, whether it stands in a virtual environment.
    prefix = sys.prefix
    sys.prefix = sys.base_prefix if in_venv else prefix
    try:
        found = site.getsitepackages([os.sep + "@"])
    finally:
        sys.prefix = prefix
    return [path[len(os.sep + "@" + os.sep):] for path in found]


def finders():
    """What stands on sys.meta_path beside the three of CPython: editable finders, import hooks."""
    usual = (importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter, importlib.machinery.PathFinder)
    found = []
    for finder in sys.meta_path:
        if finder in usual:
            continue
        kind = finder if isinstance(finder, type) else type(finder)
        module = sys.modules.get(kind.__module__)
        found.append({
            "class": kind.__module__ + "." + kind.__qualname__,
            # setuptools' editable finders (PEP 660) keep these two tables.
            "mapping": {k: str(v) for k, v in (getattr(module, "MAPPING", None) or {}).items()},
            "namespaces": {k: [str(p) for p in v] for k, v in (getattr(module, "NAMESPACES", None) or {}).items()},
        })
    return found


def made():
    """What start-up has put into sys.modules and no finder finds there: name -> the names that it has."""
    found = {}
    for name, module in sorted(sys.modules.items()):
        if before.get(name) is module or name == "__main__":
            continue
        parent = sys.modules.get(name.rpartition(".")[0])
        try:
            spec = None
            for finder in (machinery.BuiltinImporter, machinery.FrozenImporter, machinery.PathFinder):
                spec = spec or finder.find_spec(name, getattr(parent, "__path__", None))
            # Frozen modules know their file from 3.11 on, and the path finder always.
            own = getattr(module, "__spec__", None)
            if spec is not None and own is not None and (spec.origin == own.origin or own.origin == "frozen"):
                continue
            found[name] = sorted(key for key in dir(module) if isinstance(key, str))
        except Exception:
            found[name] = []
    return found


def as_found(folder):
    """As it is spelled where it first stands on sys.path: `lib64` of a virtual environment is a link to `lib`, and where
    extension modules go to `lib64` (Red Hat, SUSE) both stand there."""
    for entry in sys.path:
        try:
            if os.path.samefile(entry, folder):
                return entry
        except OSError:
            # No such folder: a ZIP file that is not there, say.
            pass
    return folder


def without_links(folders):
    return list(dict.fromkeys(map(as_found, folders)))


variables = sysconfig.get_config_vars()


def shared_library():
    """Debian's interpreters need none, and the package with the one that goes with them need not be installed."""
    name = variables.get("INSTSONAME") if variables.get("Py_ENABLE_SHARED") else None
    folders = filter(None, [variables.get("LIBDIR"), os.path.join(sys.base_prefix, "lib")])
    if name and not any(os.path.isfile(os.path.join(folder, name)) for folder in folders):
        try:
            with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
                name = name if any(line.rstrip().endswith("/" + name) for line in maps) else None
        except OSError:
            pass
    return name


facts = {
    "implementation": sys.implementation.name,
    "version": list(sys.version_info[:3]),
    "cache_tag": sys.implementation.cache_tag,
    "executable": sys.executable,
    "base_executable": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "prefix": sys.prefix,
    "exec_prefix": sys.exec_prefix,
    "base_prefix": sys.base_prefix,
    "base_exec_prefix": sys.base_exec_prefix,
    "path": without_links(filter(None, sys.path)),
    "stdlib": sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix}),
    "platstdlib": sysconfig.get_path("platstdlib", vars={"installed_platbase": sys.base_exec_prefix,
                                                          "platbase": sys.base_exec_prefix}),
    "purelib": as_found(sysconfig.get_path("purelib")),
    "platlib": as_found(sysconfig.get_path("platlib")),
    "scripts": sysconfig.get_path("scripts"),
    "site_packages": without_links(site.getsitepackages()),
    "base_site_packages": base_site_packages(),
    "user_site": site.getusersitepackages() if site.getusersitepackages() in sys.path else None,
    "extension_suffixes": machinery.EXTENSION_SUFFIXES,
    "source_suffixes": machinery.SOURCE_SUFFIXES,
    "bytecode_suffixes": machinery.BYTECODE_SUFFIXES,
    "builtin_names": sorted(sys.builtin_module_names),
    "frozen_names": frozen_names(),
    "stdlib_names": sorted(getattr(sys, "stdlib_module_names", ())),
    "made": made(),
    "finders": finders(),
    "markers": marker_environment(),
    "platform": sysconfig.get_platform(),
    "shared_library": shared_library(),
    "library_folder": variables.get("LIBDIR"),
    "maxsize": sys.maxsize,
}
# A `.pth` file may have printed, without an end of its line.
sys.stdout.write("\n" + json.dumps(facts))
