//! Streams by hand; what CPython makes of whole files is compared in `tests/it/marshal.rs`.

use super::*;

#[test]
fn what_is_nested_too_deeply_is_left() {
    let nested = [b')', 1].repeat(100_000);
    assert_eq!(canonical(&nested, 11), Err(TOO_DEEP));
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
