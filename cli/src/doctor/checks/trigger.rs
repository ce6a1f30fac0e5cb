//! Checks the file of the trigger.

use super::{quoted, shown};
use crate::doctor::finding::Finding;
use crate::doctor::layout::{Layout, Queue};
use crate::doctor::seen::trigger::Trigger;

const NO_PULL: &str = "without a trigger, new mail waits for the next regular scan: in qmail, up to 25 \
                       minutes";

pub(super) fn check(queue: &Queue, trigger: &Trigger) -> Vec<Finding> {
    let (path, word) = (shown(&queue.trigger), quoted(&queue.trigger));
    let start = "start Postfix (postfix start): master(8) makes it; do not make it by hand";
    vec![match (trigger, queue.layout) {
        (Trigger::Fifo { .. }, _) => Finding::ok("trigger", format!("{path} is a FIFO")),
        (Trigger::Socket, Layout::Postfix) => Finding::ok(
            "trigger",
            format!(
                "{path} is a socket, as stock Postfix makes it: pulls go to master(8), and pullcord \
                 finds mail by its watch"
            ),
        ),
        (Trigger::Missing, Layout::Postfix) => {
            Finding::error("trigger", format!("{path} does not exist")).why(NO_PULL).hint(start)
        }
        (Trigger::Missing, Layout::Qmail) => {
            Finding::error("trigger", format!("{path} does not exist")).why(NO_PULL).hint(format!(
                "mkfifo -m 622 {word} && chown qmails:qmail {word}, then restart qmail-send, which \
                 opens it only at its start and after a pull"
            ))
        }
        (Trigger::Socket | Trigger::Other(_), layout) => {
            let what = if let Trigger::Other(what) = trigger { what } else { "a socket" };
            let found = Finding::error("trigger", format!("{path} is {what} and not a FIFO"));
            found.why(NO_PULL).hint(match layout {
                Layout::Postfix => format!(
                    "stop Postfix, move it away (mv {word} {word}.old), and start Postfix, which \
                     makes a new one"
                ),
                Layout::Qmail => format!(
                    "stop qmail-send, mv {word} {word}.old, mkfifo -m 622 {word}, chown \
                     qmails:qmail {word}, and start qmail-send"
                ),
            })
        }
        (Trigger::Hidden(e), _) => {
            Finding::unknown("trigger", format!("{path} cannot be checked: {e}"))
                .why("the trigger and its reader cannot be checked")
                .hint("run this command as root or as the user that reads the queue")
        }
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    fn check_in(layout: Layout, trigger: &Trigger) -> Finding {
        let queue = Queue {
            layout,
            root: "/q".into(),
            trigger: "/q/t t".into(),
            directories: vec!["/q/d".into()],
        };
        check(&queue, trigger).remove(0)
    }

    #[test]
    fn the_socket_of_postfix_is_ok_and_no_hint_replaces_it() {
        let socket = check_in(Layout::Postfix, &Trigger::Socket);
        assert_eq!((socket.state, socket.hint), (State::Ok, None));
        for trigger in [Trigger::Missing, Trigger::Other("a file")] {
            let finding = check_in(Layout::Postfix, &trigger);
            assert_eq!(finding.state, State::Error);
            let hint = finding.hint.unwrap();
            assert!(!hint.contains("mkfifo") && hint.contains("tart Postfix"), "{hint}");
        }
    }

    #[test]
    fn the_commands_for_qmail_quote_the_path() {
        let hint = check_in(Layout::Qmail, &Trigger::Missing).hint.unwrap();
        assert!(
            hint.starts_with("mkfifo -m 622 '/q/t t' && chown qmails:qmail '/q/t t'"),
            "{hint}"
        );
        assert_eq!(check_in(Layout::Qmail, &Trigger::Socket).state, State::Error);
    }

    #[test]
    fn a_trigger_that_cannot_be_checked_is_unknown() {
        let error = std::io::ErrorKind::PermissionDenied.into();
        assert_eq!(check_in(Layout::Qmail, &Trigger::Hidden(error)).state, State::Unknown);
    }
}
