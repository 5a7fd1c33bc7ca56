# How findings are spelled, so that equal ones are equal. A part of the script that begins in main.py.


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
        path = code.co_filename.encode("utf-8", "surrogatepass")
        spelled = len(path).to_bytes(4, "little") + path
        try:
            # Version 2 shares nothing between values, and sets are written in one order since 3.11.
            content = marshal.dumps(code, 2)
        except ValueError:
            content = marshal.dumps(sliceless(code), 2)
        return blake2b(content.replace(spelled, b"<file>"), digest_size=8).hexdigest()
    return blake2b(repr(plain(code)).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def sliceless(value):
    """With tuples for the slices that code has among its constants since 3.14, which version 2 has no word for."""
    if isinstance(value, type(sliceless.__code__)):
        return value.replace(co_consts=tuple(map(sliceless, value.co_consts)))
    if isinstance(value, slice):
        return ("slice", value.start, value.stop, value.step)
    return tuple(map(sliceless, value)) if type(value) is tuple else value


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
