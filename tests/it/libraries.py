import bz2, ctypes, curses, hashlib, json, lzma, sqlite3, ssl, sys, uuid, zlib
import _curses_panel, xml.parsers.expat
if sys.version_info < (3, 13):
    import warnings
    warnings.simplefilter("ignore")
    import crypt, nis
try:
    import readline
except ImportError as error:
    readline = str(error)

with open("/proc/self/maps") as maps:
    mapped = sorted({line.split()[-1] for line in maps if ".so" in line})
print(json.dumps({
    "tls": ssl.OPENSSL_VERSION,
    "context": ssl.create_default_context().check_hostname,
    "roots": len(ssl.create_default_context().get_ca_certs()),
    "bundle": ssl.get_default_verify_paths().cafile,
    "sql": sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()[0],
    "callback": ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)(),
    "packed": [bz2.decompress(bz2.compress(b"a")).decode(), lzma.decompress(lzma.compress(b"b")).decode()],
    "digest": hashlib.new("sha3_256", b"x").hexdigest()[:8],
    "uuid": uuid.uuid1().version,
    "curses": curses.ncurses_version[0] if hasattr(curses, "ncurses_version") else None,
    "readline": readline if isinstance(readline, str) else None,
    "prefix": sys.prefix,
    "mapped": mapped,
}))
