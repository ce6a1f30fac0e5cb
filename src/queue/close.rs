//! How a queue is closed whose supervisor starts its program again on a pull.

use pullcord_platform::clock;

use super::Queue;
use crate::error::Result;
use crate::trigger::DrainOutcome;

impl Queue {
    /// Closes the queue, for a program that ends when it has nothing to do and that its supervisor
    /// starts again on a pull. Returns whether entries may be left that were not returned; one byte is
    /// in the trigger then, so that the supervisor starts the program at once.
    ///
    /// It first takes all bytes out of the trigger: bytes that stay would start the program again for
    /// nothing. It then looks once more at the watch. A pull that comes later stays in the trigger, if
    /// the supervisor has it open. Requeued entries are not counted: they are returned after the next
    /// start. Does not block.
    ///
    /// The next start scans all directories, so that an error here loses no entry; the program is only
    /// started later.
    ///
    /// # Errors
    ///
    /// Fails with the error of write(2), if the byte cannot be written. The queue is closed then, too.
    pub fn close(mut self) -> Result<bool> {
        let is_left = self.is_anything_left();
        if is_left {
            self.trigger.put_back()?;
        }
        Ok(is_left)
    }

    fn is_anything_left(&mut self) -> bool {
        let now = clock::now();
        self.work.end_turn();
        let drained = self.trigger.drain(now);
        // A writer links its entry before it pulls: the watch has the event by now.
        self.sources.watch.readable = self.watches.watcher().is_some();
        self.sources.watch_rests = false;
        !matches!(drained, Ok(DrainOutcome::Empty)) && self.needs_trigger()
            || self.next_arrival(now).is_some()
            || self.has_arrivals()
            || self.schedule.has_dirty()
            || self.schedule.is_round_active()
            || self.appointments.has_quiet()
    }
}
