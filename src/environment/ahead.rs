//! What an interpreter said last time, taken for true while it is asked again beside.
//!
//! Starting an interpreter takes longer than reading an environment that has not changed. No key could say that it has not:
//! the lines of a `.pth` file may look at whatever they like. So it is asked each time, and where it says something else what
//! was built on its old answer is built anew.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use super::facts::SCRIPT;
use super::{Environment, Error, Facts, child, distribution};
use crate::cache;

/// Bytes of all that is kept.
const MOST: u64 = 16 << 20;

/// An interpreter that may still have to say something.
#[derive(Debug)]
#[must_use]
pub struct Again(Option<Asked>);

#[derive(Debug)]
struct Asked {
    answer: JoinHandle<Result<Facts, Error>>,
    store: PathBuf,
}

impl Environment {
    /// As [`Self::read`], but from what is kept below `cache` of what `python` said before, where it did.
    pub fn read_ahead(python: &Path, cache: Option<&Path>) -> Result<(Self, Again), Error> {
        let store = cache.map(|root| root.join("facts").join(key(python) + ".json"));
        let kept = store.as_deref().and_then(|store| serde_json::from_slice(&fs_err::read(store).ok()?).ok());
        if let (Some(facts), Some(store)) = (kept, &store) {
            let asked = python.to_owned();
            let answer = std::thread::spawn(move || Facts::ask(&asked));
            let again = Again(Some(Asked { answer, store: store.clone() }));
            // What is no longer true may name folders that are gone.
            return match Self::with(facts) {
                Ok(environment) => Ok((environment, again)),
                Err(_) => Ok((Self::with(again.heard()?)?, Again(None))),
            };
        }
        let facts = Facts::ask(python)?;
        if let Some(store) = store {
            keep(&store, &facts);
        }
        Ok((Self::with(facts)?, Again(None)))
    }

    pub(super) fn with(facts: Facts) -> Result<Self, Error> {
        let (distributions, notes) = distribution::read_all(&facts)?;
        Ok(Self { facts, distributions, notes })
    }
}

impl Again {
    /// Waits for the interpreter; says whether `environment` had to be read again, because it says something else now.
    pub fn settle(self, environment: &mut Environment) -> Result<bool, Error> {
        if self.0.is_none() {
            return Ok(false);
        }
        let facts = self.heard()?;
        if facts == environment.facts {
            return Ok(false);
        }
        let lock = environment.notes.iter().filter(|note| note.code == "unhashed-lock").cloned().collect::<Vec<_>>();
        *environment = Environment::with(facts)?;
        environment.notes.extend(lock);
        Ok(true)
    }

    fn heard(self) -> Result<Facts, Error> {
        let Some(Asked { answer, store }) = self.0 else { return Err(Error::Io(std::io::ErrorKind::NotFound.into())) };
        let facts = answer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        keep(&store, &facts);
        Ok(facts)
    }
}

/// Whose answer it is, and to which question.
fn key(python: &Path) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [env!("CARGO_PKG_VERSION"), child::CUT_OFF, SCRIPT] {
        hasher.update(part.as_bytes()).update(b"\0");
    }
    hasher.update(python.as_os_str().as_encoded_bytes());
    hasher.finalize().to_hex()[..32].to_owned()
}

fn keep(store: &Path, facts: &Facts) {
    if let Ok(bytes) = serde_json::to_vec(facts)
        && fs_err::read(store).ok().as_ref() != Some(&bytes)
    {
        // Where nothing can be kept it is asked first, as before.
        let _ = cache::keep(store, &bytes, MOST);
    }
}
