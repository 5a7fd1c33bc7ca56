//! How long work says where it stands; the terminal's side of it is in `cli`.

/// Told by a stage, from any thread.
pub trait Progress: Sync {
    /// A new stage of `total` steps; 0 where the number is not known.
    fn start(&self, stage: &str, total: u64);
    fn advance(&self, by: u64);
    fn finish(&self);
}

/// For tests, and for output that nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _stage: &str, _total: u64) {}
    fn advance(&self, _by: u64) {}
    fn finish(&self) {}
}
