"""Answers as the import system does, for the tests that compare with it.

`find`: reads names, and prints for each what the finders say, walked over the parents' search locations, with
nothing imported. `import`: imports modules, and prints the names that each then has.
"""
import importlib
import importlib.machinery
import io
import json
import sys
import types

machinery = importlib.machinery
found = {}
# CPython's own, and setuptools' editable ones. Others act when they are asked: setuptools' imports itself.
FINDERS = [
    finder
    for finder in sys.meta_path
    if finder in (machinery.BuiltinImporter, machinery.FrozenImporter, machinery.PathFinder)
    or getattr(finder, "__name__", "").startswith("_Editable")
]


def locations(spec):
    places = spec.submodule_search_locations
    if places is None:
        return None
    # A _NamespacePath asks sys.modules for its parent when it is iterated.
    return list(getattr(places, "_path", places))


def find(name):
    if name not in found:
        found[name] = look(name)
    return found[name]


def look(name):
    parent = name.rpartition(".")[0]
    path = None
    if parent:
        above = find(parent)
        path = above and locations(above)
        if path is None:
            return None
        # PathFinder asks sys.modules for the parent's path where it finds a portion of a namespace.
        if parent not in sys.modules:
            sys.modules[parent] = types.ModuleType(parent)
            sys.modules[parent].__path__ = path
    for finder in FINDERS:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


def kind(spec):
    if spec.loader is machinery.BuiltinImporter:
        return "builtin"
    if spec.loader is machinery.FrozenImporter:
        return "frozen"
    if spec.loader is None or type(spec.loader).__name__ in ("_NamespaceLoader", "NamespaceLoader"):
        return "namespace"
    if spec.submodule_search_locations is not None:
        return "package"
    if isinstance(spec.loader, machinery.ExtensionFileLoader):
        return "extension"
    return "single-file"


def answer(name):
    spec = find(name)
    if spec is None:
        return None
    what = kind(spec)
    if what in ("builtin", "frozen"):
        return {"kind": what, "file": None, "locations": []}
    file = None if what == "namespace" else spec.origin
    return {"kind": what, "file": file, "locations": locations(spec) or []}


def names_of(module):
    try:
        return sorted(name for name in vars(importlib.import_module(module)) if isinstance(name, str))
    except BaseException:
        return None


asked = json.load(sys.stdin)
sys.path = [entry for entry in asked["application"] + sys.path if entry]
out, sys.stdout = sys.stdout, io.StringIO()
if asked["what"] == "find":
    answers = [answer(name) for name in asked["names"]]
elif asked["what"] == "vars":
    answers = [names_of(name) for name in asked["names"]]
else:
    answers = []
    for module, name in asked["names"]:
        try:
            answers.append(hasattr(__import__(module, fromlist=[name]), name))
        except BaseException:
            answers.append(False)
json.dump(answers, out)
out.flush()
# Threads that an import has started are not waited for.
import os

os._exit(0)
