"""Start-up code of an artifact made by packproof, imported by 00_packproof.pth before any other line of
site-packages runs. In a child that sys.executable starts it does no more than in the first process, less the argv."""
import os
import sys

# Folders below sys.prefix that go before the standard library, as PYTHONPATH would put them there.
PATH = @PATH@
# What `python -m` would have as the current folder: the application's.
APPLICATION = @APPLICATION@
# `[startup] gc = "relaxed"`
RELAXED = @RELAXED@


def _start():
    sys.path[:0] = [os.path.join(sys.prefix, folder) for folder in PATH]
    if RELAXED:
        _relax_collector()
    # Set by the launcher: the descriptor of the tree's lease, the artifact's name as it was called, then the variables
    # that it kept from the interpreter. Popped, so that no child sees it.
    started = os.environ.pop("PACKPROOF_START", None)
    if started is None:
        return
    lease, name, *variables = started.split("\x1f")
    if lease:
        _keep(int(lease))
    for variable in variables:
        key, _, value = variable.partition("=")
        os.environ[key] = value
    if name:
        if sys.argv[0] == "-m":
            _name_module(name)
        else:
            sys.argv[0] = name


def _keep(lease):
    """As long as it is open, nobody removes the tree. It is this process's: a child that outlives it has no part."""
    try:
        if os.path.samestat(os.fstat(lease), os.stat(os.path.join(sys.prefix, ".packproof"))):
            os.set_inheritable(lease, False)
    except OSError:
        pass


def _relax_collector():
    """Importing makes many objects that stay, and the collector looks at all of them again and again. Until a
    collection finds that hardly a module was imported since the last one, it runs every 100,000 objects."""
    import gc

    usual, relaxed = gc.get_threshold(), (100_000, 50, 1000)
    if not gc.isenabled() or usual[0] == 0:
        return
    seen = len(sys.modules)

    def look(phase, info):
        nonlocal seen
        if phase != "start" or seen is None:
            return
        now = len(sys.modules)
        if now - seen >= 10:
            seen = now
            return
        seen = None
        # Thresholds that the application has set itself are the application's.
        if gc.get_threshold() == relaxed:
            gc.set_threshold(*usual)
        # The collector goes through this list by number: taking out any but the last would skip the next one.
        if gc.callbacks[-1] is look:
            del gc.callbacks[-1]

    gc.callbacks.append(look)
    gc.set_threshold(*relaxed)


def _name_module(name):
    """`-m` puts the current folder on sys.path and the module's file into sys.argv: both come out as they would
    with the application's folder as the current one, and the artifact's name."""
    import runpy

    run_module, run_code = runpy._run_module_as_main, runpy._run_code

    def run_module_as_main(*args, **kwargs):
        runpy._run_module_as_main = run_module
        if not getattr(sys.flags, "safe_path", False):
            sys.path[0] = os.path.join(sys.prefix, APPLICATION)
        return run_module(*args, **kwargs)

    def run_main_code(*args, **kwargs):
        runpy._run_code = run_code
        sys.argv[0] = name
        return run_code(*args, **kwargs)

    runpy._run_module_as_main, runpy._run_code = run_module_as_main, run_main_code


_start()
