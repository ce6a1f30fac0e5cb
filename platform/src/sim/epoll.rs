//! One epoll(7) instance: its registrations, and the list of those that may be ready. The kernel
//! says which sources are ready, and calls when a source wakes its waiters.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::libc::{EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT};

#[derive(Clone, Copy, Debug)]
pub(super) struct Registration {
    /// The number that it was registered by. Events are identified by number and description.
    fd: i32,
    pub(super) description: usize,
    events: u32,
    data: u64,
    /// Its number: later registrations have greater ones, in all instances.
    pub(super) order: u64,
}

#[derive(Debug, Default)]
pub(super) struct Epoll {
    registrations: Vec<Registration>,
    /// The numbers of the registrations that may be ready, in the order in which they will be
    /// reported. A test of readiness removes those in front that are not.
    ready: RefCell<VecDeque<u64>>,
}

/// The events that are always reported.
const ALWAYS: u32 = (EPOLLERR | EPOLLHUP) as u32;
const EVENTS: u32 = (EPOLLIN | EPOLLOUT) as u32 | ALWAYS;

impl Epoll {
    fn find(&mut self, fd: i32, description: usize) -> Option<&mut Registration> {
        self.registrations.iter_mut().find(|it| it.fd == fd && it.description == description)
    }

    pub(super) fn registrations(&self) -> &[Registration] {
        &self.registrations
    }

    /// Returns whether it was not in the list yet.
    fn append(&mut self, order: u64) -> bool {
        let ready = self.ready.get_mut();
        let is_new = !ready.contains(&order);
        if is_new {
            ready.push_back(order);
        }
        is_new
    }

    /// Returns whether it is newly ready, so that those that wait for this instance are woken; `None`
    /// if it is registered already.
    pub(super) fn add(
        &mut self,
        fd: i32,
        description: usize,
        (events, data): (u32, u64),
        order: u64,
        now: u32,
    ) -> Option<bool> {
        if self.find(fd, description).is_some() {
            return None;
        }
        let registration = Registration { fd, description, events: events | ALWAYS, data, order };
        self.registrations.push(registration);
        Some(registration.ready(now) != 0 && self.append(order))
    }

    /// Returns the same as `add`; `None` if it is not registered.
    pub(super) fn modify(
        &mut self,
        fd: i32,
        description: usize,
        (events, data): (u32, u64),
        now: u32,
    ) -> Option<bool> {
        let registration = self.find(fd, description)?;
        (registration.events, registration.data) = (events | ALWAYS, data);
        let (order, is_ready) = (registration.order, registration.ready(now) != 0);
        Some(is_ready && self.append(order))
    }

    /// False if it is not registered.
    pub(super) fn remove(&mut self, fd: i32, description: usize) -> bool {
        let Some(order) = self.find(fd, description).map(|it| it.order) else { return false };
        self.drop_all(|it| it.order == order);
        true
    }

    /// The last descriptor of a description was closed.
    pub(super) fn forget(&mut self, description: usize) {
        if self.watches(description) {
            self.drop_all(|it| it.description == description);
        }
    }

    fn drop_all(&mut self, is_dropped: impl Fn(&Registration) -> bool) {
        self.registrations.retain(|it| !is_dropped(it));
        let registrations = &self.registrations;
        let is_there = |order: &u64| registrations.iter().any(|it| it.order == *order);
        self.ready.get_mut().retain(is_there);
    }

    pub(super) fn watches(&self, description: usize) -> bool {
        self.registrations.iter().any(|it| it.description == description)
    }

    /// A source wakes its waiters: `key` has the events that it does so for, or is 0 if it does not
    /// say. Returns whether those that wait for this instance are woken.
    pub(super) fn wake(&mut self, order: u64, key: u32) -> bool {
        let found = self.registrations.iter().find(|it| it.order == order);
        let passes = |it: &&Registration| it.is_enabled() && (key == 0 || key & it.events != 0);
        if found.filter(passes).is_none() {
            return false;
        }
        self.append(order);
        true
    }

    /// Whether a wait would return at once.
    pub(super) fn is_ready(&self, readiness: &impl Fn(usize) -> u32) -> bool {
        loop {
            let Some(order) = self.ready.borrow().front().copied() else { return false };
            let found = self.registrations.iter().find(|it| it.order == order);
            if found.is_some_and(|it| it.ready(readiness(it.description)) != 0) {
                return true;
            }
            self.ready.borrow_mut().pop_front();
        }
    }

    /// The events of one wait, at most `room`, as events and data.
    pub(super) fn wait(
        &mut self,
        room: usize,
        readiness: impl Fn(usize) -> u32,
        mut report: impl FnMut(u32, u64),
    ) -> usize {
        let mut again = Vec::new();
        let mut found = 0;
        while found < room {
            let Some(order) = self.ready.get_mut().pop_front() else { break };
            let registration = self.registrations.iter_mut().find(|it| it.order == order);
            let Some(registration) = registration else { continue };
            let events = registration.ready(readiness(registration.description));
            if events == 0 {
                continue;
            }
            report(events, registration.data);
            found += 1;
            if registration.events & EPOLLONESHOT as u32 != 0 {
                registration.events &= !EVENTS;
            } else if registration.events & EPOLLET as u32 == 0 {
                again.push(order);
            }
        }
        self.ready.get_mut().extend(again);
        found
    }
}

impl Registration {
    /// Whether it reports anything: after an event, a one-shot registration does not.
    fn is_enabled(&self) -> bool {
        self.events & EVENTS != 0
    }

    fn ready(&self, events: u32) -> u32 {
        self.events & events & EVENTS
    }
}
