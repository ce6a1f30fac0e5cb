//! The loop of 1998.
//!
//! A FIFO's bytes are gone once nobody has it open. While a writer has, closing it changes nothing:
//! it is readable still, and so for ever.

use pullcord::Notifier;

use super::Strategy;
use super::reader::Reader;
use crate::failure::Failure;
use crate::storm::load::Place;
use crate::storm::tally::Tally;

pub(super) struct Reopen(Reader);

impl Reopen {
    pub(super) fn start(place: &Place, notifier: &mut dyn Notifier) -> Result<Reopen, Failure> {
        Reader::start(place, notifier).map(Reopen)
    }
}

impl Strategy for Reopen {
    fn look(&mut self, notifier: &mut dyn Notifier, tally: &mut Tally) -> Result<(), Failure> {
        self.0.close(notifier)?;
        self.0.open(notifier)?;
        self.0.scan(tally)
    }
}
