//! Checks the readers of the trigger.

use super::quoted;
use crate::doctor::finding::Finding;
use crate::doctor::layout::{Layout, Queue};
use crate::doctor::seen::Process;
use crate::doctor::seen::owners::Users;
use crate::doctor::seen::readers::Readers;
use crate::doctor::seen::trigger::{Answer, Trigger};

const NO_READER_WHY: &str = "no process is woken by new mail";

pub(super) fn check(
    queue: &Queue,
    trigger: &Trigger,
    readers: &Readers,
    users: &Users,
) -> Vec<Finding> {
    if !matches!(trigger, Trigger::Fifo { .. }) {
        return Vec::new();
    }
    let mut findings = vec![who_reads(queue, readers, users)];
    if readers.answer == Some(Answer::Full) {
        findings.push(
            Finding::error("full trigger", "the trigger is full, and its reader does not empty it")
                .why("the reader hangs, or is stopped: it does not look for mail")
                .hint("trace the reader (strace -p); restart it if it does not continue"),
        );
    }
    for process in &readers.removed {
        findings.push(
            Finding::error(
                "removed trigger",
                format!("{} reads a trigger that was removed or replaced", shown(process, users)),
            )
            .why("pulls go to the new one, and do not wake this process")
            .hint("restart it"),
        );
    }
    for process in &readers.supervisors {
        let message = format!("{} keeps the trigger open for a service that it starts", process);
        findings.push(Finding::ok("supervisor", message));
    }
    findings
}

/// Returns the name of a process with its number and user.
pub(super) fn shown(process: &Process, users: &Users) -> String {
    format!("{} ({}, user {})", process.name, process.id.number, users.user_name(process.user))
}

fn who_reads(queue: &Queue, readers: &Readers, users: &Users) -> Finding {
    let names: Vec<_> =
        readers.readers.iter().map(|reader| shown(&reader.process, users)).collect();
    match (names.as_slice(), readers.answer) {
        ([], None | Some(Answer::Refused)) => not_known(readers),
        ([], Some(Answer::NoReader)) => no_reader(queue, readers),
        ([], Some(Answer::Reader | Answer::Full)) => found_by_answer(readers),
        ([_], Some(Answer::NoReader)) => {
            Finding::error("reader", format!("{} has closed the trigger", names[0]))
                .why(NO_READER_WHY)
                .hint("run this command again; if this stays, restart the reader")
        }
        ([name], _) => Finding::ok("reader", format!("read by {name}")),
        (names, _) => Finding::error(
            "reader",
            format!("read by {} processes: {}", names.len(), names.join("; ")),
        )
        .why("a pull reaches only one of them, and the mail of the others waits")
        .hint("stop all but the queue manager"),
    }
}

fn not_known(readers: &Readers) -> Finding {
    let because = readers.out_of_sight().unwrap_or_else(|| "it was not found".into());
    Finding::unknown("reader", format!("the reader is not known from here: {because}"))
        .why("a trigger without a reader wakes no process")
        .hint("run this command as root, and where the reader runs")
}

fn no_reader(queue: &Queue, readers: &Readers) -> Finding {
    let mut message = String::from("no process reads the trigger");
    if let [process, ..] = readers.supervisors.as_slice() {
        message = format!("only the supervisor {process} has the trigger open for reading");
    }
    let hint = match queue.layout {
        Layout::Qmail => "start the queue manager; it finds the queued mail when it starts".into(),
        Layout::Postfix => format!(
            "start Postfix (postfix start); it finds the mail in {} when it starts",
            quoted(queue.main())
        ),
    };
    Finding::error("reader", message).why(NO_READER_WHY).hint(hint)
}

/// Reports the reader if only the FIFO has shown that one exists.
fn found_by_answer(readers: &Readers) -> Finding {
    match readers.supervisors.as_slice() {
        [supervisor, ..] => Finding::ok(
            "reader",
            format!("no service runs; {supervisor} has the trigger open, and starts it at a pull"),
        ),
        [] => {
            let because = readers.out_of_sight().unwrap_or_else(|| "it was not found".into());
            Finding::ok(
                "reader",
                format!(
                    "a process reads the trigger; which one, and how it runs, is not known from \
                     here: {because}"
                ),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;
    use crate::doctor::seen::process::ProcessId;
    use crate::doctor::seen::readers::Reader;

    fn process(number: u32) -> Process {
        let id = ProcessId { number, start: 1 };
        Process { id, name: "qmail-send".into(), user: 7, real_user: 7, limit: None }
    }

    fn reader(number: u32) -> Reader {
        Reader { process: process(number), open: 5, is_present: true, samples: Vec::new() }
    }

    fn check_of(readers: &Readers) -> Vec<Finding> {
        let queue = Queue {
            layout: Layout::Qmail,
            root: "/q".into(),
            trigger: "/q/t".into(),
            directories: vec!["/q/d".into()],
        };
        let users = Users::parse("qmails:x:7:2::/:/bin/false\n", "");
        check(&queue, &Trigger::Fifo { inode: 1, device: 1 }, readers, &users)
    }

    fn state(readers: &Readers) -> State {
        check_of(readers)[0].state
    }

    #[test]
    fn no_reader_is_an_error_only_if_the_fifo_confirms_it() {
        let blind = Readers { blind_spots: vec!["a namespace"], hidden: 3, ..Readers::default() };
        let answered = |answer| Readers {
            answer,
            blind_spots: blind.blind_spots.clone(),
            ..Readers::default()
        };
        assert_eq!(state(&answered(Some(Answer::NoReader))), State::Error);
        assert_eq!(state(&answered(Some(Answer::Reader))), State::Ok);
        assert_eq!(state(&answered(Some(Answer::Refused))), State::Unknown);
        assert_eq!(state(&answered(None)), State::Unknown);
        let message = &check_of(&blind)[0].message;
        assert!(message.contains("a namespace, and the descriptors of 3 processes"), "{message}");
    }

    #[test]
    fn one_reader_is_named_with_its_user_and_two_are_an_error() {
        let one = Readers { readers: vec![reader(42)], ..Readers::default() };
        assert_eq!(check_of(&one)[0].message, "read by qmail-send (42, user qmails)");
        let two = Readers { readers: vec![reader(42), reader(43)], ..Readers::default() };
        assert_eq!(state(&two), State::Error);
    }

    #[test]
    fn a_supervisor_is_reported_and_is_not_an_error() {
        let mut seen = Readers { answer: Some(Answer::Reader), ..Readers::default() };
        seen.supervisors.push(process(1));
        let findings = check_of(&seen);
        assert!(findings.iter().all(|finding| finding.state == State::Ok), "{findings:?}");
        assert!(findings[0].message.contains("starts it at a pull"), "{findings:?}");
        assert_eq!(findings[1].check, "supervisor");
    }

    #[test]
    fn a_full_trigger_and_a_removed_one_are_errors() {
        let mut seen =
            Readers { readers: vec![reader(42)], answer: Some(Answer::Full), ..Readers::default() };
        seen.removed.push(process(44));
        let checks: Vec<_> = check_of(&seen).into_iter().map(|f| (f.check, f.state)).collect();
        let errors = [("full trigger", State::Error), ("removed trigger", State::Error)];
        assert_eq!(checks[1..], errors);
    }
}
