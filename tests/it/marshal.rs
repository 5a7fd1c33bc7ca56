//! Bytecode has one form; the sweep `marshal` reads whole standard libraries.

use packproof::pack::canonical_marshal;

use crate::marshalled::{check, compiled};
use crate::support::python;

#[test]
fn loads_as_an_equal_code_object_and_has_one_form() {
    check(&python().executable, 12);
}

#[test]
fn damaged_streams_are_errors() {
    let stream = &compiled(&python().executable, 400, "forward")[0].1;
    let minor = 11;
    for length in 0..stream.len().min(2000) {
        assert!(canonical_marshal(&stream[..length], minor).is_err());
    }
    for at in 0..stream.len().min(2000) {
        let mut damaged = stream.clone();
        damaged[at] ^= 0x55;
        // Whatever it gives, it does not panic.
        let _ = canonical_marshal(&damaged, minor);
    }
}
