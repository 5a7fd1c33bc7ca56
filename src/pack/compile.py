"""Compiles sources that come in on stdin, for packproof.

A request is two lengths (4 bytes each, little endian), the name for co_filename, and the source. The answer is one
length and an unchecked-hash pyc (PEP 552), of no bytes where the source does not compile.
"""

import importlib.util
import marshal
import struct
import sys
import warnings

warnings.simplefilter("ignore")
requests, answers = sys.stdin.buffer, sys.stdout.buffer
while True:
    head = requests.read(8)
    if len(head) < 8:
        break
    name_length, source_length = struct.unpack("<II", head)
    name = requests.read(name_length).decode()
    source = requests.read(source_length)
    try:
        code = compile(source, name, "exec", dont_inherit=True, optimize=0)
        body = marshal.dumps(code)
    except MemoryError:
        # Perhaps of this moment alone: a new process is asked once more.
        raise
    except Exception:
        pyc = b""
    else:
        pyc = importlib.util.MAGIC_NUMBER + struct.pack("<I", 1) + importlib.util.source_hash(source) + body
    answers.write(struct.pack("<I", len(pyc)))
    answers.write(pyc)
    answers.flush()
