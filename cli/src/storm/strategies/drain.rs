//! The patch of 2001: the bytes are read, so that who holds on does no harm.
//!
//! It closes the trigger still, and so refuses whoever comes just then; it reads for as long as
//! there is something to read; and it scans as often as somebody pulls.

use pullcord::Notifier;

use super::Strategy;
use super::reader::Reader;
use crate::failure::Failure;
use crate::storm::load::Place;
use crate::storm::tally::Tally;

pub(super) struct Drain(Reader);

impl Drain {
    pub(super) fn start(place: &Place, notifier: &mut dyn Notifier) -> Result<Drain, Failure> {
        Reader::start(place, notifier).map(Drain)
    }
}

impl Strategy for Drain {
    fn look(&mut self, notifier: &mut dyn Notifier, tally: &mut Tally) -> Result<(), Failure> {
        self.0.drain()?;
        self.0.close(notifier)?;
        self.0.open(notifier)?;
        self.0.scan(tally)
    }
}
