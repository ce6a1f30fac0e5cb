//! Checks the entries: whether a reader takes them, and whether some can never be taken.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{in_words, shown};
use crate::doctor::finding::Finding;
use crate::doctor::layout::{Layout, Queue};
use crate::doctor::seen::entries::{Entries, MINUTE, Odd, OddKind, Taken};
use crate::doctor::seen::owners::Owners;
use crate::doctor::seen::readers::Readers;

/// A reader scans its queue at least this often: qmail-send every 1,500 s.
const RESCAN: Duration = Duration::from_secs(1500);

/// The age after which an unfinished message counts as left by an ended writer.
const ABANDONED: Duration = Duration::from_secs(3600);

pub(super) fn check(
    queue: &Queue,
    entries: &Entries,
    taken: Taken,
    readers: &Readers,
    owners: &Owners,
) -> Vec<Finding> {
    let mut findings = vec![layout(queue, entries), waiting(entries, taken)];
    for (path, error) in &entries.unreadable {
        findings.push(
            Finding::error("directory", format!("{} cannot be read: {error}", shown(path)))
                .why("its entries are not counted here, and the reader may not find them either")
                .hint("check its owner and its mode"),
        );
    }
    findings.extend(left_over(queue, entries));
    findings.extend(odd(&entries.odd, readers, owners));
    findings.extend(abandoned(entries));
    findings
}

/// Reports unfinished messages whose writer must have ended.
fn abandoned(entries: &Entries) -> Option<Finding> {
    let (path, age) = entries.oldest_unfinished.as_ref().filter(|(_, age)| *age >= ABANDONED)?;
    let (count, age) = (entries.unfinished, in_words(*age));
    let message =
        format!("{count} messages are not complete, the oldest for {age}: {}", shown(path));
    let finding = Finding::warning("unfinished", message);
    let finding = finding.why("the program that wrote it has ended, and no reader takes it");
    Some(finding.hint("postsuper -s removes files that are older than a day"))
}

fn layout(queue: &Queue, entries: &Entries) -> Finding {
    let layout = match (queue.layout, queue.parts().len()) {
        (Layout::Postfix, _) => "Postfix's maildrop".into(),
        (Layout::Qmail, 0) => "qmail, one directory".into(),
        (Layout::Qmail, parts) => format!("qmail, split into {parts} directories (big-todo)"),
    };
    Finding::ok("layout", format!("{layout}, {} entries waiting", entries.waiting))
}

fn waiting(entries: &Entries, taken: Taken) -> Finding {
    let Some((path, age)) = &entries.oldest else {
        let seen = match taken {
            Taken::Seen(count) => {
                format!("; at least {count} were taken while this command looked")
            }
            _ => String::new(),
        };
        return Finding::ok("waiting", format!("no entry waits{seen}"));
    };
    let flow = match taken {
        Taken::Seen(count) => format!("at least {count} were taken while this command looked"),
        Taken::LastMinute => "some were taken within the last minute".into(),
        Taken::NotInLastMinute => "none was taken within the last minute".into(),
        Taken::NotKnown => "none was taken while this command looked".into(),
    };
    let message = format!(
        "{} entries wait, the oldest for {} ({}); {flow}",
        entries.waiting,
        in_words(*age),
        shown(path)
    );
    let flows = matches!(taken, Taken::Seen(_) | Taken::LastMinute);
    if *age < MINUTE {
        Finding::ok("waiting", message)
    } else if *age >= 2 * RESCAN {
        Finding::error("waiting", message)
            .why("the reader scans its queue every 25 minutes at least, and has not taken it")
            .hint(
                "read the log of the queue manager for that entry; see the owners, the reader and \
                 the file system on this page",
            )
    } else if flows {
        Finding::warning("waiting", message)
            .why("the reader takes entries more slowly than they come, or leaves some")
            .hint("run this command again: it is only a backlog if the oldest entry changes")
    } else if *age >= RESCAN || taken == Taken::NotInLastMinute {
        Finding::error("waiting", message)
            .why("mail waits, and no process takes it")
            .hint("see the reader on this page; if there is none, start the queue manager")
    } else {
        Finding::warning("waiting", message)
            .why("an entry is usually taken at once")
            .hint("run this command again in a minute, or with --seconds 60")
    }
}

/// Reports directories that a change between flat and split has left.
fn left_over(queue: &Queue, entries: &Entries) -> Vec<Finding> {
    let (parts, mut findings) = (queue.parts().len(), Vec::new());
    if parts == 0 {
        return findings;
    }
    let todo = shown(queue.main());
    const WHY: &str = "a qmail-send with big-todo reads the numbered directories only, one without it \
                       todo only: one kind of these entries is never read";
    const HINT: &str = "find out how qmail-send was built (big-todo or not), stop it, move the entries \
                        to where it looks (with big-todo, entry N goes to todo/(N modulo conf-split)), \
                        and start it; a reader with pullcord reads both";
    if entries.beside_parts > 0 {
        let message =
            format!("{todo} has {} entries beside its numbered directories", entries.beside_parts);
        findings.push(Finding::warning("left over", message).why(WHY).hint(HINT));
    }
    match entries.split_of_mess {
        Some(mess) if mess > 0 && mess != parts => findings.push(
            Finding::warning(
                "left over",
                format!("{todo} has {parts} numbered directories, and mess has {mess}"),
            )
            .why(
                "qmail uses as many directories as conf-split names; others remain from an earlier \
                 value, and no reader reads them",
            )
            .hint("check the directories of the highest numbers for mail; remove the empty ones"),
        ),
        _ => {}
    }
    findings
}

/// Reports entries that no reader reads, with one finding for each kind.
fn odd(odd: &[Odd], readers: &Readers, owners: &Owners) -> Vec<Finding> {
    let reader = readers.readers.first().map(|reader| reader.process.user);
    let reader = reader.or_else(|| owners.users.user("qmails"));
    let mut kinds: BTreeMap<&'static str, (usize, &Odd, &'static str)> = BTreeMap::new();
    for entry in odd {
        let (what, hint) = match entry.kind {
            OddKind::Hidden => ("have a name that begins with a dot", "rename or remove them"),
            OddKind::NotNumbered => {
                ("have a name that is not a number, which qmail-send skips", "move them away")
            }
            OddKind::NotRegular => ("are not regular files", "check them: they cannot be mail"),
            OddKind::Private { owner } => match reader {
                Some(reader) if reader != owner && reader != 0 => (
                    "may not be read by the reader",
                    "check how they came here, and chmod 644 them",
                ),
                _ => continue,
            },
        };
        kinds.entry(what).or_insert((0, entry, hint)).0 += 1;
    }
    let finding = |(what, (count, first, hint)): (&str, (usize, &Odd, &str))| {
        let message = format!("{count} entries {what}, such as {}", shown(&first.path));
        Finding::warning("entries", message).why("no reader will ever take them").hint(hint)
    };
    kinds.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;
    use crate::doctor::seen::owners::Users;

    fn queue(parts: usize) -> Queue {
        let parts = (0..parts).map(|part| format!("/q/todo/{part}").into());
        Queue {
            layout: Layout::Qmail,
            root: "/q".into(),
            trigger: "/q/lock/trigger".into(),
            directories: std::iter::once("/q/todo".into()).chain(parts).collect(),
        }
    }

    fn state_of(age: u64, taken: Taken) -> State {
        let oldest = Some(("/q/todo/1".into(), Duration::from_secs(age)));
        waiting(&Entries { waiting: 3, oldest, ..Entries::default() }, taken).state
    }

    #[test]
    fn waiting_mail_is_judged_by_its_age_and_by_the_taken_entries() {
        use State::{Error, Ok, Warning};
        let (seen, minute) = (Taken::Seen(4), Taken::LastMinute);
        let (none, unknown) = (Taken::NotInLastMinute, Taken::NotKnown);
        for (age, expected) in [
            (59, [Ok, Ok, Ok, Ok]),
            (61, [Warning, Warning, Error, Warning]),
            (2_400, [Warning, Warning, Error, Error]), // 40 minutes
            (3_000, [Error, Error, Error, Error]),
        ] {
            assert_eq!(
                [seen, minute, none, unknown].map(|taken| state_of(age, taken)),
                expected,
                "{age}"
            );
        }
        assert_eq!(waiting(&Entries::default(), none).state, Ok);
    }

    #[test]
    fn directories_of_another_split_and_entries_beside_them_are_left_over() {
        let count = |parts, mess, beside_parts| {
            let entries = Entries { split_of_mess: mess, beside_parts, ..Entries::default() };
            left_over(&queue(parts), &entries).len()
        };
        assert_eq!(count(0, Some(23), 0), 0, "flat");
        assert_eq!(count(23, Some(23), 0), 0, "big-todo");
        assert_eq!(count(23, None, 0), 0, "not qmail's own");
        assert_eq!(count(23, Some(0), 0), 0, "mess is not split");
        assert_eq!(count(23, Some(101), 0), 1);
        assert_eq!(count(23, Some(23), 2), 1);
    }

    #[test]
    fn each_kind_of_entry_that_is_never_read_is_one_finding() {
        let entry = |name: &str, kind| Odd { path: format!("/q/todo/{name}").into(), kind };
        let all = [
            entry(".x", OddKind::Hidden),
            entry("y", OddKind::NotNumbered),
            entry("z", OddKind::NotNumbered),
            entry("7", OddKind::NotRegular),
            entry("8", OddKind::Private { owner: 71 }),
        ];
        let users = |passwd| Owners { places: Vec::new(), users: Users::parse(passwd, "") };
        let with_qmails = users("qmails:x:72:70::/:\n");
        let findings = odd(&all, &Readers::default(), &with_qmails);
        assert_eq!(findings.len(), 4, "{findings:?}");
        assert!(
            findings.iter().any(|f| f.message.starts_with("2 entries have a name that is not"))
        );
        // Here the reader is not known.
        assert_eq!(odd(&all, &Readers::default(), &users("")).len(), 3);
        // Here the reader owns the entries.
        assert_eq!(odd(&all, &Readers::default(), &users("qmails:x:71:70::/:\n")).len(), 3);
    }

    #[test]
    fn unfinished_mail_is_reported_once_its_writer_must_be_gone() {
        let check_age = |age| {
            let oldest_unfinished = Some(("/p/maildrop/1".into(), Duration::from_secs(age)));
            let entries = Entries { unfinished: 1, oldest_unfinished, ..Entries::default() };
            let found = check(
                &queue(0),
                &entries,
                Taken::NotKnown,
                &Readers::default(),
                &Owners::default(),
            );
            found.iter().any(|finding| finding.check == "unfinished")
        };
        assert!(!check_age(3_599));
        assert!(check_age(3_600));
    }
}
