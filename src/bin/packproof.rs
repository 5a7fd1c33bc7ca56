//! The tool. In a sandbox's process, `reenter` does not return.

fn main() {
    packproof::verify::sandbox::reenter();
}
