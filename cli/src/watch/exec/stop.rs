//! How the commands that run are ended. Asks the system nothing.

use std::time::{Duration, Instant};

/// How long a process that was killed is waited for. One that waits for a disk does not end.
const KILLED: Duration = Duration::from_secs(5);

/// The end of all commands.
#[derive(Debug)]
pub(super) struct Stop {
    grace: Duration,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The commands end by themselves.
    Waiting,
    /// They are asked to end.
    ToTerminate,
    Terminated {
        kill_at: Option<Instant>,
    },
    ToKill,
    Killed {
        until: Option<Instant>,
    },
    Over,
}

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Wait,
    /// SIGTERM to each process group.
    Terminate,
    /// SIGKILL to each process group.
    Kill,
    /// The processes are not waited for any more.
    GiveUp,
}

impl Stop {
    /// Lets the commands end by themselves, until a signal comes.
    pub(super) fn at_their_end(grace: Duration) -> Stop {
        Stop { grace, state: State::Waiting }
    }

    /// Asks the commands to end, and kills them after `grace`.
    pub(super) fn now(grace: Duration) -> Stop {
        Stop { grace, state: State::ToTerminate }
    }

    /// A signal asks for a faster end.
    pub(super) fn on_signal(&mut self) {
        self.state = match self.state {
            State::Waiting => State::ToTerminate,
            State::ToTerminate | State::Terminated { .. } | State::ToKill => State::ToKill,
            State::Killed { .. } | State::Over => State::Over,
        };
    }

    /// Returns the next step. An order to terminate or to kill is returned once.
    pub(super) fn next_order(&mut self, now: Instant) -> Order {
        match self.state {
            State::ToTerminate => {
                self.state = State::Terminated { kill_at: now.checked_add(self.grace) };
                Order::Terminate
            }
            State::Terminated { kill_at: Some(at) } if at <= now => self.kill(now),
            State::ToKill => self.kill(now),
            State::Killed { until: Some(until) } if until > now => Order::Wait,
            State::Killed { .. } | State::Over => Order::GiveUp,
            State::Waiting | State::Terminated { .. } => Order::Wait,
        }
    }

    fn kill(&mut self, now: Instant) -> Order {
        self.state = State::Killed { until: now.checked_add(KILLED) };
        Order::Kill
    }

    /// Returns how long to wait for the next order.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let at = match self.state {
            State::Waiting => None,
            State::Terminated { kill_at: at } | State::Killed { until: at } => at,
            State::ToTerminate | State::ToKill | State::Over => Some(now),
        };
        at.map(|at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    #[test]
    fn commands_are_terminated_then_killed_then_given_up() {
        let begin = Instant::now();
        let mut stop = Stop::now(GRACE);
        assert_eq!(stop.next_order(begin), Order::Terminate);
        assert_eq!(stop.next_order(begin), Order::Wait);
        assert_eq!(stop.left(begin), Some(GRACE));
        assert_eq!(stop.next_order(begin + GRACE), Order::Kill);
        assert_eq!(stop.next_order(begin + GRACE), Order::Wait);
        assert_eq!(stop.next_order(begin + GRACE + KILLED), Order::GiveUp);
    }

    #[test]
    fn a_second_signal_kills_and_a_third_one_does_not_wait() {
        let now = Instant::now();
        let mut stop = Stop::at_their_end(GRACE);
        assert_eq!((stop.next_order(now), stop.left(now)), (Order::Wait, None));
        for order in [Order::Terminate, Order::Kill, Order::GiveUp] {
            stop.on_signal();
            assert_eq!(stop.next_order(now), order);
        }
    }

    #[test]
    fn a_grace_without_an_end_never_kills_by_itself() {
        let now = Instant::now();
        let mut stop = Stop::now(Duration::MAX);
        assert_eq!(stop.next_order(now), Order::Terminate);
        assert_eq!((stop.next_order(now), stop.left(now)), (Order::Wait, None));
    }
}
