//! Checks directory reads. The order of entries differs between kernels, and so does the treatment of an
//! entry that appears or disappears during the read. An entry that exists all the time must be returned
//! once. An entry that never existed must not be returned.

use std::collections::{BTreeMap, BTreeSet};

use pullcord_platform::sim::{self, Ino};

use super::script::{Detail, Listing, Op, Outcome, SLOTS, Slot};

/// The directories that are being read, and the changes in them.
#[derive(Default)]
pub(crate) struct Readings {
    all: Vec<Reading>,
    of_slot: [Option<usize>; SLOTS],
    /// The number of directories that were read to their end, on both kernels.
    pub(crate) ended: u64,
}

struct Reading {
    ino: Ino,
    /// The entries that existed all the time: name and number.
    stayed: BTreeMap<String, u64>,
    /// Every name that existed at some time, and its `d_type`.
    were: BTreeSet<(String, u8)>,
    returned: [Vec<String>; 2],
    ended: [bool; 2],
}

impl Readings {
    /// Checks the result of a call on both kernels. Returns the difference.
    pub(crate) fn look(
        &mut self,
        op: &Op,
        root: &str,
        results: [&Outcome; 2],
    ) -> Result<(), String> {
        // A call that is not compared was not made.
        let is_made = |result: &Outcome| !matches!(result.detail, Detail::Exception(_));
        if results.iter().all(|result| result.returned.is_ok() && is_made(result)) {
            match op {
                Op::Open { slot, path, .. } => self.of_slot[*slot] = self.open(root, path),
                Op::Duplicate { from, to, .. } | Op::Replace { old: from, new: to, .. } => {
                    self.of_slot[*to] = self.of_slot[*from];
                }
                Op::Reopen { slot, from, .. } => {
                    let ino = self.of_slot[*from].map(|reading| self.all[reading].ino);
                    self.of_slot[*slot] = ino.map(|ino| self.add(ino));
                }
                Op::Close(slot)
                | Op::Watcher { slot, .. }
                | Op::Poller(slot)
                | Op::Timer { slot, .. } => {
                    self.of_slot[*slot] = None;
                }
                Op::Pipe { reader, writer, .. } => {
                    self.of_slot[*reader] = None;
                    self.of_slot[*writer] = None;
                }
                _ => {}
            }
        }
        self.all.iter_mut().for_each(Reading::update);
        let Op::List { slot, .. } = op else { return Ok(()) };
        for (side, result) in results.into_iter().enumerate() {
            if let Detail::Listed(listing) = &result.detail {
                self.take(*slot, side, listing)?;
            }
        }
        Ok(())
    }

    fn open(&mut self, root: &str, path: &str) -> Option<usize> {
        let ino = sim::with(|kernel| {
            let ino = kernel.find(format!("{root}/{path}").as_bytes()).ok()?;
            kernel.tree().is_directory(ino).then_some(ino)
        })?;
        Some(self.add(ino))
    }

    fn add(&mut self, ino: Ino) -> usize {
        let stayed = entries(ino).into_iter().map(|(name, id, _)| (name, id)).collect();
        let were = [(".".into(), 4), ("..".into(), 4)].into();
        let mut reading =
            Reading { ino, stayed, were, returned: Default::default(), ended: [false; 2] };
        reading.update();
        self.all.push(reading);
        self.all.len() - 1
    }

    fn take(&mut self, slot: Slot, side: usize, listing: &Listing) -> Result<(), String> {
        let reading = self.of_slot[slot].ok_or("an unknown directory was read")?;
        let reading = &mut self.all[reading];
        for entry in &listing.entries {
            if !reading.were.contains(entry) {
                return Err(format!("{entry:?} was returned, but never existed"));
            }
            reading.returned[side].push(entry.0.clone());
        }
        if !listing.ended || reading.ended[side] {
            return Ok(());
        }
        reading.ended[side] = true;
        let names = reading.stayed.keys().map(String::as_str).chain([".", ".."]);
        for name in names {
            let times = reading.returned[side].iter().filter(|it| *it == name).count();
            if times != 1 {
                return Err(format!(
                    "{name:?} existed all the time, and was returned {times} times"
                ));
            }
        }
        if reading.ended == [true; 2] {
            self.ended += 1;
        }
        Ok(())
    }
}

impl Reading {
    fn update(&mut self) {
        let now = entries(self.ino);
        self.stayed.retain(|name, id| now.iter().any(|it| it.0 == *name && it.1 == *id));
        self.were.extend(now.into_iter().map(|(name, _, kind)| (name, kind)));
    }
}

/// The entries of a directory of the simulated kernel: name, number, `d_type`.
fn entries(ino: Ino) -> Vec<(String, u64, u8)> {
    sim::with(|kernel| {
        let tree = kernel.tree();
        let entries = tree.entries(ino).iter();
        let entry = |it: &sim::Entry| {
            (String::from_utf8_lossy(&it.name).into_owned(), it.id, tree.entry_type(it.ino))
        };
        entries.map(entry).collect()
    })
}
