//! Measures the time, the processor time and the scans per second of a strategy during the load.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::processor;

pub(super) struct Meter {
    begun: Instant,
    cpu: Option<Duration>,
    /// The time and the processor time at the end of the load.
    taken: Option<(Duration, Option<Duration>)>,
    last: (Instant, u64),
    /// Points: seconds after the start, and scans per second just before.
    pub(super) rates: Vec<(f64, f64)>,
    bar: ProgressBar,
}

const SAMPLE: Duration = Duration::from_millis(100);

impl Meter {
    pub(super) fn start(strategy: &'static str, time: Duration) -> Meter {
        let begun = Instant::now();
        Meter {
            begun,
            cpu: processor::time(),
            taken: None,
            last: (begun, 0),
            rates: Vec::new(),
            bar: progress(strategy, time),
        }
    }

    /// Returns the longest time to wait until the next measurement.
    pub(super) fn next_sample(&self, now: Instant) -> Duration {
        (self.last.0 + SAMPLE).saturating_duration_since(now)
    }

    pub(super) fn sample(&mut self, scans: u64) {
        let now = Instant::now();
        let (then, before) = self.last;
        let time = now - then;
        if self.taken.is_some() || time < SAMPLE {
            return;
        }
        self.last = (now, scans);
        let rate = (scans - before) as f64 / time.as_secs_f64();
        self.rates.push(((now - self.begun).as_secs_f64(), rate));
        self.bar.set_position((now - self.begun).as_millis() as u64);
    }

    /// Ends the measurement at the end of the load.
    pub(super) fn stop(&mut self) {
        let cpu =
            self.cpu.zip(processor::time()).map(|(before, after)| after.saturating_sub(before));
        self.taken = Some((self.begun.elapsed(), cpu));
        self.bar.finish_and_clear();
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.taken.map_or_else(|| self.begun.elapsed(), |(elapsed, _)| elapsed)
    }

    /// Returns the processor time, or `None` if it is not known.
    pub(super) fn cpu(&self) -> Option<Duration> {
        self.taken.and_then(|(_, cpu)| cpu)
    }
}

/// Returns a progress bar, which is shown only on a terminal.
fn progress(strategy: &'static str, time: Duration) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:11} {bar:40} {eta} left");
    ProgressBar::with_draw_target(Some(time.as_millis() as u64), ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(strategy)
}
