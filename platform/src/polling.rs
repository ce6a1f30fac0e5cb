//! `polling::Poller`, whose `add` is unsafe by its own contract: a source is deleted from the poller
//! before it is closed.
//!
//! Safe code cannot be held to that, so that what is added here is a duplicate of the source, which
//! is owned here and closed only after it was deleted. It takes a descriptor for each source, and
//! two system calls for each registration more than the source itself would.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the loop is a real one, and takes real descriptors only"
)]

use std::collections::HashMap;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process;
use std::sync::Arc;

use polling::{Event, PollMode, Poller};

/// Duplicates of the sources that a poller waits for.
#[derive(Debug)]
pub struct OwnedSources {
    poller: Arc<Poller>,
    /// What was added, by the number of what it duplicates.
    added: HashMap<RawFd, OwnedFd>,
    /// A forked child's poller is its parent's, who goes on waiting.
    process: u32,
}

impl OwnedSources {
    /// None yet.
    pub fn new(poller: Arc<Poller>) -> OwnedSources {
        OwnedSources { poller, added: HashMap::new(), process: process::id() }
    }

    /// The poller that waits for them.
    pub fn poller(&self) -> &Arc<Poller> {
        &self.poller
    }

    /// Adds a source, in place of what was added under its number before.
    ///
    /// # Errors
    ///
    /// `EMFILE`, and those of the poller: the source is not added then.
    pub fn insert(
        &mut self,
        source: BorrowedFd<'_>,
        wanted: Event,
        mode: PollMode,
    ) -> io::Result<()> {
        self.remove(source)?;
        let added = source.try_clone_to_owned()?;
        // SAFETY: it is put among the sources that are owned here, which `remove` and `drop` delete
        // from the poller before they close them; in a forked child, where they do not, the file
        // is open in the parent still.
        unsafe { self.poller.add_with_mode(&added, wanted, mode)? };
        self.added.insert(source.as_raw_fd(), added);
        Ok(())
    }

    /// Removes what was added under the number of this source, if anything was.
    ///
    /// # Errors
    ///
    /// Those of the poller; the source stays added then.
    pub fn remove(&mut self, source: BorrowedFd<'_>) -> io::Result<()> {
        if let Some(added) = self.added.get(&source.as_raw_fd()) {
            self.poller.delete(added)?;
            self.added.remove(&source.as_raw_fd());
        }
        Ok(())
    }
}

impl Drop for OwnedSources {
    fn drop(&mut self) {
        if self.process != process::id() {
            // It would take its own descriptors out of what it shares with the parent.
            mem::forget(self.poller.clone());
            return;
        }
        for added in self.added.values() {
            // It was added and is open: nothing is left that could fail.
            let _ = self.poller.delete(added);
        }
    }
}
