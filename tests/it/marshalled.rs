//! The canonical form of bytecode, compared with the interpreter's own opinion.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use packproof::pack::canonical_marshal;

/// Compiles files of the standard library in the given order and prints each code object.
const COMPILE: &str = r#"
import glob, marshal, os, struct, sys, sysconfig, warnings
warnings.simplefilter("ignore")
root = sysconfig.get_path("stdlib")
paths = sorted(glob.glob(root + "/**/*.py", recursive=True))[::int(sys.argv[1])]
if sys.argv[2] == "reversed":
    import asyncio, decimal, email.mime.text, unittest.mock
    paths.reverse()
for path in paths:
    with open(path, "rb") as file:
        source = file.read()
    name = os.path.relpath(path, root)
    try:
        code = compile(source, name, "exec", dont_inherit=True)
    except Exception:
        continue
    body = marshal.dumps(code)
    for part in (name.encode(), body):
        sys.stdout.buffer.write(struct.pack("<I", len(part)) + part)
"#;

/// Reads pairs of marshalled code objects, and compares all of their attributes that `==` leaves out as well.
const COMPARE: &str = r#"
import marshal, struct, sys
def parts():
    while head := sys.stdin.buffer.read(4):
        yield sys.stdin.buffer.read(struct.unpack("<I", head)[0])
def same(a, b, again):
    # A constant that is not a number equals nothing, itself read twice included.
    assert (a == b and hash(a) == hash(b)) or a != again, a
    for name in dir(a):
        if name.startswith("co_") and name not in ("co_consts", "co_lnotab") and not callable(getattr(a, name)):
            assert getattr(a, name) == getattr(b, name), name
    assert len(a.co_consts) == len(b.co_consts)
    for one, other, third in zip(a.co_consts, b.co_consts, again.co_consts):
        assert type(one) is type(other) and repr(one) == repr(other) if isinstance(one, (int, float, complex, str)) else True
        if hasattr(one, "co_code"):
            same(one, other, third)
stream, count = parts(), 0
for original in stream:
    canonical = next(stream)
    same(marshal.loads(original), marshal.loads(canonical), marshal.loads(original))
    count += 1
print(count)
"#;

/// With -I the hash seed is a random one each time.
fn run(python: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(python)
        .args(["-I", "-c"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feed = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    feed.join().unwrap().unwrap();
    output.stdout
}

pub(crate) fn compiled(python: &Path, step: usize, order: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = run(python, &[COMPILE, &step.to_string(), order], b"");
    let mut rest = &bytes[..];
    let mut part = || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (part, after) = after.split_at(u32::from_le_bytes(*length) as usize);
        rest = after;
        Some(part.to_vec())
    };
    let mut list: Vec<_> = std::iter::from_fn(|| Some((String::from_utf8(part()?).unwrap(), part()?))).collect();
    list.sort();
    list
}

/// Every `step`th file of `python`'s standard library. Gives their number, and how many raw streams differed.
pub(crate) fn check(python: &Path, step: usize) -> (usize, usize) {
    let minor = run(python, &["import sys; print(sys.version_info[1])"], b"");
    let minor = String::from_utf8(minor).unwrap().trim().parse().unwrap();
    let (forward, backward) = (compiled(python, step, "forward"), compiled(python, step, "reversed"));
    assert!(!forward.is_empty());
    assert_eq!(forward.len(), backward.len());
    let mut pairs = Vec::new();
    let mut differed = 0;
    for ((name, one), (_, other)) in forward.iter().zip(&backward) {
        let [first, second] = [one, other].map(|bytes| canonical_marshal(bytes, minor).unwrap());
        assert!(first == second, "{name}: two forms of one source");
        assert!(canonical_marshal(&first, minor).unwrap() == first, "{name}: not a fixed point");
        differed += usize::from(one != other);
        for part in [one, &first] {
            pairs.extend_from_slice(&(part.len() as u32).to_le_bytes());
            pairs.extend_from_slice(part);
        }
    }
    let counted = run(python, &[COMPARE], &pairs);
    assert_eq!(String::from_utf8(counted).unwrap().trim(), forward.len().to_string());
    (forward.len(), differed)
}
