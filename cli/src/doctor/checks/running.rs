//! Checks how the readers run: whether one spins, or does not run at all.

use std::time::Duration;

use super::reader::shown;
use crate::doctor::finding::Finding;
use crate::doctor::layout::Queue;
use crate::doctor::seen::entries::Taken;
use crate::doctor::seen::owners::Users;
use crate::doctor::seen::readers::{Held, Reader, Readers, Sample, ticks_per_second};

/// The shortest observation after which a reader is judged. A single sample proves nothing.
pub(in crate::doctor) const ENOUGH_SECONDS: u64 = 2;

/// From this share of the time, without a sleep and for nothing, a reader spins.
const SPIN: f64 = 0.5;

pub(super) fn check(queue: &Queue, readers: &Readers, taken: Taken, users: &Users) -> Vec<Finding> {
    let is_enough = readers.time.as_secs() >= ENOUGH_SECONDS;
    let judge = |reader| {
        if is_enough {
            judge_reader(queue, readers, reader, taken, users)
        } else {
            let message = format!("{} was looked at once", shown(&reader.process, users));
            Finding::ok("running", message + ", which does not show how it runs")
        }
    };
    readers.readers.iter().map(judge).collect()
}

/// Returns the processor time of the busiest reader in percent.
pub(super) fn busiest_percent(readers: &Readers) -> Option<u64> {
    let shares = readers.readers.iter().filter_map(|reader| {
        let (first, last) = (reader.samples.first()?, reader.samples.last()?);
        (first.at < last.at).then(|| last.share_since(first, ticks_per_second()).0)
    });
    shares.map(percent).max()
}

fn percent(share: f64) -> u64 {
    (share * 100.0).round() as u64
}

/// The conclusion from the samples of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    /// It had ended before the last sample.
    Ended,
    /// It was observed for too short a time.
    TooShort,
    Stopped,
    Traced,
    /// In an uninterruptible wait in each sample.
    Waiting,
    /// Busy for nothing at least half of the time, with bytes in the trigger in each sample.
    Spinning,
    /// The same, with no bytes in the trigger or without the right to check.
    BusyForNothing,
    /// Busy at least half of the time, with bytes in the trigger in each sample, while entries arrive and
    /// are taken.
    Flooded,
    Normal,
}

fn behaviour(samples: &[Sample], is_present: bool, time: Duration, ticks: f64) -> Behaviour {
    /// A sample that is missing for longer shows that the process has ended.
    const GAP: Duration = Duration::from_millis(500);
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return if is_present { Behaviour::TooShort } else { Behaviour::Ended };
    };
    if !is_present && last.at + GAP < time {
        return Behaviour::Ended;
    }
    // It was found late. Less than three quarters of the time is too little to judge it.
    if last.at.saturating_sub(first.at) < time * 3 / 4 {
        return Behaviour::TooShort;
    }
    let all = |states: &[char]| samples.iter().all(|sample| states.contains(&sample.usage.state));
    if all(&['T']) {
        return Behaviour::Stopped;
    }
    if all(&['t', 'T']) {
        return Behaviour::Traced;
    }
    if all(&['D']) {
        return Behaviour::Waiting;
    }
    let total = last.at.saturating_sub(first.at).as_secs_f64();
    // This is the time that it was busy in intervals in which no entry arrived or was taken.
    let (mut busy, mut for_nothing) = (0.0, 0.0);
    for pair in samples.windows(2) {
        let time = pair[1].at.saturating_sub(pair[0].at).as_secs_f64();
        let demand = pair[1].demand_since(&pair[0], ticks).min(1.0) * time;
        busy += demand;
        if !pair[1].is_changed && pair[1].usage.state != 'D' {
            for_nothing += demand;
        }
    }
    // Only the time on a processor counts, and not the time of waiting for one.
    let has_run = last.share_since(first, ticks).0 > 0.0;
    let looks: Vec<bool> = samples.iter().filter_map(|sample| sample.has_bytes).collect();
    let is_readable = !looks.is_empty() && looks.iter().all(|&has_bytes| has_bytes);
    if !has_run || busy < SPIN * total {
        Behaviour::Normal
    } else if for_nothing >= SPIN * total {
        if is_readable { Behaviour::Spinning } else { Behaviour::BusyForNothing }
    } else if is_readable {
        Behaviour::Flooded
    } else {
        Behaviour::Normal
    }
}

fn judge_reader(
    queue: &Queue,
    readers: &Readers,
    reader: &Reader,
    taken: Taken,
    users: &Users,
) -> Finding {
    let ticks = ticks_per_second();
    let name = shown(&reader.process, users);
    let number = reader.process.id.number;
    let seconds = readers.time.as_secs_f64();
    let used = match (reader.samples.first(), reader.samples.last()) {
        (Some(first), Some(last)) => last.share_since(first, ticks),
        _ => (0.0, 0.0),
    };
    let used = format!(
        "used {} % of a processor for {seconds:.1} seconds ({} % inside the kernel)",
        percent(used.0),
        percent(used.1)
    );
    match behaviour(&reader.samples, reader.is_present, readers.time, ticks) {
        Behaviour::Ended => Finding::warning("running", format!("{name} ended meanwhile"))
            .why("a reader that ends again and again takes no mail")
            .hint("run this command again, and read the log of the queue manager"),
        Behaviour::TooShort => {
            Finding::ok("running", format!("{name} was there too shortly to show how it runs"))
        }
        Behaviour::Stopped => Finding::error("stopped", format!("{name} is stopped (SIGSTOP)"))
            .why("it takes no mail until it is continued")
            .hint(format!("kill -CONT {number}")),
        Behaviour::Traced => {
            Finding::error("stopped", format!("{name} is held by a debugger or a tracer"))
                .why("it takes no mail until it is continued")
                .hint(format!("end that program; grep TracerPid /proc/{number}/status names it"))
        }
        Behaviour::Waiting => Finding::error(
            "blocked",
            format!("{name} was in an uninterruptible wait in each sample for {seconds:.1} seconds"),
        )
        .why("it waits for a disk or a file server that does not answer, and takes no mail")
        .hint("check the file system of the queue, and the kernel's log (dmesg)"),
        Behaviour::Spinning => Finding::error(
            "spin",
            format!(
                "{name} spins: it {used}; its trigger was readable in each sample, and nothing was \
                 added to the queue or taken from it"
            ),
        )
        .why(
            "a reader that closes its trigger to empty it cannot remove a byte while another process \
             has the trigger open, and scans the queue without end; any local user can cause this",
        )
        .hint(cure(queue, readers, users)),
        Behaviour::BusyForNothing => {
            let looks = reader.samples.iter().any(|sample| sample.has_bytes.is_some());
            let trigger = if looks { "its trigger is not the reason" } else { "whether its trigger is the reason could not be seen" };
            Finding::warning(
                "running",
                format!("{name} {used}, and nothing was added to the queue or taken; {trigger}"),
            )
            .why("it works for something else, or does not notice the end of its work")
            .hint(format!("see its system calls: strace -c -p {number} (truss on the BSDs)"))
        }
        Behaviour::Flooded => Finding::warning(
            "running",
            format!("{name} {used}; its trigger was readable in each sample, while mail came and went"),
        )
        .why("it may be spinning beside its work, or a process pulls the trigger without a pause")
        .hint(cure(queue, readers, users)),
        Behaviour::Normal => {
            let work = match taken {
                Taken::Seen(count) => format!("; at least {count} entries came and went"),
                _ => String::new(),
            };
            Finding::ok("running", format!("{name} {used}{work}"))
        }
    }
}

/// Returns the processes that keep the trigger open, and the remedy.
fn cure(queue: &Queue, readers: &Readers, users: &Users) -> String {
    let relink = "to cure it for good, relink the reader with pullcord (docs/qmail.md)";
    let holders: Vec<String> =
        readers.writers.iter().map(|held| end_command(held, users)).collect();
    if holders.is_empty() {
        let unseen = match readers.out_of_sight() {
            Some(reason) => format!(" ({reason}: run this command as root, and where they run)"),
            None => String::new(),
        };
        return format!(
            "no process was seen that holds {} open for writing all that time{unseen}; {relink}",
            super::quoted(&queue.trigger)
        );
    }
    format!("held open for writing by {}; {relink}", holders.join("; "))
}

fn end_command(held: &Held, users: &Users) -> String {
    let number = held.process.id.number;
    let name = shown(&held.process, users);
    if held.is_stopped {
        format!(
            "{name}, which is stopped: kill -CONT {number} lets it finish, or else kill -KILL {number}"
        )
    } else {
        format!("{name}: end it now with kill {number}; the mail that it queued stays")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::seen::Usage;
    use crate::doctor::seen::readers::BUSY;

    const TICKS: f64 = 100.0;

    /// Samples of two seconds, 100 ms apart. `busy` returns the share of the interval before one.
    fn samples(state: char, busy: impl Fn(u64) -> f64) -> Vec<Sample> {
        let mut used = 0.0;
        (0..=20)
            .map(|step| {
                if step > 0 {
                    used += busy(step) * 0.1;
                }
                let usage = Usage {
                    state,
                    user: (used * TICKS / 4.0) as u64,
                    system: (used * TICKS * 3.0 / 4.0) as u64,
                    demand: Some((used * 1e9) as u64),
                };
                let has_bytes = (step > 0 && busy(step) >= BUSY).then_some(true);
                Sample {
                    at: Duration::from_millis(100 * step),
                    usage,
                    is_changed: false,
                    has_bytes,
                }
            })
            .collect()
    }

    fn judged(samples: &[Sample]) -> Behaviour {
        behaviour(samples, true, Duration::from_secs(2), TICKS)
    }

    fn with(mut samples: Vec<Sample>, change: impl Fn(usize, &mut Sample)) -> Vec<Sample> {
        samples.iter_mut().enumerate().for_each(|(index, sample)| change(index, sample));
        samples
    }

    #[test]
    fn a_reader_that_is_busy_for_nothing_with_a_readable_trigger_spins() {
        assert_eq!(judged(&samples('R', |_| 0.97)), Behaviour::Spinning);
        // Under the load of other processes it gets less processor time, but still never sleeps.
        let crowded = with(samples('R', |_| 0.97), |index, sample| {
            (sample.usage.user, sample.usage.system) = (index as u64, index as u64);
        });
        assert_eq!(judged(&crowded), Behaviour::Spinning);
    }

    #[test]
    fn a_reader_that_is_busy_for_500_ms_does_not_spin() {
        let busy = |step| if (5..10).contains(&step) { 1.0 } else { 0.0 };
        assert_eq!(judged(&samples('S', busy)), Behaviour::Normal);
    }

    #[test]
    fn a_reader_that_is_busy_while_mail_comes_and_goes_does_not_spin() {
        let work = with(samples('R', |_| 0.9), |_, sample| sample.is_changed = true);
        assert_eq!(judged(&work), Behaviour::Flooded);
        let emptied = with(work, |index, sample| sample.has_bytes = Some(index % 2 == 0));
        assert_eq!(judged(&emptied), Behaviour::Normal);
    }

    #[test]
    fn a_spin_needs_bytes_in_the_trigger_in_each_sample() {
        let once_empty = with(samples('R', |_| 0.9), |index, sample| {
            sample.has_bytes = Some(index != 7);
        });
        assert_eq!(judged(&once_empty), Behaviour::BusyForNothing);
        let not_seen = with(samples('R', |_| 0.9), |_, sample| sample.has_bytes = None);
        assert_eq!(judged(&not_seen), Behaviour::BusyForNothing);
    }

    #[test]
    fn a_state_counts_only_if_it_is_that_of_all_samples() {
        for (state, expected) in
            [('T', Behaviour::Stopped), ('t', Behaviour::Traced), ('D', Behaviour::Waiting)]
        {
            assert_eq!(judged(&samples(state, |_| 0.0)), expected);
            let passing = with(samples(state, |_| 0.0), |index, sample| {
                if index == 11 {
                    sample.usage.state = 'S';
                }
            });
            assert_eq!(judged(&passing), Behaviour::Normal, "{state}");
        }
    }

    #[test]
    fn a_short_lived_reader_is_not_judged_and_a_missing_one_has_ended() {
        let time = Duration::from_secs(2);
        let busy = samples('R', |_| 1.0);
        for (samples, is_present, expected) in [
            (&busy[..0], true, Behaviour::TooShort),
            (&busy[..0], false, Behaviour::Ended),
            (&busy[10..], true, Behaviour::TooShort), // found late
            (&busy[..10], false, Behaviour::Ended),
            (&busy[..], false, Behaviour::Spinning), // its trigger was closed in the last search
        ] {
            assert_eq!(behaviour(samples, is_present, time, TICKS), expected);
        }
    }
}
