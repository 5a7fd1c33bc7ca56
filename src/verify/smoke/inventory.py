# What distributions, packages and child processes look like from inside. A part of the script that begins in main.py.


def distributions(normalise):
    import importlib.metadata
    versions, entry_points, records = {}, {}, {}
    for distribution in importlib.metadata.distributions():
        try:
            name, version = distribution.metadata["Name"], distribution.version
        except BaseException:
            continue
        if not name:
            continue
        name = name.lower().replace("_", "-").replace(".", "-")
        # The first on sys.path is the one that importlib.metadata finds.
        if name in versions:
            continue
        versions[name] = str(version)
        try:
            points = sorted("%s: %s = %s" % (point.group, point.name, point.value)
                            for point in distribution.entry_points)
        except BaseException as error:
            points = [normalise("%s: %s" % (type(error).__name__, error))]
        if points:
            entry_points[name] = points
        records[name] = record(distribution, normalise)
    return {"distributions": versions, "entry_points": entry_points, "records": records}


def record(distribution, normalise):
    """What RECORD lists and is not there, or is there with another content. Relocation may change shared
    libraries, `.pth` files and scripts; bytecode is made anew."""
    import base64
    import csv
    import hashlib
    import re
    try:
        # `distribution.files` leaves out what is missing, from 3.12 on.
        text = distribution.read_text("RECORD")
        rows = [row for row in csv.reader((text or "").splitlines()) if row]
        folder = str(distribution.locate_file(""))
    except BaseException as error:
        return [normalise("%s: %s" % (type(error).__name__, error))]
    odd = []
    for row in rows:
        name, digest = row[0], row[1] if len(row) > 1 else ""
        if "__pycache__" in name or name.endswith(("direct_url.json", "RECORD")):
            continue
        # The environment's programs. What a package has in a `bin` of its own is its own.
        if re.match(r"(\.\./)+bin/|/.*/bin/", name):
            continue
        path = os.path.join(folder, name)
        try:
            library = re.search(r"\.so(\.\d+)*$", name)
            if library or name.endswith((".pth", ".start")) or not digest:
                os.stat(path)
                continue
            with open(path, "rb") as opened:
                content = opened.read()
        except OSError:
            odd.append(name + " is missing")
            continue
        # Programs of a package's are relocated and stripped as libraries are.
        if content.startswith(b"\x7fELF"):
            continue
        if digest.startswith("sha256="):
            found = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            if found != digest.partition("=")[2]:
                odd.append("%s has another content (%s)" % (name, found[:8]))
    return odd


def resources(normalise):
    """The first level of each top-level package that was installed, as importlib.resources lists it."""
    from importlib import resources
    listed = {}
    for name, module in sorted(sys.modules.items(), key=lambda item: str(item[0])):
        file = text_of(ask(module, "__file__"))
        if not file or "." in text_of(name) or not os.path.basename(file).startswith("__init__."):
            continue
        if os.path.basename(os.path.dirname(os.path.dirname(file))) not in ("site-packages", "dist-packages"):
            continue
        try:
            entries = resources.files(name).iterdir()
            listed[name] = sorted(entry.name for entry in entries
                                  if entry.name != "__pycache__" and not entry.name.endswith(".pyc")
                                  and not is_out(str(entry)))
        except BaseException as error:
            listed[name] = [normalise("%s: %s" % (type(error).__name__, error))]
    return listed


def child(normalise):
    """The environment that a child process of this one sees."""
    import subprocess
    code = "import json, os, sys; sys.stdout.write(json.dumps(dict(os.environ)))"
    try:
        answer = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, timeout=600, check=True)
        seen = json.loads(answer.stdout)
    except BaseException as error:
        return {"<error>": normalise("%s: %s" % (type(error).__name__, error))}
    return {name: normalise(value) for name, value in seen.items()}
