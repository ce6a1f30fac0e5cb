//! `pullcord selftest`.

use serde_json::Value;

use crate::support::{output, pullcord, text};

#[test]
fn every_check_on_this_system_is_as_expected_and_is_reported() {
    let output = output(&mut pullcord(["selftest", "--json"]));
    let said = text(&output.stdout);
    let report: Value = serde_json::from_str(said).unwrap();
    let observations = report["observations"].as_array().unwrap();
    let odd: Vec<_> = observations.iter().filter(|seen| seen["as_expected"] == false).collect();
    assert!(odd.is_empty(), "on {}: {odd:?}", std::env::consts::OS);
    assert_eq!(output.status.code(), Some(0));
    for subject in ["fifo", "select", "watch"] {
        assert!(observations.iter().any(|seen| seen["subject"] == subject), "{subject}: {said}");
    }
    assert!(observations.iter().all(|seen| seen["check"].is_string()), "{said}");
    assert!(
        !said.contains(&*std::env::temp_dir().to_string_lossy()),
        "the output contains a path of this machine"
    );
}
