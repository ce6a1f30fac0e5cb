//! The sections of the manual page of each command, except its options. The examples are part of the help,
//! too, and so are the exit codes, which the text of each command lists.

use clap::CommandFactory;

use crate::failure::Exit;

/// The sections of one page, one item a line.
pub(crate) struct Page {
    pub(crate) command: &'static str,
    /// A line that begins with `#` explains the next command.
    pub(crate) examples: &'static str,
    /// `NAME  text`, with two blanks between.
    pub(crate) environment: &'static str,
    /// `PATH  text`, with two blanks between.
    pub(crate) files: &'static str,
    /// Notes for the administrator; may be empty.
    pub(crate) notes: &'static str,
    /// Other pages, as `name(section)`.
    pub(crate) see_also: &'static str,
}

const BACKEND_AND_COLOURS: &str = "\
PULLCORD_BACKEND  epoll, kqueue or select: used if --backend is not given
NO_COLOR  if it is not empty, messages have no colours, also on terminals";

const COLOURS: &str = "\
NO_COLOR  if it is not empty, messages have no colours, also on terminals";

const TEMPORARY: &str = "\
PULLCORD_BACKEND  epoll, kqueue or select: used if --backend is not given
TMPDIR  the directory in which the temporary queue is made; /tmp if it is not set
NO_COLOR  if it is not empty, messages have no colours, also on terminals";

const QUEUE_FILES: &str = "\
QUEUE/lock/trigger  qmail: the trigger, a FIFO
QUEUE/todo  qmail: the directory of new messages, or its numbered parts (big-todo)
QUEUE/public/pickup  Postfix: a socket, or a FIFO if it was made one
QUEUE/maildrop  Postfix: the directory of new messages";

/// The page of the command itself, and then one for each of its commands.
pub(crate) const PAGES: &[Page] = &[
    Page {
        command: "pullcord",
        examples: "\
# Show pullcord at work, on a queue of its own
pullcord demo
# Print each message of a running qmail as it appears
pullcord watch /var/qmail/queue
# Find out why a queue manager does not work, or uses a processor
pullcord doctor /var/qmail/queue",
        environment: BACKEND_AND_COLOURS,
        files: "\
/var/qmail/queue  the queue of qmail
/var/spool/postfix  the queue of Postfix",
        notes: "",
        see_also: "\
pullcord-watch(1) pullcord-doctor(1) pullcord-pull(1) pullcord-backends(1) pullcord-demo(1)
pullcord-storm(1) pullcord-selftest(1) qmail-send(8) postfix(1)",
    },
    Page {
        command: "watch",
        examples: "\
# Print each message of a qmail queue as it appears
pullcord watch /var/qmail/queue
# Print the next ten messages of a Postfix as objects
pullcord watch --layout postfix --json --count 10 /var/spool/postfix
# Wait for at most an hour for a file that is written in a directory
pullcord watch --dir /srv/in --in-place --count 1 --timeout 3600
# Print one line about every five seconds, and keep a file for node_exporter
pullcord watch --stats 5 --metrics /srv/node/pullcord.prom /var/qmail/queue",
        environment: BACKEND_AND_COLOURS,
        files: QUEUE_FILES,
        notes: "\
The file of --metrics keeps the numbers of a process that has ended. An alert must therefore look at
their age, for example: time() - pullcord_written_time_seconds > 60",
        see_also: "pullcord(1) pullcord-doctor(1) pullcord-pull(1) inotify(7) fifo(7)",
    },
    Page {
        command: "doctor",
        examples: "\
# Look at a running qmail for two seconds
pullcord doctor /var/qmail/queue
# Look at a Postfix for a minute
pullcord doctor --layout postfix --seconds 60 /var/spool/postfix
# The same as a monitoring plugin
pullcord doctor --monitor /var/qmail/queue",
        environment: COLOURS,
        files: "\
QUEUE/lock/trigger  qmail: the trigger, a FIFO
QUEUE/todo  qmail: the directory of new messages, or its numbered parts (big-todo)
QUEUE/public/pickup  Postfix: a socket, or a FIFO if it was made one
QUEUE/maildrop  Postfix: the directory of new messages
/proc  Linux: the processes that have the trigger open, and their limits",
        notes: "",
        see_also: "pullcord(1) pullcord-watch(1) fuser(1) proc(5) fifo(7)",
    },
    Page {
        command: "pull",
        examples: "\
# Wake qmail-send, which then looks for new mail
pullcord pull /var/qmail/queue/lock/trigger
# Find out in a script whether a process reads the trigger: exit status 3 if none does
pullcord pull --json /var/qmail/queue/lock/trigger",
        environment: COLOURS,
        files: "/var/qmail/queue/lock/trigger  the trigger of qmail, a FIFO with mode 0622",
        notes: "\
systemd opens a FIFO of ListenFIFO= for reading and keeps it open. A pull is delivered there although
no service runs, and starts the service.",
        see_also: "pullcord(1) pullcord-doctor(1) fifo(7)",
    },
    Page {
        command: "backends",
        examples: "\
# List them, and the reason for the choice
pullcord backends
# Print only the name of the best one
pullcord backends --json | jq -r .best",
        environment: COLOURS,
        files: "none  it opens no file",
        notes: "",
        see_also: "pullcord(1) pullcord-selftest(1) select(2) epoll(7) kqueue(2)",
    },
    Page {
        command: "demo",
        examples: "\
# 2,000 messages by four processes
pullcord demo
# A million messages, without a directory watch
pullcord demo --messages 1000000 --watch off",
        environment: TEMPORARY,
        files: "TMPDIR  a temporary queue, which is removed at the end",
        notes: "",
        see_also: "pullcord(1) pullcord-storm(1)",
    },
    #[cfg(feature = "bench")]
    Page {
        command: "bench",
        examples: "\
# All workloads, in less time and with less precision
pullcord bench --quick
# One workload only
pullcord bench --workload ring",
        environment: "\
TMPDIR  the directory in which queues are made; /tmp if it is not set
NO_COLOR  if it is not empty, messages have no colours, also on terminals",
        files: "TMPDIR  temporary queues, which are removed at the end",
        notes: "",
        see_also: "pullcord(1) pullcord-selftest(1)",
    },
    Page {
        command: "storm",
        examples: "\
# Four strategies under the same load, and a drawing
pullcord storm --plot storm.svg
# An attack that each local user can make: a byte that is written and held
pullcord storm --scenario hold",
        environment: TEMPORARY,
        files: "TMPDIR  a temporary queue, which is removed at the end",
        notes: "",
        see_also: "pullcord(1) pullcord-demo(1) fifo(7)",
    },
    Page {
        command: "selftest",
        examples: "\
# Test this machine
pullcord selftest
# Test the file system of a queue, and write a report
TMPDIR=/var/qmail pullcord selftest --json >report.json",
        environment: "\
TMPDIR  the directory in which it tests; /tmp if it is not set
NO_COLOR  if it is not empty, messages have no colours, also on terminals",
        files: "TMPDIR  temporary files, which are removed at the end",
        notes: "",
        see_also: "pullcord(1) pullcord-backends(1)",
    },
];

/// Returns the command line as it is declared, with its exit codes and the examples in the help.
pub(crate) fn command() -> clap::Command {
    let mut command = crate::Command::command();
    for page in PAGES {
        let add = |command: clap::Command| {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let exits = if text.contains(EXITS) { String::new() } else { exits() };
            let parts = [text, exits, section("Examples", page.examples)];
            let parts: Vec<_> = parts.iter().filter(|part| !part.is_empty()).cloned().collect();
            command.after_help(parts.join("\n\n"))
        };
        if page.command == command.get_name() {
            command = add(command);
        } else {
            command = command.mut_subcommand(page.command, add);
        }
    }
    command
}

const EXITS: &str = "Exit codes:\n";

/// Returns the exit codes of all commands.
fn exits() -> String {
    let lines: Vec<_> =
        Exit::ALL.iter().map(|exit| format!("{}  {}", *exit as u8, exit.meaning())).collect();
    section("Exit codes", &lines.join("\n"))
}

/// Returns a part of the help: a heading, and lines that are indented.
fn section(heading: &str, lines: &str) -> String {
    let lines: Vec<_> = lines.lines().map(|line| format!("\n  {line}")).collect();
    format!("{heading}:{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::page::sections;

    /// Returns the exit codes that the help of a command lists.
    fn listed(command: &clap::Command) -> Vec<u8> {
        let text = command.get_after_help().unwrap().to_string();
        let sections = sections(&text);
        let (_, body) = sections.iter().find(|(heading, _)| *heading == "Exit codes").unwrap();
        body.lines()
            .take_while(|line| !line.starts_with("With --monitor"))
            .filter_map(|line| line.split_once("  ")?.0.parse().ok())
            .collect()
    }

    #[test]
    fn each_command_has_a_page_and_lists_exit_codes_that_exist() {
        let command = command();
        let visible: Vec<_> =
            command.get_subcommands().filter(|command| !command.is_hide_set()).collect();
        let names: Vec<_> = visible.iter().map(|command| command.get_name()).collect();
        let pages: Vec<_> = PAGES[1..].iter().map(|page| page.command).collect();
        assert_eq!(names, pages);
        let all: Vec<_> = Exit::ALL.iter().map(|exit| *exit as u8).collect();
        assert_eq!(listed(&command), all);
        for command in visible {
            let codes = listed(command);
            assert!(codes.contains(&0), "{}: {codes:?}", command.get_name());
            for code in codes {
                assert!(all.contains(&code), "{}: {code}", command.get_name());
            }
        }
    }

    #[test]
    fn no_page_refers_to_one_that_does_not_exist() {
        for page in PAGES {
            for (name, _) in page.see_also.split_whitespace().filter_map(|one| one.split_once('('))
            {
                let known = PAGES.iter().any(|page| {
                    name == page.command || name.strip_prefix("pullcord-") == Some(page.command)
                });
                assert!(known || !name.starts_with("pullcord"), "{}: {name}", page.command);
            }
        }
    }
}
