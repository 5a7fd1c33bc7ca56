"""`python -m tool`: what a package's `__main__` sees of its start."""
import json
import sys

if __name__ == "__main__" and sys.argv[1:] == ["name"]:
    print(sys.argv[0])
elif __name__ == "__main__":
    print(json.dumps({
        "name": __name__, "package": __package__, "spec": [__spec__.name, __spec__.origin, __spec__.parent],
        "file": __file__, "path": sys.path, "arguments": sys.argv[1:], "flags": repr(sys.flags),
    }))
