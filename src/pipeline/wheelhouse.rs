//! A folder of wheels, and the platform that they are for → their audit.

use std::path::Path;

use super::Error;
use crate::audit::{self, Report};
use crate::config::Allowance;
use crate::progress::Progress;
use crate::wheels::tag::Platform;
use crate::wheels::{self, checks, read};

/// Every wheel that installs on the platform, and every distribution that has none.
pub fn audit_wheels(
    folder: &Path,
    platform: &str,
    allow: &[Allowance],
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let platform = Platform::parse(platform).map_err(wheels::Error::from)?;
    if platform == Platform::Any {
        return Err(wheels::Error::AnyPlatform.into());
    }
    progress.start("reading wheels", 0);
    let read = read::read(folder);
    progress.finish();
    let (wheels, broken) = read?;
    Ok(audit::judged(checks::check(&wheels, &broken, &platform), allow))
}
