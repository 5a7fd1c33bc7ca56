"""Imports modules one after another, and prints for each the names that it then has: a line of JSON each.

Reads from stdin `{"path": [...], "modules": [...]}`. Standard library alone, Python 3.9 and newer. Before it stands `environment/cut_off.py`.
"""
import gc
import importlib
import json
import os
import sys
import types


def answer(name):
    try:
        module = importlib.import_module(name)
        names = sorted({key for key in [*vars(module), *dir(module)] if isinstance(key, str)})
    except BaseException as error:
        return {"module": name, "error": type(error).__name__}
    # A module type of its own, a `__getattr__` or a `__dir__` may have more: PySide makes its classes when they are asked for.
    complete = type(module) is types.ModuleType and not {"__getattr__", "__dir__"} & vars(module).keys()
    try:
        listed = [key for key in module.__all__ if isinstance(key, str)]
    except Exception:
        listed = None
    return {"module": name, "names": names, "all": listed, "complete": complete}


# It ends before memory could run short, and nothing that is imported is let go of.
gc.disable()
asked = json.load(sys.stdin)
sys.path[:] = asked["path"]
sys.argv[:] = [""]
# What the modules print goes nowhere.
out = os.fdopen(os.dup(1), "w", encoding="utf-8")
nowhere = os.open(os.devnull, os.O_RDWR)
for descriptor in (0, 1, 2):
    os.dup2(nowhere, descriptor)
cut_off()
for name in asked["modules"]:
    out.write(json.dumps(answer(name)) + "\n")
    out.flush()
# Threads that an import has started are not waited for.
os._exit(0)
