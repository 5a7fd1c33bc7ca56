"""Facts about how a Python process was started, one case a run: `main.py CASE ARGUMENTS…` prints JSON.

Run by plain Python in the environment, and by the artifact; the two must print the same.
"""
import json
import os
import sys


def double(number):
    return number * 2


def in_child(_):
    main = sys.modules["__main__"]
    return [main.__name__, main.__file__, __name__, sys.argv[1:], site_facts()]


def site_facts():
    import site
    return {"path": sys.path, "user": site.ENABLE_USER_SITE, "marks": marks()}


def marks():
    """What site customisation left."""
    return {"site": getattr(sys, "site_mark", None), "pth": getattr(sys, "pth_mark", None),
            "user": getattr(sys, "user_mark", None)}


def child(*arguments, **options):
    import subprocess
    run = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, **options)
    return [run.returncode, run.stdout, run.stderr]


def case_start():
    import __main__
    return {
        "arguments": [os.fsencode(argument).hex() for argument in sys.argv[1:]],
        "name": __name__, "file": __file__, "spec": repr(__spec__), "package": __package__,
        "cached": globals().get("__cached__"), "doc": __doc__, "loader": type(__loader__).__name__,
        "main": sorted(vars(__main__)), "executable": os.path.basename(sys.executable) != "",
        "flags": repr(sys.flags), "warnings": sys.warnoptions, "options": repr(sys._xoptions),
        "bytecode": sys.dont_write_bytecode, "prefix": sys.pycache_prefix, "hooks": [len(sys.meta_path), len(sys.path_hooks)],
        "finders": [repr(finder) for finder in sys.meta_path],
        "profile": [sys.getprofile(), sys.gettrace()], "recursion": sys.getrecursionlimit(),
        "displayhook": sys.displayhook is sys.__displayhook__, "excepthook": sys.excepthook is sys.__excepthook__,
        "interactive": hasattr(sys, "ps1"), "version": sys.version, "abi": sys.abiflags,
        **site_facts(),
    }


def case_modules():
    """Nothing of packproof's own is in the application's way."""
    import builtins
    return {"builtins": sorted(vars(builtins)), "gc": repr(__import__("gc").get_threshold()),
            "callbacks": len(__import__("gc").callbacks)}


def case_children():
    code = "import json, site, sys; print(json.dumps([sys.argv, sys.path, " \
           "site.ENABLE_USER_SITE, sys.flags.no_user_site, repr(sys.flags)]))"
    return {
        "c": child("-c", code, "x", ""), "m": child("-m", "tool", "a", cwd=os.path.dirname(__file__)),
        "script": child(os.path.join(os.path.dirname(__file__), "tool", "__main__.py")),
        "isolated": child("-I", "-c", "import sys; print(sys.flags)"),
        "site": child("-c", "import sys; print(getattr(sys, 'user_mark', None), getattr(sys, 'site_mark', None))"),
        "input": child("-", input="print(6 * 7)"),
        "missing": child("-m", "nothing_of_that_name"),
        "json": child("-m", "json.tool", "--compact", input='{"a": [1, 2]}'),
    }


def case_environment():
    """What programs that are started from here see."""
    import subprocess
    shell = {name: value for name, value in os.environ.items() if name not in ("PACKPROOF_CACHE", "_", "PWD", "SHLVL")}
    seen = subprocess.run(["env", "-0"], capture_output=True).stdout.split(b"\0")
    seen = sorted(item.decode(errors="replace") for item in seen if item and not item.startswith((b"PACKPROOF_CACHE=", b"_=")))
    return {"environ": shell, "env": seen, "bytes": sorted(os.fsdecode(key) for key in os.environb if key != b"PACKPROOF_CACHE")}


def case_process():
    import resource
    with open("/proc/self/status") as lines:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in lines)
    visible = ~(3 << 31)
    links = {number: os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")
             if os.path.exists(f"/proc/self/fd/{number}")}
    files = sorted(int(number) for number, link in links.items()
                   if not link.endswith("/.packproof") and link != os.path.realpath(sys.prefix))
    opened = os.open("/dev/null", os.O_RDONLY)
    os.close(opened)
    import subprocess
    inherited = subprocess.run("ls -l /proc/self/fd", shell=True, capture_output=True, close_fds=False, text=True)
    return {
        "files": files, "next": opened, "umask": status["Umask"], "threads": status["Threads"],
        "signals": {name: int(status[name], 16) & visible for name in ("SigBlk", "SigIgn", "SigCgt", "SigPnd")},
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")},
        "lease": any(held in inherited.stdout for held in (".packproof", "-> " + os.path.realpath(sys.prefix))), "nice": os.nice(0), "cwd": os.getcwd(), "session": os.getsid(0) == os.getpid(),
        "parent": status["PPid"] == str(os.getppid()), "affinity": sorted(os.sched_getaffinity(0)),
        "pid": os.getpid() if len(sys.argv) > 2 else None, "capabilities": status["CapEff"], "groups": os.getgroups(),
    }


def case_streams():
    import locale
    data = sys.stdin.read() if sys.stdin is not None and len(sys.argv) > 2 else None
    streams = {name: None if (stream := getattr(sys, name)) is None else
               [stream.encoding, stream.errors, stream.line_buffering, getattr(stream, "write_through", None), stream.isatty()]
               for name in ("stdin", "stdout", "stderr")}
    return {"streams": streams, "stdin": data, "locale": locale.getlocale(), "preferred": locale.getpreferredencoding(),
            "files": [sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()], "utf8": sys.flags.utf8_mode,
            "ctype": locale.setlocale(locale.LC_CTYPE), "hash": sys.flags.hash_randomization}


def case_switches():
    import asyncio
    import faulthandler
    import warnings
    loop = asyncio.new_event_loop()
    debug = loop.get_debug()
    loop.close()
    return {"fault": faulthandler.is_enabled(), "debug": debug, "filters": len(warnings.filters), "flags": repr(sys.flags),
            "hash": hash("packproof") if not sys.flags.hash_randomization or os.environ.get("PYTHONHASHSEED") else None,
            "through": sys.stdout.write_through, "assert": __debug__, "warnings": sys.warnoptions,
            "trace": __import__("tracemalloc").is_tracing(), "path": sys.path}


def case_imports():
    import importlib
    import inspect
    import pkgutil
    import traceback
    from importlib import metadata, resources
    import shared
    import shared.left
    import shared.right
    try:
        shared.left.fail()
    except ZeroDivisionError:
        trace = traceback.format_exc()
    points = metadata.entry_points()
    points = points.select(group="shapes") if hasattr(points, "select") else points["shapes"]
    return {
        "namespace": [list(shared.__path__), repr(shared.__spec__.loader)[:25], shared.__file__ if hasattr(shared, "__file__") else None],
        "walk": [[module.name, module.ispkg] for module in pkgutil.walk_packages(shared.__path__, "shared.")],
        "top": sorted(module.name for module in pkgutil.iter_modules([path for path in sys.path if "-packages" in path])
                      if not module.name.startswith("_packproof")),
        "source": inspect.getsource(shared.left.fail), "sourcefile": inspect.getsourcefile(shared.left),
        "trace": trace, "here": inspect.getsource(double), "file": shared.left.__file__, "cached": shared.left.__cached__,
        "spec": [shared.left.__spec__.origin, shared.left.__spec__.has_location, type(shared.left.__loader__).__name__],
        "versions": {name: metadata.version(name) for name in ("left", "right")},
        "files": sorted(str(path) for path in metadata.files("left")),
        "located": [str(path.locate()) for path in metadata.files("left")],
        "records": [[str(path), path.hash.value if path.hash else None, path.size] for path in metadata.files("left") if "bin/" not in str(path)],
        "points": [[point.name, point.value, point.load()(21)] for point in points],
        "requires": metadata.requires("left"), "summary": metadata.metadata("left")["Summary"],
        "distributions": sorted(dist.metadata["Name"] for dist in metadata.distributions()),
        "data": resources.files("shared.left_data").joinpath("note.txt").read_text() if hasattr(resources, "files") else "",
        "pkgutil": pkgutil.get_data("shared.left_data", "note.txt").decode(),
        "missing": importlib.util.find_spec("nothing_of_that_name"),
        "json": json.__file__, "cached_json": json.__cached__, "stdlib": os.path.dirname(os.__file__),
    }


def case_system():
    import ctypes.util
    import locale
    import sqlite3
    import ssl
    import sysconfig
    import zoneinfo
    context = ssl.create_default_context()
    # As gevent, eventlet and truststore do.
    given, ssl.SSLContext = ssl.SSLContext, type("Patched", (ssl.SSLContext,), {})
    patched = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    patched.set_default_verify_paths()
    ssl.SSLContext = given
    try:
        import readline
        readline.add_history("a line")
        line = [readline.get_current_history_length(), readline.get_history_item(1), readline.get_completer_delims()]
    except ImportError:
        line = None
    return {
        "ssl": [ssl.OPENSSL_VERSION, context.cert_store_stats(), list(ssl.get_default_verify_paths()), context.verify_mode.name],
        "ssl_names": sorted(vars(ssl)), "ssl_patched": patched.cert_store_stats(),
        "sqlite": [sqlite3.sqlite_version, sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()],
        "zone": [str(zoneinfo.ZoneInfo("UTC").utcoffset(None)), zoneinfo.TZPATH, len(zoneinfo.available_timezones()) > 0],
        "libraries": [ctypes.util.find_library(name) for name in ("c", "m", "z", "ssl", "nothing_of_that_name")],
        "dlopen": ctypes.CDLL(None).getpid() == os.getpid(), "readline": line,
        "locale": [locale.setlocale(locale.LC_ALL, ""), locale.localeconv()["decimal_point"]],
        "config": [sysconfig.get_config_var(name) for name in ("SOABI", "EXT_SUFFIX", "VERSION", "TZPATH", "Py_ENABLE_SHARED")],
        "platform": [sysconfig.get_platform(), sys.platform, os.name, __import__("platform").machine()],
        "home": os.path.expanduser("~"), "temporary": __import__("tempfile").gettempdir(),
    }


def case_multiprocessing():
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
    found = {}
    for method in ("spawn", "forkserver", "fork"):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            found[method] = [pool.map(double, range(5)), pool.map(in_child, [0])]
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            found[method].append(list(executor.map(double, range(5))))
        queue = context.Queue()
        process = context.Process(target=queue.put, args=("said",), name="speaker")
        process.start()
        found[method] += [queue.get(timeout=30), process.join(), process.exitcode]
    with ThreadPoolExecutor(2) as executor:
        found["threads"] = list(executor.map(double, range(5)))
    from multiprocessing import shared_memory
    memory = shared_memory.SharedMemory(create=True, size=16)
    memory.close()
    memory.unlink()
    return found


def case_loky():
    import joblib
    from joblib.externals import loky
    executor = loky.get_reusable_executor(max_workers=2)
    return {"joblib": joblib.Parallel(n_jobs=2)(joblib.delayed(double)(number) for number in range(5)),
            "loky": list(executor.map(double, range(5))), "there": list(executor.map(in_child, [0]))}


def case_asyncio():
    import asyncio

    async def run():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import sys; print(sys.stdin.read().upper(), sys.argv)", "x",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate(b"text")
        shell = await asyncio.create_subprocess_shell("exit 7")
        return [out.decode(), process.returncode, await shell.wait()]

    return asyncio.run(run())


def case_exit():
    wanted = sys.argv[2]
    if wanted == "code":
        sys.exit(37)
    if wanted == "text":
        sys.exit("a message")
    if wanted == "raise":
        double(None)
    if wanted == "abort":
        os.abort()
    if wanted == "closed":
        os.close(1)
        print("into nothing")
    if wanted == "atexit":
        import atexit
        atexit.register(print, "at exit")
        raise SystemExit(3)
    if wanted == "thread":
        import threading
        threading.Thread(target=print, args=("from a thread",)).start()
    return wanted


def case_wait():
    """Until a signal comes."""
    import signal
    handlers = {item.name: repr(signal.getsignal(item)) for item in signal.Signals
                if item.name not in ("SIGKILL", "SIGSTOP", "SIGCLD", "SIGPOLL")}
    print(json.dumps({name: text.split(" at 0x")[0] for name, text in handlers.items()}), flush=True)
    sys.stdin.readline()
    return "went on"


def main():
    if sys.argv[1] == "name":
        print(sys.argv[0])
        return
    found = globals()["case_" + sys.argv[1]]()
    try:
        print(json.dumps(found, sort_keys=True, default=repr))
    except OSError:
        sys.exit(9)


if __name__ == "__main__":
    main()
