"""Start-up code of an artifact made by packproof, imported by 00_packproof.pth before any other line of
site-packages runs. In a child that sys.executable starts it does no more than in the first process, less the argv."""
import os
import sys

# Folders below sys.prefix that go before the standard library, as PYTHONPATH would put them there.
PATH = @PATH@
# What `python -m` would have as the current folder: the application's.
APPLICATION = @APPLICATION@
# Whether the environment that was packed looks at the user's site-packages.
USER_SITE = @USER_SITE@


def _start():
    sys.path[:0] = [os.path.join(sys.prefix, folder) for folder in PATH]
    if not USER_SITE:
        _without_user_site()
    # Set by the launcher: the artifact's name as it was called, then the variables that it kept from the
    # interpreter. Popped, so that no child sees it.
    started = os.environ.pop("PACKPROOF_START", None)
    if started is None:
        return
    name, *variables = started.split("\x1f")
    for variable in variables:
        key, _, value = variable.partition("=")
        os.environ[key] = value
    if name:
        if sys.argv[0] == "-m":
            _name_module(name)
        else:
            sys.argv[0] = name


def _without_user_site():
    site = sys.modules.get("site")
    if site is not None and site.ENABLE_USER_SITE:
        user = site.getusersitepackages()
        sys.path[:] = [folder for folder in sys.path if folder != user]
        site.ENABLE_USER_SITE = False


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
