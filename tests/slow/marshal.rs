//! The canonical form of bytecode, over every file of every standard library that packproof packs.

use packproof::environment::find;

use crate::marshalled::check;
use crate::turn;

#[test]
#[expect(clippy::print_stderr, reason = "a sweep's result is read in its log")]
fn whole_standard_libraries() {
    if !turn("marshal") {
        return;
    }
    for version in ["3.9", "3.10", "3.11", "3.12", "3.13"] {
        let Ok(facts) = find::interpreter(Some(version)) else {
            eprintln!("skipped: needs Python {version}");
            continue;
        };
        let (files, differed) = check(&facts.base_executable, 1);
        eprintln!("{version}: {files} files, {differed} of them with two raw forms");
    }
}
