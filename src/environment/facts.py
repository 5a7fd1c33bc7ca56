"""Prints as JSON what only this interpreter itself can say. Standard library alone, Python 3.6 and newer.

`importlib.machinery` is asked rather than a table by version; the path is what `site` made of it, so that `.pth`
files and editable finders have already had their effect.
"""
import _imp
import importlib.machinery
import json
import os
import platform
import site
import sys
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
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": implementation_version,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
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


machinery = importlib.machinery
variables = sysconfig.get_config_vars()
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
    "path": [entry for entry in sys.path if entry],
    "stdlib": sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix}),
    "platstdlib": sysconfig.get_path("platstdlib", vars={"installed_platbase": sys.base_exec_prefix,
                                                          "platbase": sys.base_exec_prefix}),
    "purelib": sysconfig.get_path("purelib"),
    "platlib": sysconfig.get_path("platlib"),
    "scripts": sysconfig.get_path("scripts"),
    "site_packages": site.getsitepackages(),
    "base_site_packages": base_site_packages(),
    "user_site": site.getusersitepackages() if site.ENABLE_USER_SITE else None,
    "extension_suffixes": machinery.EXTENSION_SUFFIXES,
    "source_suffixes": machinery.SOURCE_SUFFIXES,
    "bytecode_suffixes": machinery.BYTECODE_SUFFIXES,
    "builtin_names": sorted(sys.builtin_module_names),
    "frozen_names": frozen_names(),
    "stdlib_names": sorted(getattr(sys, "stdlib_module_names", ())),
    "loaded": sorted(name for name in sys.modules if name != "__main__"),
    "finders": finders(),
    "markers": marker_environment(),
    "platform": sysconfig.get_platform(),
    "shared_library": variables.get("INSTSONAME") if variables.get("Py_ENABLE_SHARED") else None,
    "library_folder": variables.get("LIBDIR"),
    "maxsize": sys.maxsize,
}
sys.stdout.write(json.dumps(facts))
