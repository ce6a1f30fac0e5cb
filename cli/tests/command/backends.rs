//! `pullcord backends`, and choosing one.

use pullcord::Backend;

use crate::support::{output, pullcord, text};

#[test]
fn every_backend_is_listed_and_the_best_is_said() {
    let done = output(&mut pullcord(["backends", "--json"]));
    assert_eq!(done.status.code(), Some(0));
    let object: serde_json::Value = serde_json::from_str(text(&done.stdout)).unwrap();
    assert_eq!(object["best"], Backend::best().as_str());
    assert!(object["why"].as_str().is_some_and(|why| !why.is_empty()));
    let rows = object["backends"].as_array().unwrap();
    assert_eq!(rows.len(), Backend::ALL.len());
    for (row, backend) in rows.iter().zip(Backend::ALL) {
        assert_eq!(row["name"], backend.as_str());
        assert_eq!(row["exists"], backend.is_available());
        assert_eq!(row["native_edges"], backend.has_native_edge());
        assert_eq!(row["nests"], backend.has_pollable_fd());
    }

    let table = output(&mut pullcord(["backends"]));
    assert!(text(&table.stdout).contains(&format!("{} is best here", Backend::best())));
}

#[test]
fn the_option_goes_before_the_environment_and_that_before_the_best() {
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
