//! `pullcord selftest`.

use serde_json::Value;

use crate::support::{output, pullcord, text};

#[test]
fn on_this_system_all_is_as_expected_and_it_says_what_it_tried() {
    let output = output(&mut pullcord(["selftest", "--json"]));
    let said = text(&output.stdout);
    let report: Value = serde_json::from_str(said).unwrap();
    let observations = report["observations"].as_array().unwrap();
    let odd: Vec<_> = observations.iter().filter(|seen| seen["as_expected"] == false).collect();
    assert!(odd.is_empty(), "on {}: {odd:?}", std::env::consts::OS);
    assert_eq!(output.status.code(), Some(0));
    for about in ["fifo", "select", "watch"] {
        assert!(observations.iter().any(|seen| seen["about"] == about), "{about}: {said}");
    }
    assert!(!said.contains(&*std::env::temp_dir().to_string_lossy()), "no path of this machine");
}
