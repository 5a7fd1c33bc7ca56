"""Undoes filter 1 as docs/format.md has it, and knows nothing else: block, offsets of files, and where to write."""
import re
import struct
import sys

CODE = re.compile(rb"(?s)[\xe8\xe9]|\xff[\x15\x25]|[\x48-\x4f][\x89\x8b\x8d][\x05\x0d\x15\x1d\x25\x2d\x35\x3d]")
M32, M64 = (1 << 32) - 1, (1 << 64) - 1


def number(data, at, size=4):
    return int.from_bytes(data[at:at + size], "little")


def put(data, at, value, size=4):
    data[at:at + size] = (value & (M64 if size == 8 else M32)).to_bytes(size, "little")


def code(data, address):
    at, filtered = 0, bytes(data)
    while (found := CODE.search(filtered, at)) and found.start() + 7 <= len(data):
        at = found.end() + 4
        if data[at - 1] in (0, 0xFF):
            value = (number(data, at - 4) - address - at) & 0x1FFFFFF
            put(data, at - 4, value - (value >> 24 << 25))


def relocations(data):
    for at in range(24, len(data) - 23, 24):
        for field in (at, at + 16):
            put(data, field, number(data, field, 8) + number(data, field - 24, 8), 8)


def frames(data):
    at = end = 0
    while at + 4 <= len(data):
        length, p = number(data, at), at + 4
        at = p + length
        if length == 0:
            continue
        if at > len(data):
            return
        if length >= 4 and number(data, p) == 0:
            continue
        if length < 12:
            return
        if number(data, p) != p + 1:
            put(data, p, p + 1 - number(data, p))
        put(data, p + 4, number(data, p + 4) - (p + 4) + end)
        end = number(data, p + 4) + p + 4 + number(data, p + 8)


def frame_table(data):
    if len(data) < 12 or data[3] != 0x3B:
        return
    for at in range(20, len(data) - 7, 8):
        for field in (at, at + 4):
            put(data, field, number(data, field) + number(data, field - 8))


def unfilter(data):
    if not data.startswith(b"\x7fELF\2\1") or len(data) < 64:
        return 0
    machine, = struct.unpack_from("<H", data, 18)
    table, = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<3H", data, 58)
    if machine != 62 or size != 64 or table + 64 * count > len(data):
        return 0
    headers = [struct.unpack_from("<2I4Q2I2Q", data, table + 64 * at) for at in range(count)]
    first, last = headers[names][4], headers[names][4] + headers[names][5]
    found, taken = [], [(0, 64), (table, table + 64 * count), (first, last)]
    for name, kind, flags, address, offset, size, _, _, _, entry in headers:
        name = bytes(data[first + name:data.index(0, first + name)])
        if kind == 4 and entry == 24:
            change = relocations
        elif kind in (1, 0x70000001) and name == b".eh_frame":
            change = frames
        elif kind in (1, 0x70000001) and name == b".eh_frame_hdr":
            change = frame_table
        elif kind == 1 and flags & 4:
            change = lambda part, address=address: code(part, address)
        else:
            continue
        found.append((offset, offset + size, change))
        taken.append((offset, offset + size))
    taken.sort()
    if any(before[1] > after[0] for before, after in zip(taken, taken[1:])) or taken[-1][1] > len(data):
        return 0
    for start, end, change in found:
        part = data[start:end]
        change(part)
        data[start:end] = part
    return len(found)


block, out, *starts = sys.argv[1:]
data = bytearray(open(block, "rb").read())
starts = [int(start) for start in starts]
changed = 0
for start, end in zip(starts, starts[1:] + [len(data)]):
    part = data[start:end]
    changed += unfilter(part)
    data[start:end] = part
with open(out, "wb") as file:
    file.write(data)
print(changed)
