//! `pullcord pull`.

use pullcord::{DrainOutcome, OtherReaders, PullOutcome, Trigger};

use crate::support::{Queue, output, pullcord, text};

fn pull(queue: &Queue, json: bool) -> (Option<i32>, String, String) {
    let mut command = pullcord(["pull"]);
    let done = output(command.arg(queue.trigger()).args(json.then_some("--json")));
    (done.status.code(), text(&done.stdout).into(), text(&done.stderr).into())
}

#[test]
fn delivered_and_pending_pulls_exit_with_0() {
    let queue = Queue::flat();
    let mut reader = Trigger::open(queue.trigger(), OtherReaders::Reject).unwrap();
    assert_eq!(pull(&queue, false), (Some(0), "delivered\n".into(), String::new()));
    assert_eq!(reader.drain().unwrap(), DrainOutcome::Drained);

    while pullcord::pull(queue.trigger()).unwrap() == PullOutcome::Delivered {}
    let (code, said, _) = pull(&queue, false);
    assert!(code == Some(0) && said.starts_with("already pending"), "{said}");
    let (code, said, _) = pull(&queue, true);
    let object: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &object["outcome"]), (Some(0), &"pending".into()));
}

#[test]
fn pull_without_a_reader_exits_with_3() {
    let queue = Queue::flat();
    let (code, said, complaint) = pull(&queue, false);
    assert_eq!((code, said.as_str()), (Some(3), ""));
    let path = queue.trigger();
    assert!(
        complaint.contains(&format!("{}: no process reads this trigger", path.display())),
        "{complaint}"
    );

    let (code, said, _) = pull(&queue, true);
    let object: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &object["outcome"]), (Some(3), &"no_reader".into()));
    assert_eq!(object["fifo"], path.to_str().unwrap());
}
