"""What Python 3.14 brought, and wheels; `latest` has what 3.15 brought."""

import annotationlib
import json
import multiprocessing
import sys
from compression import zstd
from concurrent import interpreters
from concurrent.futures import InterpreterPoolExecutor
from string.templatelib import Template

import boot
import lxml.etree
import numpy
import pydantic
from cryptography.fernet import Fernet


class Node(pydantic.BaseModel):
    value: int
    # Not there yet: annotations are evaluated when they are asked for (PEP 649).
    next: Node | None = None


def square(number):
    return number * number


def main():
    key = Fernet(Fernet.generate_key())
    caught = False
    try:
        int("no number")
    except ValueError, KeyError:
        caught = True
    inner = interpreters.create()
    inner.exec("import json")
    with InterpreterPoolExecutor(1) as executor:
        pooled = executor.submit(square, 4).result()
    with multiprocessing.Pool(1) as pool:
        mapped = pool.map(square, [3])
    told = {
        "template": isinstance(t"{mapped}", Template),
        "caught": caught,
        "zstd": zstd.decompress(zstd.compress(b"a")).decode(),
        "annotations": sorted(annotationlib.get_annotations(Node, format=annotationlib.Format.FORWARDREF)),
        "node": Node.model_validate({"value": 1, "next": {"value": 2}}).next.value,
        "pool": [multiprocessing.get_start_method(), mapped, pooled],
        "numpy": float(numpy.linspace(0, 1, 5)[1:3].sum()),
        "lxml": lxml.etree.fromstring("<a/>").tag,
        "cryptography": key.decrypt(key.encrypt(b"plain")).decode(),
        "booted": sorted(boot.CALLED),
    }
    if sys.version_info >= (3, 15):
        import latest

        told["latest"] = latest.told()
    print(json.dumps(told, sort_keys=True))


if __name__ == "__main__":
    main()
