//! Compared with the interpreter's own opinion.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;

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
fn run(python: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
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

fn compiled(python: &str, step: usize, order: &str) -> Vec<(String, Vec<u8>)> {
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
fn check(python: &str, step: usize) -> (usize, usize) {
    let minor = run(python, &["import sys; print(sys.version_info[1])"], b"");
    let minor = String::from_utf8(minor).unwrap().trim().parse().unwrap();
    let (forward, backward) = (compiled(python, step, "forward"), compiled(python, step, "reversed"));
    assert!(!forward.is_empty());
    assert_eq!(forward.len(), backward.len());
    let mut pairs = Vec::new();
    let mut differed = 0;
    for ((name, one), (_, other)) in forward.iter().zip(&backward) {
        let [first, second] = [one, other].map(|bytes| canonical(bytes, minor).unwrap());
        assert!(first == second, "{name}: two forms of one source");
        assert!(canonical(&first, minor).unwrap() == first, "{name}: not a fixed point");
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

#[test]
fn loads_as_an_equal_code_object_and_has_one_form() {
    check("python3", 12);
}

/// Slow. `PACKPROOF_PYTHONS` names interpreters, separated by colons.
#[test]
#[ignore = "minutes: the whole standard library of every interpreter that is named"]
fn whole_standard_libraries() {
    for python in std::env::var("PACKPROOF_PYTHONS").unwrap_or_else(|_| "python3".to_owned()).split(':') {
        let (files, differed) = check(python, 1);
        let mut stderr = std::io::stderr();
        writeln!(stderr, "{python}: {files} files, {differed} of them with two raw forms").unwrap();
    }
}

#[test]
fn damaged_streams_are_errors() {
    let stream = &compiled("python3", 400, "forward")[0].1;
    let minor = 11;
    for length in 0..stream.len().min(2000) {
        assert!(canonical(&stream[..length], minor).is_err());
    }
    for at in 0..stream.len().min(2000) {
        let mut damaged = stream.clone();
        damaged[at] ^= 0x55;
        // Whatever it gives, it does not panic.
        let _ = canonical(&damaged, minor);
    }
    let nested = [b')', 1].repeat(100_000);
    assert_eq!(canonical(&nested, minor), Err(TOO_DEEP));
}

#[test]
fn equal_values_are_written_once() {
    // ('ab', 'ab', None, None, ('ab',)) without any sharing.
    let plain = b")\x05z\x02abz\x02abNN)\x01z\x02ab";
    let shared = b")\x05\xfa\x02abr\0\0\0\0NN)\x01r\0\0\0\0";
    assert_eq!(canonical(plain, 11).unwrap(), shared);
    assert_eq!(canonical(b")\x02z\x01aZ\x01a", 11).unwrap(), b")\x02\xda\x01ar\0\0\0\0");
    // Interned in one place is interned in all.
    assert_eq!(canonical(b")\x02z\x02abZ\x02ab", 11).unwrap(), b")\x02\xda\x02abr\0\0\0\0");
    // A flag that nothing refers to goes, and numbers close up.
    assert_eq!(canonical(b"\xa9\x02\xfa\x02aa\xda\x01b", 11).unwrap(), b")\x02z\x02aaZ\x01b");
}
