//! Entries that are returned at a time: requeued by the caller, or written in place and waiting
//! until their writer is quiet.
//!
//! An entry has at most one appointment. A scan leaves the entry out until then, as long as the file
//! is still the one that the appointment was made for.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pullcord_platform::file::FileVersion;

/// The reason to return an entry later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The caller has asked for it.
    Requeued,
    /// It may still be written to. `by_scan`: it was found by a scan.
    Quiet { by_scan: bool },
}

/// An entry's appointment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appointment {
    pub(crate) reason: Reason,
    /// The file for which it was made, where that is known.
    pub(crate) version: Option<FileVersion>,
}

/// When appointments are due; the number keeps those apart that are due at the same time.
type Time = (Instant, u64);

#[derive(Debug, Default)]
pub(crate) struct Appointments {
    by_time: BTreeMap<Time, (usize, Arc<OsStr>)>,
    by_entry: BTreeMap<usize, HashMap<Arc<OsStr>, (Time, Appointment)>>,
    /// How many appointments were ever made.
    made: u64,
    /// How many wait for quiet and were found by a scan.
    scanned: usize,
}

impl Appointments {
    /// Makes an appointment, in place of any other of this entry.
    pub(crate) fn make(
        &mut self,
        directory: usize,
        name: &OsStr,
        at: Instant,
        appointment: Appointment,
    ) {
        self.made += 1;
        let (time, name): (_, Arc<OsStr>) = ((at, self.made), name.into());
        self.by_time.insert(time, (directory, Arc::clone(&name)));
        self.scanned += usize::from(is_scanned(appointment));
        let entries = self.by_entry.entry(directory).or_default();
        if let Some((time, former)) = entries.insert(name, (time, appointment)) {
            self.by_time.remove(&time);
            self.scanned -= usize::from(is_scanned(former));
        }
    }

    /// Returns whether there are no appointments.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }

    /// Returns the appointment of an entry.
    pub(crate) fn get(&self, directory: usize, name: &OsStr) -> Option<Appointment> {
        self.by_entry.get(&directory)?.get(name).map(|(_, appointment)| *appointment)
    }

    /// Removes the appointment of an entry, and returns it.
    #[inline]
    pub(crate) fn cancel(&mut self, directory: usize, name: &OsStr) -> Option<Appointment> {
        if self.by_time.is_empty() { None } else { self.cancel_of_some(directory, name) }
    }

    fn cancel_of_some(&mut self, directory: usize, name: &OsStr) -> Option<Appointment> {
        let (time, appointment) = self.take(directory, name)?;
        self.by_time.remove(&time);
        Some(appointment)
    }

    /// Removes the appointment of an entry, except from `by_time`.
    fn take(&mut self, directory: usize, name: &OsStr) -> Option<(Time, Appointment)> {
        let entries = self.by_entry.get_mut(&directory)?;
        let (time, appointment) = entries.remove(name)?;
        if entries.is_empty() {
            self.by_entry.remove(&directory);
        }
        self.scanned -= usize::from(is_scanned(appointment));
        Some((time, appointment))
    }

    /// Removes all appointments of a directory: its path leads to another directory now.
    pub(crate) fn forget(&mut self, directory: usize) {
        for (time, appointment) in
            self.by_entry.remove(&directory).unwrap_or_default().into_values()
        {
            self.by_time.remove(&time);
            self.scanned -= usize::from(is_scanned(appointment));
        }
    }

    /// Returns whether an appointment is due.
    #[inline]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        !self.by_time.is_empty() && self.next_at().is_some_and(|at| at <= now)
    }

    /// Removes an appointment that is due, and returns its entry.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(usize, Arc<OsStr>, Appointment)> {
        let first = self.by_time.first_entry().filter(|first| first.key().0 <= now)?;
        let (directory, name) = first.remove();
        let (_, appointment) = self.take(directory, &name)?;
        Some((directory, name, appointment))
    }

    /// Returns the time of the next appointment.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    /// Makes the appointments that wait for quiet due no later than `longest` from now: the clock
    /// jumped back. Those that the caller has made keep their time.
    pub(crate) fn on_jump(&mut self, longest: Duration, now: Instant) {
        let Some(latest) = now.checked_add(longest) else { return };
        let after = self.by_time.range((latest, u64::MAX)..).map(|(_, entry)| entry.clone());
        for (directory, name) in after.collect::<Vec<_>>() {
            match self.get(directory, &name) {
                None | Some(Appointment { reason: Reason::Requeued, .. }) => {}
                Some(appointment) => self.make(directory, &name, latest, appointment),
            }
        }
    }

    /// Returns whether entries wait for quiet.
    pub(crate) fn has_quiet(&self) -> bool {
        let mut all = self.by_entry.values().flat_map(HashMap::values);
        all.any(|(_, appointment)| appointment.reason != Reason::Requeued)
    }

    /// Returns how many entries wait for quiet that a scan has found.
    pub(crate) fn scanned(&self) -> usize {
        self.scanned
    }
}

fn is_scanned(appointment: Appointment) -> bool {
    appointment.reason == Reason::Quiet { by_scan: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const REQUEUED: Appointment = Appointment { reason: Reason::Requeued, version: None };
    const SCANNED: Appointment =
        Appointment { reason: Reason::Quiet { by_scan: true }, version: None };

    fn due(appointments: &mut Appointments, now: Instant) -> Vec<(usize, String)> {
        let due = std::iter::from_fn(|| appointments.pop_due(now));
        due.map(|(directory, name, _)| (directory, name.to_str().unwrap().into())).collect()
    }

    #[test]
    fn entries_are_due_in_the_order_of_their_times() {
        let begin = Instant::now();
        let mut appointments = Appointments::default();
        appointments.make(0, OsStr::new("c"), begin + 3 * SECOND, REQUEUED);
        appointments.make(0, OsStr::new("a"), begin + SECOND, REQUEUED);
        appointments.make(1, OsStr::new("b"), begin + SECOND, REQUEUED);
        assert!(!appointments.is_due(begin));
        assert!(appointments.is_due(begin + SECOND));
        assert_eq!(appointments.next_at(), Some(begin + SECOND));
        assert_eq!(due(&mut appointments, begin + 2 * SECOND), [(0, "a".into()), (1, "b".into())]);
        assert_eq!(due(&mut appointments, begin + 3 * SECOND), [(0, "c".into())]);
        assert!(appointments.is_empty());
        assert!(appointments.by_entry.is_empty(), "a directory without appointments takes memory");
    }

    #[test]
    fn an_entry_waits_for_quiet_unless_it_is_requeued() {
        let mut appointments = Appointments::default();
        assert!(!appointments.has_quiet());
        appointments.make(0, OsStr::new("requeued"), Instant::now(), REQUEUED);
        assert!(!appointments.has_quiet());
        appointments.make(0, OsStr::new("quiet"), Instant::now(), SCANNED);
        assert!(appointments.has_quiet());
    }

    #[test]
    fn an_entry_has_one_appointment_the_last_one() {
        let begin = Instant::now();
        let mut appointments = Appointments::default();
        appointments.make(0, OsStr::new("a"), begin, SCANNED);
        appointments.make(0, OsStr::new("a"), begin + SECOND, REQUEUED);
        assert_eq!(appointments.scanned(), 0);
        assert_eq!(appointments.get(0, OsStr::new("a")), Some(REQUEUED));
        assert!(due(&mut appointments, begin).is_empty());
        assert_eq!(due(&mut appointments, begin + SECOND), [(0, "a".into())]);
    }

    #[test]
    fn a_cancelled_or_forgotten_entry_is_not_due() {
        let begin = Instant::now();
        let mut appointments = Appointments::default();
        for (directory, name) in [(0, "a"), (0, "b"), (1, "c")] {
            appointments.make(directory, OsStr::new(name), begin, SCANNED);
        }
        assert_eq!(appointments.cancel(0, OsStr::new("a")), Some(SCANNED));
        assert_eq!(appointments.cancel(0, OsStr::new("a")), None);
        assert_eq!(appointments.scanned(), 2);
        appointments.forget(0);
        assert_eq!(appointments.scanned(), 1);
        assert_eq!(due(&mut appointments, begin), [(1, "c".into())]);
        assert_eq!(appointments.scanned(), 0);
    }

    #[test]
    fn a_jump_of_the_clock_shortens_quiet_times_only() {
        let begin = Instant::now();
        let mut appointments = Appointments::default();
        appointments.make(0, OsStr::new("quiet"), begin + 60 * SECOND, SCANNED);
        appointments.make(0, OsStr::new("requeued"), begin + 60 * SECOND, REQUEUED);
        appointments.on_jump(2 * SECOND, begin);
        assert_eq!(due(&mut appointments, begin + 2 * SECOND), [(0, "quiet".into())]);
        assert_eq!(appointments.next_at(), Some(begin + 60 * SECOND));
    }
}
