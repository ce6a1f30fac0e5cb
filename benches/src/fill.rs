//! Creates many entries quickly with link(2), as mail is queued.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Files for link(2). A new file is used before the file system's limit of links is reached (65,000 on
/// ext4).
#[derive(Debug)]
pub(crate) struct Seeds {
    directory: PathBuf,
    links: usize,
}

const LINKS_EACH: usize = 30_000;

impl Seeds {
    /// Creates `directory` for the files.
    pub(crate) fn new(directory: &Path) -> io::Result<Seeds> {
        fs::create_dir(directory)?;
        Ok(Seeds { directory: directory.into(), links: 0 })
    }

    /// Creates the directory `home`/todo with `entries` entries.
    pub(crate) fn fill(home: &Path, entries: usize) -> io::Result<()> {
        let (mut seeds, todo) = (Seeds::new(&home.join("intd"))?, home.join("todo"));
        fs::create_dir(&todo)?;
        (0..entries).try_for_each(|number| seeds.link(&todo.join((1_000_000 + number).to_string())))
    }

    /// Links a file to `path`.
    pub(crate) fn link(&mut self, path: &Path) -> io::Result<()> {
        let seed = self.directory.join((self.links / LINKS_EACH).to_string());
        if self.links.is_multiple_of(LINKS_EACH) {
            fs::write(&seed, "a message")?;
        }
        self.links += 1;
        fs::hard_link(seed, path)
    }
}
