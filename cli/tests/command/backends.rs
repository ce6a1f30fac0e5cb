//! `pullcord backends`, and the choice of a backend.

use pullcord::Backend;

use crate::support::{output, pullcord, text};

#[test]
fn backends_lists_every_backend_and_names_the_best_one() {
    let done = output(&mut pullcord(["backends", "--json"]));
    assert_eq!(done.status.code(), Some(0));
    let object: serde_json::Value = serde_json::from_str(text(&done.stdout)).unwrap();
    assert_eq!(object["best"], Backend::best().as_str());
    assert!(object["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    let rows = object["backends"].as_array().unwrap();
    assert_eq!(rows.len(), Backend::ALL.len());
    for (row, backend) in rows.iter().zip(Backend::ALL) {
        assert_eq!(row["name"], backend.as_str());
        assert_eq!(row["available"], backend.is_available());
        assert_eq!(row["native_edges"], backend.has_native_edge());
        assert_eq!(row["pollable_fd"], backend.has_pollable_fd());
    }

    let table = output(&mut pullcord(["backends"]));
    for part in ["AVAILABLE", "POLLABLE FD", &format!("{} is best here", Backend::best())] {
        assert!(text(&table.stdout).contains(part), "{part}: {table:?}");
    }
}

#[test]
fn backend_option_overrides_the_environment_which_overrides_the_best_one() {
    let used = |option: Option<&str>, variable: Option<&str>| {
        let mut command = pullcord(["demo", "--messages", "1", "--writers", "1", "--json"]);
        command.args(option.map(|name| format!("--backend={name}")));
        command.envs(variable.map(|name| (Backend::ENV_VAR, name)));
        let done = output(&mut command);
        let object: serde_json::Value = serde_json::from_str(text(&done.stdout)).unwrap();
        object["backend"].as_str().unwrap().to_owned()
    };
    let best = Backend::best().as_str();
    assert_eq!(used(None, None), best);
    assert_eq!(used(None, Some("select")), "select");
    assert_eq!(used(Some(best), Some("select")), best);
}
