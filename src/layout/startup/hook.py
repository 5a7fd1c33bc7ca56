"""Start-up code of an artifact made by packproof, imported by 00_packproof.pth before any other line of
site-packages runs. In a child that sys.executable starts it does no more than in the first process, less the argv."""
import os
import sys

# Folders below sys.prefix that go before the standard library, as PYTHONPATH would put them there.
PATH = @PATH@


def _start():
    sys.path[:0] = [os.path.join(sys.prefix, folder) for folder in PATH]
    # Set by the launcher: the descriptors of the tree's lease, the artifact's name as it was called, then the variables
    # that it kept from the interpreter. Popped, so that no child sees it.
    started = os.environ.pop("PACKPROOF_START", None)
    if started is None:
        return
    lease, name, *variables = started.split("\x1f")
    if lease:
        _keep([int(number) for number in lease.split(",")])
    for variable in variables:
        key, _, value = variable.partition("=")
        os.environ[key] = value
    if name:
        _name_program(name)


def _keep(lease):
    """As long as it is open, nobody removes the tree. It is this process's: a child that outlives it has no part."""
    try:
        held = [os.stat(place) for place in (os.path.join(sys.prefix, ".packproof"), sys.prefix)]
        for number in lease:
            if any(os.path.samestat(os.fstat(number), place) for place in held):
                os.set_inheritable(number, False)
    except OSError:
        pass


