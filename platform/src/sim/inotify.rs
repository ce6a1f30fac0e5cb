//! One inotify(7) instance: its watches and its queue. The kernel tells it the changes.

use std::collections::VecDeque;

use super::libc::{
    IN_ATTRIB, IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_IGNORED, IN_ISDIR,
    IN_MASK_ADD, IN_MODIFY, IN_MOVE_SELF, IN_MOVED_FROM, IN_MOVED_TO, IN_Q_OVERFLOW, IN_UNMOUNT,
};
use super::tree::{EntryChange, Ino, Name, Notice, SelfChange};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) watch: i32,
    pub(super) mask: u32,
    /// The same for both halves of a move; 0 for all else.
    pub(super) cookie: u32,
    pub(super) name: Option<Name>,
}

impl Event {
    /// One that is not about an entry.
    fn new(watch: i32, mask: u32) -> Event {
        Event { watch, mask, cookie: 0, name: None }
    }

    /// Whether it adds nothing to the last event of a queue.
    fn repeats(&self, last: &Event) -> bool {
        last.mask & IN_IGNORED == 0
            && (last.watch, last.mask, &last.name) == (self.watch, self.mask, &self.name)
    }

    /// How many bytes it takes in a buffer: a header of 16, and the name padded to a multiple of 16.
    pub(super) fn size(&self) -> usize {
        16 + self.name.as_ref().map_or(0, |name| (name.len() + 1).next_multiple_of(16))
    }
}

#[derive(Debug)]
struct Watch {
    id: i32,
    ino: Ino,
    mask: u32,
}

#[derive(Debug)]
pub(super) struct Inotify {
    watches: Vec<Watch>,
    next_id: i32,
    queue: VecDeque<Event>,
    limit: usize,
    overflown: bool,
}

impl Inotify {
    /// `limit`: how many events it holds before it overflows.
    pub(super) fn new(limit: usize) -> Inotify {
        let (watches, queue) = (Vec::new(), VecDeque::new());
        Inotify { watches, next_id: 1, queue, limit, overflown: false }
    }

    pub(super) fn watch_count(&self) -> usize {
        self.watches.len()
    }

    pub(super) fn is_watched(&self, ino: Ino) -> bool {
        self.watches.iter().any(|watch| watch.ino == ino)
    }

    /// inotify_add_watch(2): one watch for an inode, however often it is added.
    pub(super) fn add(&mut self, ino: Ino, mask: u32) -> i32 {
        let events = mask & 0xfff;
        if let Some(watch) = self.watches.iter_mut().find(|watch| watch.ino == ino) {
            watch.mask = if mask & IN_MASK_ADD != 0 { watch.mask | events } else { events };
            return watch.id;
        }
        let id = self.take_id();
        self.watches.push(Watch { id, ino, mask: events });
        id
    }

    /// Uses up a number. A watch that exceeds the limit does so too.
    pub(super) fn take_id(&mut self) -> i32 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// inotify_rm_watch(2). False if there is no such watch.
    pub(super) fn remove(&mut self, id: i32) -> bool {
        let found = self.watches.iter().position(|watch| watch.id == id);
        let Some(at) = found else { return false };
        self.watches.remove(at);
        self.push(Event::new(id, IN_IGNORED));
        true
    }

    /// Receives a change. Returns whether it became readable by an event.
    pub(super) fn notice(&mut self, notice: &Notice) -> bool {
        let before = self.queue.len();
        match notice {
            Notice::Entry { directory, name, change, is_directory, cookie } => {
                let event = match change {
                    EntryChange::Created => IN_CREATE,
                    EntryChange::Removed => IN_DELETE,
                    EntryChange::MovedFrom => IN_MOVED_FROM,
                    EntryChange::MovedTo => IN_MOVED_TO,
                    EntryChange::Attributes => IN_ATTRIB,
                    EntryChange::Modified => IN_MODIFY,
                    EntryChange::Closed => IN_CLOSE_WRITE,
                };
                let watch = self.watches.iter().find(|watch| watch.ino == *directory);
                if let Some(watch) = watch.filter(|watch| watch.mask & event != 0) {
                    let mask = event | if *is_directory { IN_ISDIR } else { 0 };
                    let (watch, cookie, name) = (watch.id, *cookie, Some(name.clone()));
                    self.push(Event { watch, mask, cookie, name });
                }
            }
            Notice::Itself { ino, change, is_directory } => {
                let Some(at) = self.watches.iter().position(|watch| watch.ino == *ino) else {
                    return false;
                };
                let (id, wanted) = (self.watches[at].id, self.watches[at].mask);
                let of_directory = if *is_directory { IN_ISDIR } else { 0 };
                let (event, ends) = match change {
                    SelfChange::Attributes => (IN_ATTRIB | of_directory, false),
                    SelfChange::Modified => (IN_MODIFY, false),
                    SelfChange::Closed => (IN_CLOSE_WRITE, false),
                    SelfChange::Moved => (IN_MOVE_SELF, false),
                    SelfChange::Deleted => (IN_DELETE_SELF, true),
                    SelfChange::Unlinked => return false,
                    SelfChange::Unmounted => (IN_UNMOUNT | of_directory, true),
                };
                // An unmount is reported whether it was asked for or not.
                if wanted & event != 0 || *change == SelfChange::Unmounted {
                    self.push(Event::new(id, event));
                }
                if ends {
                    self.watches.remove(at);
                    self.push(Event::new(id, IN_IGNORED));
                }
            }
        }
        self.queue.len() > before
    }

    fn push(&mut self, event: Event) {
        if self.queue.len() < self.limit {
            if !self.queue.back().is_some_and(|last| event.repeats(last)) {
                self.queue.push_back(event);
            }
        } else if !self.overflown {
            self.overflown = true;
            self.queue.push_back(Event::new(-1, IN_Q_OVERFLOW));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// `FIONREAD`: how many bytes are in the queue.
    pub(super) fn bytes(&self) -> usize {
        self.queue.iter().map(Event::size).sum()
    }

    pub(super) fn next(&mut self, room: usize) -> Option<Event> {
        if self.queue.front()?.size() > room {
            return None;
        }
        let event = self.queue.pop_front()?;
        if event.mask & IN_Q_OVERFLOW != 0 {
            self.overflown = false;
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(directory: Ino, name: &[u8]) -> Notice {
        let (name, change) = (name.into(), EntryChange::Created);
        Notice::Entry { directory, name, change, is_directory: false, cookie: 0 }
    }

    #[test]
    fn equal_events_are_merged_and_an_overflow_swallows_the_rest() {
        let mut inotify = Inotify::new(2);
        let id = inotify.add(7, IN_CREATE | IN_DELETE_SELF);
        assert!(inotify.notice(&created(7, b"a")));
        assert!(!inotify.notice(&created(7, b"a")), "merged with the last one");
        assert!(inotify.notice(&created(7, b"b")));
        assert!(inotify.notice(&created(7, b"c")), "the overflow");
        let deleted = Notice::Itself { ino: 7, change: SelfChange::Deleted, is_directory: true };
        assert!(!inotify.notice(&deleted));
        assert_eq!(inotify.watch_count(), 0, "gone, although nothing says so");
        assert_eq!(inotify.next(99).map(|event| event.watch), Some(id));
        assert_eq!(inotify.next(99).map(|event| event.watch), Some(id));
        assert_eq!(inotify.next(99).map(|event| event.mask), Some(IN_Q_OVERFLOW));
        assert_eq!(inotify.next(99), None);
    }

    #[test]
    fn a_watch_id_is_never_used_again() {
        let mut inotify = Inotify::new(9);
        let first = inotify.add(7, IN_CREATE);
        assert_eq!(inotify.add(7, IN_CREATE), first);
        assert!(inotify.remove(first));
        assert!(!inotify.remove(first));
        assert_ne!(inotify.add(7, IN_CREATE), first);
    }
}
