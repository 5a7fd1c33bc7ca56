//! A start's settings, with what stands for a folder and a port filled in.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::config::{Ready, Start};
use crate::verify::Error;
use crate::verify::plan::Limits;
use crate::verify::sandbox::signal;
use crate::verify::side::Which;

/// Seconds: a day. Of a record's nobody has looked at the numbers.
const LONGEST: u64 = 24 * 60 * 60;

/// Settings with a folder and a port of their own.
pub(super) struct Filled {
    pub folder: PathBuf,
    pub settings: Start,
    pub stop: i32,
}

impl Filled {
    pub(super) fn of(settings: &Start, limits: Limits, shared: &Path, which: Which) -> Result<Self, Error> {
        let Some(stop) = signal::number(&settings.stop) else {
            return Err(Error::UnknownSignal { name: settings.stop.clone() });
        };
        // A name may hold anything, and what is removed below must be this run's own.
        let name = settings.name.replace('%', "%25").replace('/', "%2F").replace('.', "%2E");
        let folder = shared.join(which.name()).join(name);
        // What an earlier start left there is not this one's.
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        // In a network of the sandbox's own every port is free; in the machine's, this one is.
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let fill = |text: &String| text.replace("{tmp}", &folder.to_string_lossy()).replace("{port}", &port);
        let mut settings = settings.clone();
        settings.timeout = settings.timeout.saturating_mul(limits.multiplier.into()).min(LONGEST);
        settings.args = settings.args.iter().map(fill).collect();
        settings.with = settings.with.iter().map(fill).collect();
        settings.env = settings.env.iter().map(|(name, value)| (name.clone(), fill(value))).collect();
        settings.ready = settings.ready.map(|ready| match ready {
            Ready::Text(_) | Ready::Regex(_) => ready,
            Ready::Tcp(address) => Ready::Tcp(fill(&address)),
            Ready::Unix(path) => Ready::Unix(fill(&path)),
            Ready::Http { url, status } => Ready::Http { url: fill(&url), status },
        });
        Ok(Self { folder, settings, stop })
    }
}
