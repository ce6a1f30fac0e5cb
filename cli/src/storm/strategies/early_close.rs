//! The same, closed earlier: as soon as select returns, so that a writer that is about to leave has
//! time to. Who holds on is not impressed, and meanwhile writers are refused.

use pullcord::{Event, Notifier};

use super::Strategy;
use super::reader::Reader;
use crate::failure::Failure;
use crate::storm::load::Place;
use crate::storm::tally::Tally;

pub(super) struct EarlyClose(Reader);

impl EarlyClose {
    pub(super) fn start(place: &Place, notifier: &mut dyn Notifier) -> Result<EarlyClose, Failure> {
        Reader::start(place, notifier).map(EarlyClose)
    }
}

impl Strategy for EarlyClose {
    fn woken(&mut self, _: &Event, notifier: &mut dyn Notifier) -> Result<(), Failure> {
        self.0.close(notifier)
    }

    fn look(&mut self, notifier: &mut dyn Notifier, tally: &mut Tally) -> Result<(), Failure> {
        self.0.open(notifier)?;
        self.0.scan(tally)
    }
}
