//! The tool. In a sandbox's process, `reenter` does not return.

use std::process::ExitCode;

fn main() -> ExitCode {
    packproof::verify::sandbox::reenter();
    packproof::cli::main()
}
