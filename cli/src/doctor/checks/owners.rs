//! Owners and modes, against the needs of the layout.
//!
//! | layout | path | owner | mode | must have | must not have |
//! |---|---|---|---|---|---|
//! | qmail, flat or big-todo or ext-todo | the queue | qmailq:qmail | 750 | u=rwx, g=x | g=w, o=w |
//! | | `lock` | qmailq:qmail | 750 | u=rwx, g=x | g=w, o=w |
//! | | `todo`, and `todo/0` and so on (big-todo) | qmailq:qmail | 750 | u=rwx, g=rx | g=w, o=w |
//! | | `lock/trigger` | qmails:qmail | 622 | u=rw, g=w, o=w | g=r, o=r |
//! | Postfix | `public` | postfix:postdrop | 710 | u=rwx, g=x | g=w, o=w |
//! | | `maildrop` | postfix:postdrop | 1730 | sticky, u=rwx, g=wx | o=r |
//! | | `public/pickup`, if it is a FIFO | postfix | 622 | u=rw, g=w, o=w | g=r, o=r |
//!
//! The sources are qmail's hier.c, which the big-todo and ext-todo patches extend by `todo/N` of the
//! same owner and mode (with ext-todo, qmail-todo reads the trigger in place of qmail-send, as the same
//! user), and Postfix's postfix-files and master_listen.c. qmail-queue runs as qmailq in the group of
//! its caller, which is qmail for bounces: so both group and others must be able to write to the
//! trigger.

use super::{quoted, shown};
use crate::doctor::finding::Finding;
use crate::doctor::layout::{Layout, Queue};
use crate::doctor::seen::owners::{Owners, Place, Role, Users};
use crate::doctor::seen::readers::Readers;

struct Row {
    owner: &'static str,
    /// `None` if every group is accepted.
    group: Option<&'static str>,
    mode: u32,
    /// The bits without which the queue does not work.
    needed: u32,
    /// The bits that are dangerous.
    dangerous: u32,
    /// The consequence of missing bits or of another owner.
    why: &'static str,
}

const TRIGGER_WHY: &str = "the reader cannot open it, or the programs that queue mail cannot write to \
                           it: mail then waits for the next regular scan";
const ENTRIES_WHY: &str = "mail cannot be queued, or the reader cannot find it or take it";

fn row(layout: Layout, role: Role) -> Row {
    let group = Some(if layout == Layout::Qmail { "qmail" } else { "postdrop" });
    let directory = Row {
        owner: if layout == Layout::Qmail { "qmailq" } else { "postfix" },
        group,
        mode: 0o750,
        needed: 0o750,
        dangerous: 0o022,
        why: ENTRIES_WHY,
    };
    match (layout, role) {
        (Layout::Qmail, Role::Root | Role::TriggerHome) => Row { needed: 0o710, ..directory },
        (Layout::Qmail, Role::Entries) => directory,
        (Layout::Qmail, Role::Trigger) => Row {
            owner: "qmails",
            mode: 0o622,
            needed: 0o622,
            dangerous: 0o044,
            why: TRIGGER_WHY,
            ..directory
        },
        (Layout::Postfix, Role::Root | Role::TriggerHome) => {
            Row { mode: 0o710, needed: 0o710, ..directory }
        }
        (Layout::Postfix, Role::Entries) => {
            Row { mode: 0o1730, needed: 0o1730, dangerous: 0o004, ..directory }
        }
        (Layout::Postfix, Role::Trigger) => Row {
            group: None,
            mode: 0o622,
            needed: 0o622,
            dangerous: 0o044,
            why: TRIGGER_WHY,
            ..directory
        },
    }
}

pub(super) fn check(queue: &Queue, owners: &Owners, readers: &Readers) -> Vec<Finding> {
    let (places, users) = (&owners.places, &owners.users);
    let has_users = row(queue.layout, Role::Trigger).ids(users).is_some()
        && row(queue.layout, Role::Entries).ids(users).is_some();
    // The queue belongs to another program: its reader owns every path, or the queue has a single owner
    // that no layout knows. Only the permissions that the FIFO itself needs can be judged then.
    let reads_its_own = readers
        .readers
        .first()
        .is_some_and(|reader| places.iter().all(|place| place.user == reader.process.user));
    let by_name = has_users && !reads_its_own;
    let mut findings: Vec<Finding> =
        places.iter().filter_map(|place| judge(queue.layout, place, users, by_name)).collect();
    if findings.is_empty() {
        findings.push(Finding::ok("owners", all_right(queue, owners, has_users, reads_its_own)));
    }
    findings
}

fn all_right(queue: &Queue, owners: &Owners, has_users: bool, reads_its_own: bool) -> String {
    let trigger = owners.places.iter().find(|place| place.role == Role::Trigger);
    let trigger = trigger.map_or_else(String::new, |place| {
        format!("; the trigger has mode {:o}, {}", place.mode, owner_of(place, &owners.users))
    });
    if reads_its_own {
        format!("the reader owns the queue{trigger}")
    } else if has_users {
        format!("as {} needs them{trigger}", name_of(queue))
    } else {
        let names = match queue.layout {
            Layout::Qmail => "qmailq and qmails",
            Layout::Postfix => "postfix and postdrop",
        };
        format!("not compared: this system has no users {names}{trigger}")
    }
}

fn name_of(queue: &Queue) -> &'static str {
    match (queue.layout, queue.parts()) {
        (Layout::Qmail, []) => "qmail",
        (Layout::Qmail, _) => "qmail with big-todo",
        (Layout::Postfix, _) => "Postfix",
    }
}

impl Row {
    /// Returns the owner and the group, if the system knows both.
    fn ids(&self, users: &Users) -> Option<(u32, Option<u32>)> {
        let group = match self.group {
            Some(name) => Some(users.group(name)?),
            None => None,
        };
        Some((users.user(self.owner)?, group))
    }

    fn owner_in_words(&self) -> String {
        self.group.map_or(self.owner.into(), |group| format!("{}:{group}", self.owner))
    }
}

fn owner_of(place: &Place, users: &Users) -> String {
    format!("owner {}:{}", users.user_name(place.user), users.group_name(place.group))
}

fn judge(layout: Layout, place: &Place, users: &Users, by_name: bool) -> Option<Finding> {
    let row = row(layout, place.role);
    let (path, word, mode) = (shown(&place.path), quoted(&place.path), place.mode);
    if by_name && (has_wrong_owner(&row, place, users) || mode & row.needed != row.needed) {
        let wanted = row.owner_in_words();
        let message = format!(
            "{path} has mode {mode:o}, {}; {} needs {wanted}, mode {:o}",
            owner_of(place, users),
            if layout == Layout::Qmail { "qmail" } else { "Postfix" },
            row.mode
        );
        // chown(1) may clear bits of the mode, so chmod(1) comes last.
        let mut commands = Vec::new();
        if has_wrong_owner(&row, place, users) {
            commands.push(format!("chown {wanted} {word}"));
        }
        if mode & row.needed != row.needed || mode & row.dangerous != 0 {
            commands.push(format!("chmod {:o} {word}", row.mode));
        }
        return Some(Finding::error("owners", message).why(row.why).hint(commands.join(" && ")));
    }
    let found = format!("{path} has mode {mode:o}, {}", owner_of(place, users));
    if place.role == Role::Trigger && mode & 0o022 == 0 {
        return Some(
            Finding::warning("owners", found + ": other users cannot write to it")
                .why("the programs that queue mail run as other users, and their pulls fail")
                .hint(format!("chmod {:o} {word}", row.mode)),
        );
    }
    if mode & row.dangerous == 0 {
        return None;
    }
    let (message, why) = match place.role {
        Role::Trigger => (
            ": other users may read it",
            "a user that reads it takes the pulls of its reader, and mail waits",
        ),
        Role::Entries if layout == Layout::Postfix => {
            (": other users may list it", "the names of others' mail are visible")
        }
        _ if !by_name => return None,
        _ => (": other users may write to it", "they may remove or replace mail and the trigger"),
    };
    let finding = Finding::warning("owners", found + message).why(why);
    Some(finding.hint(format!("chmod {:o} {word}", row.mode)))
}

fn has_wrong_owner(row: &Row, place: &Place, users: &Users) -> bool {
    row.ids(users).is_some_and(|(user, group)| {
        place.user != user || group.is_some_and(|group| place.group != group)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;
    use crate::doctor::seen::Process;
    use crate::doctor::seen::process::ProcessId;
    use crate::doctor::seen::readers::Reader;

    const PASSWD: &str =
        "root:x:0:0::/:/bin/sh\nqmailq:x:71:70::/:\nqmails:x:72:70::/:\npostfix:x:81:80::/:\n";
    const GROUP: &str = "root:x:0:\nqmail:x:70:\npostfix:x:80:\npostdrop:x:82:\n";

    fn place(role: Role, path: &str, user: u32, group: u32, mode: u32) -> Place {
        Place { path: path.into(), role, user, group, mode }
    }

    fn qmail() -> Vec<Place> {
        vec![
            place(Role::Root, "/q", 71, 70, 0o750),
            place(Role::TriggerHome, "/q/lock", 71, 70, 0o750),
            place(Role::Trigger, "/q/lock/trigger", 72, 70, 0o622),
            place(Role::Entries, "/q/todo", 71, 70, 0o750),
            place(Role::Entries, "/q/todo/0", 71, 70, 0o750),
        ]
    }

    /// As the packages of Debian make it: `public` has the set-group-ID bit.
    fn postfix() -> Vec<Place> {
        vec![
            place(Role::TriggerHome, "/p/public", 81, 82, 0o2710),
            place(Role::Trigger, "/p/public/pickup", 81, 82, 0o622),
            place(Role::Entries, "/p/maildrop", 81, 82, 0o1730),
        ]
    }

    fn check_places(layout: Layout, places: Vec<Place>, reader: Option<u32>) -> Vec<Finding> {
        let queue = Queue {
            layout,
            root: "/q".into(),
            trigger: "/q/lock/trigger".into(),
            directories: vec!["/q/todo".into()],
        };
        let mut readers = Readers::default();
        if let Some(user) = reader {
            let id = ProcessId { number: 9, start: 1 };
            let process = Process { id, name: "x".into(), user, real_user: user, limit: None };
            readers.readers.push(Reader {
                process,
                open: 1,
                is_present: true,
                samples: Vec::new(),
            });
        }
        let owners = Owners { places, users: Users::parse(PASSWD, GROUP) };
        check(&queue, &owners, &readers)
    }

    fn changed(mut places: Vec<Place>, path: &str, change: impl Fn(&mut Place)) -> Vec<Place> {
        change(places.iter_mut().find(|place| place.path.ends_with(path)).unwrap());
        places
    }

    fn only(layout: Layout, places: Vec<Place>) -> (State, String) {
        let findings = check_places(layout, places, Some(72));
        assert_eq!(findings.len(), 1, "{findings:?}");
        (findings[0].state, findings[0].hint.clone().unwrap_or_default())
    }

    #[test]
    fn a_queue_with_the_owners_of_its_installer_is_ok() {
        assert_eq!(only(Layout::Qmail, qmail()).0, State::Ok);
        assert_eq!(only(Layout::Postfix, postfix()).0, State::Ok);
    }

    #[test]
    fn a_wrong_owner_is_an_error_with_the_command_that_corrects_it() {
        for (path, command) in [
            ("lock/trigger", "chown qmails:qmail /q/lock/trigger"),
            ("lock", "chown qmailq:qmail /q/lock"),
            ("todo", "chown qmailq:qmail /q/todo"),
            ("todo/0", "chown qmailq:qmail /q/todo/0"),
        ] {
            let places = changed(qmail(), path, |place| (place.user, place.group) = (0, 0));
            assert_eq!(only(Layout::Qmail, places), (State::Error, command.into()));
        }
        let places = changed(postfix(), "maildrop", |place| place.group = 80);
        let expected = (State::Error, "chown postfix:postdrop /p/maildrop".into());
        assert_eq!(only(Layout::Postfix, places), expected);
        let places = changed(postfix(), "pickup", |place| (place.user, place.mode) = (0, 0o600));
        let command = "chown postfix /p/public/pickup && chmod 622 /p/public/pickup";
        assert_eq!(only(Layout::Postfix, places), (State::Error, command.into()));
    }

    #[test]
    fn a_missing_right_is_an_error_and_a_dangerous_one_a_warning() {
        let with_mode =
            |path, mode| only(Layout::Qmail, changed(qmail(), path, |place| place.mode = mode));
        let trigger = "chmod 622 /q/lock/trigger".to_owned();
        assert_eq!(with_mode("trigger", 0o600), (State::Error, trigger.clone()));
        assert_eq!(with_mode("trigger", 0o602), (State::Error, trigger.clone()), "bounces");
        assert_eq!(with_mode("trigger", 0o666), (State::Warning, trigger));
        assert_eq!(with_mode("todo", 0o700), (State::Error, "chmod 750 /q/todo".into()));
        assert_eq!(with_mode("todo", 0o755).0, State::Ok);
        assert_eq!(with_mode("todo", 0o777), (State::Warning, "chmod 750 /q/todo".into()));
        let places = changed(postfix(), "maildrop", |place| place.mode = 0o730);
        assert_eq!(only(Layout::Postfix, places).1, "chmod 1730 /p/maildrop", "sticky");
    }

    #[test]
    fn a_queue_that_its_reader_owns_is_judged_by_its_trigger_only() {
        let own = |mode| {
            let mut places = qmail();
            places.iter_mut().for_each(|place| (place.user, place.group) = (1000, 1000));
            places[3].mode = 0o777;
            let places = changed(places, "trigger", |place| place.mode = mode);
            check_places(Layout::Qmail, places, Some(1000)).remove(0).state
        };
        assert_eq!(own(0o622), State::Ok);
        assert_eq!(own(0o600), State::Warning);
        assert_eq!(own(0o644), State::Warning);
        // The same queue read by another user is judged by the table.
        let places = changed(qmail(), "trigger", |place| place.user = 1000);
        assert_eq!(check_places(Layout::Qmail, places, Some(72)).remove(0).state, State::Error);
    }

    #[test]
    fn without_the_users_owners_are_not_compared() {
        let queue = Queue {
            layout: Layout::Qmail,
            root: "/q".into(),
            trigger: "/q/lock/trigger".into(),
            directories: vec!["/q/todo".into()],
        };
        let places = changed(qmail(), "todo", |place| place.user = 5);
        let owners = Owners { places, users: Users::parse("root:x:0:0::/:\n", "") };
        let findings = check(&queue, &owners, &Readers::default());
        assert_eq!(findings[0].state, State::Ok);
        assert!(findings[0].message.starts_with("not compared"), "{findings:?}");
    }
}
