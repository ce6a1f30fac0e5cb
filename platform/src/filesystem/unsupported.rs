//! Where there is no directory watch, nobody needs to know whether it could be trusted.

mod locality;

use std::io;
use std::path::Path;

pub use locality::Locality;

/// Not known here.
///
/// # Errors
///
/// None.
pub fn locality(_: &Path) -> io::Result<Locality> {
    Ok(Locality::Unknown(std::env::consts::OS.into()))
}
