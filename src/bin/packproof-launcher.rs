//! What every artifact begins with. See `packproof::launcher`.

#![no_main]

use std::ffi::{c_char, c_int};

/// C's `main`, as Rust's own start-up ignores SIGPIPE, opens missing standard streams and installs a handler for
/// stack overflows, all of which the Python that takes this process over would inherit or have to undo.
#[expect(unsafe_code, reason = "the C runtime calls `main` by this name, and nothing else in the program has it")]
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    c_int::from(packproof::launcher::main())
}
