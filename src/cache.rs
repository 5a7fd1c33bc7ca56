//! Where the tool keeps what it need not do again: environments made from a lock, bytecode.

use std::env;
use std::path::PathBuf;

/// `PACKPROOF_TOOL_CACHE`, else `$XDG_CACHE_HOME/packproof-tool`, else `~/.cache/packproof-tool`; nothing where there
/// is no home. Apart from the artifacts' own cache (`packproof`), which their launchers clean.
pub fn root() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("PACKPROOF_TOOL_CACHE")
        .or_else(|| absolute("XDG_CACHE_HOME").map(|home| home.join("packproof-tool")))
        .or_else(|| absolute("HOME").map(|home| home.join(".cache").join("packproof-tool")))
}
