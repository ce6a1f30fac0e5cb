//! timerfd(2), and the passing of time for it and for `EVFILT_TIMER`.

use super::*;

impl Kernel {
    /// timerfd_create(2), of `CLOCK_MONOTONIC`.
    pub fn timer(&mut self, flags: c_int) -> Outcome<c_int> {
        if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
            return Err(EINVAL);
        }
        self.install(Kind::Timer(Timer::default()), O_RDWR | flags, None)
    }

    /// timerfd_settime(2): nanoseconds from now, or if `absolute` of `CLOCK_MONOTONIC`; 0 to stop it. Returns
    /// the earlier setting: how long it still had to run, and the interval.
    pub fn set_timer(
        &mut self,
        fd: c_int,
        absolute: bool,
        value: u64,
        interval: u64,
    ) -> Outcome<(u64, u64)> {
        let number = self.description_of(fd)?;
        let now = self.now();
        let Kind::Timer(timer) = &mut self.description_mut(number).kind else {
            return Err(EINVAL);
        };
        let due = if absolute { value } else { now.saturating_add(value) };
        let before = timer.set(now, (value > 0).then_some(due), interval);
        self.find_next_timer();
        self.advance(0);
        Ok(before)
    }

    /// read(2) of a timer: how often it has expired.
    pub(in crate::sim) fn read_timer(&mut self, fd: c_int, room: usize) -> Outcome<u64> {
        let number = self.description_of(fd)?;
        let now = self.now();
        let description = self.description_mut(number);
        let blocks = description.flags & O_NONBLOCK == 0;
        let Kind::Timer(timer) = &mut description.kind else { return Err(EINVAL) };
        if room < 8 {
            return Err(EINVAL);
        }
        let expirations = timer.read(now);
        assert!(expirations.is_some() || !blocks, "a read of a timer blocks");
        self.find_next_timer();
        expirations.ok_or(EAGAIN)
    }

    pub(super) fn find_next_timer(&mut self) {
        let due = self.descriptions.iter().flatten().filter_map(|it| it.kind.due());
        self.next_timer = due.min().unwrap_or(u64::MAX);
    }

    /// Lets all timers expire that are due, one after the other.
    pub(super) fn fire_timers(&mut self) {
        while self.now() >= self.next_timer {
            let due = self.next_timer;
            for number in 0..self.descriptions.len() {
                let Some(description) = &mut self.descriptions[number] else { continue };
                if description.kind.due() != Some(due) {
                    continue;
                }
                let key = match &mut description.kind {
                    Kind::Timer(timer) => {
                        timer.expire();
                        Some(EPOLLIN)
                    }
                    #[cfg(pullcord_sim = "bsd")]
                    Kind::Kqueue(kqueue) => kqueue.expire(due).then_some(0),
                    _ => None,
                };
                if let Some(key) = key {
                    self.wake(number, key);
                }
            }
            self.find_next_timer();
        }
    }
}

impl Kind {
    /// When the next timer in it expires.
    fn due(&self) -> Option<u64> {
        match self {
            Kind::Timer(timer) => timer.due(),
            #[cfg(pullcord_sim = "bsd")]
            Kind::Kqueue(kqueue) => kqueue.due(),
            _ => None,
        }
    }
}
