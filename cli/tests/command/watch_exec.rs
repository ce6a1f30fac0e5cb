//! `pullcord watch --exec`: which commands are run, with which arguments, and how often.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Queue, Running, eventually, output, pullcord, text};

/// Returns `watch` with a script of the shell as its command: `$1` is the path, `$LOG` a file.
fn exec(queue: &Queue, options: &[&str], script: &str) -> Command {
    let mut command = pullcord(["watch"]);
    command.args(options).arg(queue.root());
    command.args(["--exec", "sh", "-c", script, "sh"]).env("LOG", queue.path("log"));
    command
}

/// Returns the lines that the scripts have written into `$LOG`.
fn log(queue: &Queue) -> String {
    fs::read_to_string(queue.path("log")).unwrap_or_default()
}

fn count(queue: &Queue, word: &str) -> usize {
    log(queue).lines().filter(|line| *line == word).count()
}

#[test]
fn each_path_is_one_argument_byte_for_byte_and_in_the_environment() {
    const NAMES: [&[u8]; 9] = [
        b"plain",
        b"with blanks and\ttabs",
        b"; touch hacked",
        b"$(touch hacked)`touch hacked`",
        b"(brackets)[*]~{}",
        b"it's \"quoted\"\\",
        b"-rf",
        b"new\nline\n",
        b"\xff\xfe not UTF-8",
    ];
    const SCRIPT: &str = r#"
        printf '%s\0' "$#" "$1" "$PULLCORD_PATH" "$PULLCORD_NAME" "$PULLCORD_ATTEMPT" >> "$LOG"
        rm -- "$1""#;
    let queue = Queue::flat();
    // Some file systems accept only UTF-8 names.
    let is_taken = |name: &&[u8]| {
        let path = queue.path("mess").join(OsStr::from_bytes(name));
        fs::write(&path, "").and_then(|()| fs::remove_file(&path)).is_ok()
    };
    let mut expected = BTreeSet::new();
    for name in NAMES.iter().copied().filter(|name| is_taken(name)) {
        let path = queue.link(queue.path("todo").join(OsStr::from_bytes(name)));
        let path = path.into_os_string().into_encoded_bytes();
        expected.insert([b"1", &path[..], &path, name, b"1"].map(<[u8]>::to_owned));
    }
    assert!(expected.len() >= NAMES.len() - 1, "all that are UTF-8");
    let done = output(&mut exec(&queue, &["--idle-exit", "0.1"], SCRIPT));
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(text(&done.stdout), "", "entries are not printed");
    let log = fs::read(queue.path("log")).unwrap();
    let words: Vec<_> = log.split(|byte| *byte == 0).collect();
    let runs = words.chunks_exact(5).map(|run| <[&[u8]; 5]>::try_from(run).unwrap());
    let runs: BTreeSet<_> = runs.map(|run| run.map(<[u8]>::to_owned)).collect();
    assert_eq!(runs, expected);
}

#[test]
fn the_path_takes_the_place_of_a_whole_argument_only() {
    let queue = Queue::flat();
    let path = queue.link("todo/4711");
    let mut command = pullcord(["watch", "--count", "1"]);
    command
        .arg(queue.root())
        .args(["--exec", "printf", "<%s>", "{}", "--json", "a{}b", "{}", "--"]);
    let done = output(&mut command);
    let path = path.to_str().unwrap();
    assert_eq!(text(&done.stdout).trim_end(), format!("<{path}><--json><a{{}}b><{path}><-->"));
    assert!(text(&done.stderr).contains("found 1, started 1, succeeded 1, failed 0"), "{done:?}");
}

/// Each command waits until as many run as may. A further one would be seen in the log.
#[test]
fn as_many_commands_run_at_a_time_as_jobs_says_and_no_more() {
    const JOBS: usize = 4;
    const ENTRIES: usize = 200;
    const SCRIPT: &str = r#"
        echo + >> "$LOG"
        while [ $(wc -l < "$LOG") -lt 4 ]; do sleep 0.01; done
        echo - >> "$LOG"
        rm -- "$1""#;
    let queue = Queue::flat();
    for number in 0..ENTRIES {
        queue.link(format!("todo/{number}"));
    }
    let done = output(&mut exec(&queue, &["--jobs", "4", "--idle-exit", "0.1"], SCRIPT));
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let (mut running, mut most) = (0, 0);
    for line in log(&queue).lines() {
        running = if line == "+" { running + 1 } else { running - 1 };
        most = most.max(running);
    }
    assert_eq!((most, count(&queue, "+")), (JOBS, ENTRIES));

    let queue = Queue::flat();
    for number in 0..20 {
        queue.link(format!("todo/{number}"));
    }
    let script = r#"echo + >> "$LOG"; echo - >> "$LOG"; rm -- "$1""#;
    output(&mut exec(&queue, &["--idle-exit", "0.1"], script));
    assert_eq!(log(&queue), "+\n-\n".repeat(20), "one at a time, if nothing else is said");
}

/// The command fails at random, and pullcord is killed in the middle.
#[test]
fn each_of_1000_messages_is_executed_although_commands_fail_and_pullcord_is_killed() {
    const MESSAGES: usize = 1_000;
    const SCRIPT: &str = r#"
        x=$((PULLCORD_NAME * 1103515245 + PULLCORD_ATTEMPT * 12345 + SEED))
        x=$((((x ^ (x >> 13)) * 69069) & 2147483647))
        [ $(((x >> 16) % 8)) -eq 0 ] && exit 1
        echo "$PULLCORD_NAME" >> "$LOG"
        rm -- "$1""#;
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let seed = std::env::var("SEED").unwrap_or_else(|_| seed.to_string());
    println!("SEED={seed}");
    let queue = Queue::flat();
    let start = |options: &[&str]| {
        let options = [&["--jobs", "4", "--json"], options].concat();
        let mut command = exec(&queue, &options, SCRIPT);
        Running::start(command.env("SEED", &seed))
    };
    let mut killed = start(&[]);
    for number in 0..MESSAGES / 2 {
        queue.link(format!("todo/{number}"));
    }
    let executed = || log(&queue).lines().map(str::to_owned).collect::<BTreeSet<_>>().len();
    // A busy machine takes long for all, but not for the next one.
    let until = |enough: usize| {
        let mut before = 0;
        while before < enough {
            before = eventually("another one is executed", || {
                Some(executed()).filter(|executed| *executed > before)
            });
        }
    };
    until(MESSAGES / 5);
    killed.signal(Signal::KILL);
    killed.end();
    let before = log(&queue).lines().count();
    assert!(before < MESSAGES, "it was not over");
    for number in MESSAGES / 2..MESSAGES {
        queue.link(format!("todo/{number}"));
    }
    let running = start(&["--idle-exit", "0.5"]);
    until(MESSAGES);
    let done = running.output();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let executed: BTreeSet<usize> = log(&queue).lines().map(|it| it.parse().unwrap()).collect();
    assert_eq!(executed, (0..MESSAGES).collect(), "each at least once");
    assert_eq!(fs::read_dir(queue.path("todo")).unwrap().count(), 0);
    let lines = text(&done.stdout).lines().map(|line| serde_json::from_str(line).unwrap());
    let failed = lines.filter(|line: &Value| line["exit_code"] == 1).count();
    println!("{before} messages before the kill, {failed} failures after it");
    assert!(failed > 0, "some have failed");
}

#[test]
fn one_that_always_fails_does_not_keep_a_hundred_good_ones_waiting() {
    const SCRIPT: &str = r#"
        case "$PULLCORD_NAME" in
        poison) echo "poison $PULLCORD_ATTEMPT" >> "$LOG"; exit 7 ;;
        esac
        echo good >> "$LOG"
        rm -- "$1""#;
    let queue = Queue::flat();
    queue.link("todo/poison");
    let running = Running::start(&mut exec(&queue, &[], SCRIPT));
    let complaint = running.complaint();
    assert!(complaint.contains("exit status: 7") && complaint.contains("in 1 s"), "{complaint}");
    for number in 0..100 {
        queue.link(format!("todo/{number}"));
        queue_pulled(&queue);
    }
    eventually("all good ones are done", || (count(&queue, "good") == 100).then_some(()));
    eventually("it is tried again", || (count(&queue, "poison 3") == 1).then_some(()));
    assert!(count(&queue, "poison 2") == 1 && count(&queue, "poison 1") == 1, "{}", log(&queue));
    let complaints = [running.complaint(), running.complaint()];
    assert!(complaints[0].contains("in 2 s") && complaints[1].contains("in 4 s"), "{complaints:?}");
}

/// Pulls the trigger, which has a reader only where the watch does not report everything.
fn queue_pulled(queue: &Queue) {
    pullcord::pull(queue.trigger()).unwrap();
}

#[test]
fn an_entry_that_the_command_leaves_is_not_run_again_until_it_changes() {
    const SCRIPT: &str = r#"echo "$PULLCORD_NAME" >> "$LOG""#;
    for watch in ["auto", "off"] {
        let queue = Queue::flat();
        queue.link("todo/a");
        let running = Running::start(&mut exec(&queue, &["--watch", watch], SCRIPT));
        eventually("it is run", || (count(&queue, "a") == 1).then_some(()));
        // Each pull causes a scan without a watch, and the scan returns all entries.
        for number in 0..5 {
            let name = number.to_string();
            queue.link(format!("todo/{name}"));
            queue_pulled(&queue);
            eventually("it is run", || (count(&queue, &name) == 1).then_some(()));
        }
        assert_eq!(count(&queue, "a"), 1, "--watch {watch}: {}", log(&queue));
        fs::remove_file(queue.path("todo/a")).unwrap();
        queue.link("todo/a");
        queue_pulled(&queue);
        eventually("it was replaced", || (count(&queue, "a") == 2).then_some(()));
        running.signal(Signal::TERM);
        let done = running.output();
        assert!(text(&done.stderr).contains("started 7, succeeded 7, failed 0"), "{done:?}");
    }
}

#[test]
fn an_entry_that_comes_while_its_command_runs_is_run_after_it_once_more() {
    const SCRIPT: &str = r#"
        echo start >> "$LOG"
        while [ ! -e "$GO" ]; do sleep 0.01; done"#;
    for (watch, jobs) in [("auto", "2"), ("auto", "1"), ("off", "2"), ("off", "1")] {
        let queue = Queue::flat();
        queue.link("todo/a");
        let mut command = exec(&queue, &["--watch", watch, "--jobs", jobs], SCRIPT);
        let running = Running::start(command.env("GO", queue.path("go")));
        eventually("it runs", || (count(&queue, "start") == 1).then_some(()));
        let written = queue.path("mess/again");
        fs::write(&written, "").unwrap();
        fs::rename(written, queue.path("todo/a")).unwrap();
        queue_pulled(&queue);
        fs::write(queue.path("go"), "").unwrap();
        let what = format!("--watch {watch} --jobs {jobs}: it is run again");
        eventually(&what, || (count(&queue, "start") == 2).then_some(()));
        queue.link("todo/b");
        queue_pulled(&queue);
        eventually("the next one is run", || (count(&queue, "start") == 3).then_some(()));
        running.signal(Signal::TERM);
        let done = running.output();
        assert!(text(&done.stderr).contains("started 3,"), "and not once more: {done:?}");
    }
}

#[test]
fn a_command_that_opens_its_entry_for_writing_is_run_once() {
    const SCRIPT: &str = r#"exec 3<> "$1"; exec 3>&-; echo "$PULLCORD_NAME" >> "$LOG""#;
    let queue = Queue::flat();
    let running = Running::start(&mut exec(&queue, &["--in-place=0.2"], SCRIPT));
    for name in ["a", "b", "c"] {
        fs::File::create(queue.path("todo").join(name)).unwrap().write_all(b"message").unwrap();
        queue_pulled(&queue);
        eventually("it is run", || (count(&queue, name) == 1).then_some(()));
    }
    running.signal(Signal::TERM);
    let done = running.output();
    assert!(text(&done.stderr).contains("started 3, succeeded 3"), "{done:?}");
}

#[test]
fn a_command_that_cannot_be_found_or_executed_is_exit_code_2_at_once() {
    let queue = Queue::flat();
    fs::write(queue.path("text"), "text").unwrap();
    let (missing, script) = (queue.path("missing"), queue.path("text"));
    for (command, hint) in [
        ("no-such-command", "PATH"),
        ("rm -f", "no shell is used"),
        (missing.to_str().unwrap(), "missing"),
        (script.to_str().unwrap(), "right to execute"),
        ("/", "directory"),
    ] {
        let done = output(pullcord(["watch"]).arg(queue.root()).args(["--exec", command]));
        assert_eq!(done.status.code(), Some(2), "{done:?}");
        let said = text(&done.stderr);
        assert!(said.contains("cannot start the command") && said.contains(hint), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_command_that_cannot_be_started_when_an_entry_comes_ends_it_with_1() {
    let queue = Queue::flat();
    let script = queue.path("script");
    executable(&script, "#!/no/such/interpreter\n");
    let linked = queue.link("todo/4711");
    let done = output(pullcord(["watch"]).arg(queue.root()).arg("--exec").arg(&script));
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    let said = text(&done.stderr);
    assert!(said.contains(script.to_str().unwrap()) && said.contains("cannot start"), "{said}");
    assert!(linked.exists());
}

/// As when a package is unpacked, or when the system is out of processes.
#[test]
#[cfg(target_os = "linux")]
fn a_command_that_cannot_be_started_for_now_is_tried_again() {
    let queue = Queue::flat();
    let program = queue.path("program");
    fs::copy("/bin/true", &program).unwrap();
    let writer = fs::OpenOptions::new().append(true).open(&program).unwrap();
    let names = ["todo/a", "todo/b"].map(|name| queue.link(name));
    let mut command = pullcord(["watch", "--jobs", "2", "--count", "2"]);
    let running = Running::start(command.arg(queue.root()).arg("--exec").arg(&program));
    let complaint = running.complaint();
    assert!(
        complaint.contains("cannot start") && complaint.contains("every second"),
        "{complaint}"
    );
    drop(writer);
    let done = running.output();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(text(&done.stderr).contains("started 2, succeeded 2, failed 0"), "{done:?}");
    assert!(names.iter().all(|name| name.exists()), "true(1) removes nothing");
}

#[test]
fn objects_report_the_start_and_the_end_of_each_run() {
    const SCRIPT: &str = r#"
        echo "output of $PULLCORD_NAME"
        case $PULLCORD_NAME-$PULLCORD_ATTEMPT in
        fails-1) exit 3 ;;
        killed-1) kill -9 $$ ;;
        kept-*) exit 0 ;;
        esac
        rm -- "$1""#;
    let queue = Queue::flat();
    let names = ["fails", "killed", "kept", "good"];
    for name in names {
        queue.link(format!("todo/{name}"));
    }
    let done = output(&mut exec(&queue, &["--json", "--idle-exit", "0.1"], SCRIPT));
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let lines: Vec<Value> =
        text(&done.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ends = |name: &str| {
        let mut ends = Vec::new();
        for pair in lines.iter().filter(|line| line["id"] == name).collect::<Vec<_>>().chunks(2) {
            let [start, end] = pair else { panic!("{pair:?}") };
            assert_eq!((&start["run"], &end["run"]), (&"start".into(), &"end".into()));
            for member in ["path", "attempt", "pid"] {
                assert_eq!(start[member], end[member], "{member}");
            }
            assert_eq!(Path::new(end["path"].as_str().unwrap()), queue.path("todo").join(name));
            let times = [start, end].map(|it| it["at"].as_str().unwrap().parse().unwrap());
            let [start, stop]: [jiff::Timestamp; 2] = times;
            assert!(start <= stop && end["seconds"].as_f64() > Some(0.0), "{end}");
            ends.push((end["exit_code"].as_i64(), end["signal"].as_i64(), end["outcome"].clone()));
        }
        ends
    };
    let retry = |code, signal| (code, signal, "retry".into());
    let removed = || (Some(0), None, "removed".into());
    assert_eq!(ends("fails"), [retry(Some(3), None), removed()]);
    assert_eq!(ends("killed"), [retry(None, Some(9)), removed()]);
    assert_eq!(ends("kept"), [(Some(0), None, "kept".into())]);
    assert_eq!(ends("good"), [removed()]);
    let said = text(&done.stderr);
    assert!(names.iter().all(|name| said.contains(&format!("output of {name}"))), "{said}");
}

#[test]
fn statistics_and_metrics_count_runs_and_failures() {
    const ENTRIES: u64 = 100;
    const SCRIPT: &str = r#"
        [ $((PULLCORD_NAME % 10)) -eq 0 ] && [ $PULLCORD_ATTEMPT -eq 1 ] && exit 1
        rm -- "$1""#;
    let queue = Queue::flat();
    for number in 0..ENTRIES {
        queue.link(format!("todo/{number}"));
    }
    let metrics: PathBuf = queue.path("pullcord.prom");
    let options = ["--stats", "0.2", "--json", "--idle-exit", "0.3", "--metrics"];
    let options = [&options[..], &[metrics.to_str().unwrap()]].concat();
    let done = output(&mut exec(&queue, &options, SCRIPT));
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let rows: Vec<Value> =
        text(&done.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sum = |member: &str| rows.iter().map(|row| row[member].as_u64().unwrap()).sum::<u64>();
    let failures = ENTRIES / 10;
    assert_eq!(sum("arrivals"), ENTRIES);
    assert_eq!((sum("runs"), sum("failures")), (ENTRIES + failures, failures));
    let written = fs::read_to_string(&metrics).unwrap();
    for (family, value) in [
        ("pullcord_entries_total", ENTRIES),
        ("pullcord_runs_total", ENTRIES + failures),
        ("pullcord_run_failures_total", failures),
        ("pullcord_running_commands", 0),
        ("pullcord_waiting_entries", 0),
    ] {
        let sample = written.lines().find(|line| line.starts_with(&format!("{family}{{")));
        let sample = sample.unwrap_or_else(|| panic!("{family} in {written}"));
        assert!(sample.ends_with(&format!(" {value}")), "{sample}");
    }

    let queue = Queue::flat();
    queue.link("todo/1");
    let done = output(&mut exec(&queue, &["--stats", "1000", "--idle-exit", "0.1"], SCRIPT));
    let lines: Vec<Vec<_>> =
        text(&done.stdout).lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][8..], ["runs", "failed", "running"]);
    assert_eq!(lines[1][8..], ["1", "0", "0"]);
}

/// An end by --idle-exit waits for retries, and one by --count runs no command too many.
#[test]
fn idle_exit_waits_for_retries_and_count_counts_successes() {
    const SCRIPT: &str = r#"
        echo "$PULLCORD_ATTEMPT" >> "$LOG"
        [ $PULLCORD_ATTEMPT -eq 2 ] && rm -- "$1""#;
    let queue = Queue::flat();
    queue.link("todo/a");
    let done = output(&mut exec(&queue, &["--idle-exit", "0"], SCRIPT));
    assert_eq!((done.status.code(), log(&queue).as_str()), (Some(0), "1\n2\n"), "{done:?}");

    let queue = Queue::flat();
    for number in 0..10 {
        queue.link(format!("todo/{number}"));
    }
    let script = r#"echo run >> "$LOG""#;
    output(&mut exec(&queue, &["--count", "3", "--jobs", "8"], script));
    assert_eq!(count(&queue, "run"), 3);
}
