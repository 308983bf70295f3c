//! The shared library exports its C surface and nothing else.

mod common;

use std::process::Command;

#[test]
fn only_the_functions_of_the_header_are_exported() {
    let output = Command::new("nm")
        .args(["--dynamic", "--defined-only", "--format=posix"])
        .arg(common::shared_library())
        .output()
        .expect("nm runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("symbols are text");
    let mut exported: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    exported.sort_unstable();

    let header = include_str!("../include/convlow.h");
    let mut declared: Vec<&str> = header
        .lines()
        .filter(|line| !line.trim_start().starts_with(['*', '/', '#']) && !line.contains("typedef"))
        .filter_map(|line| line.split_once('('))
        .filter_map(|(before, _)| before.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("convlow_"))
        .collect();
    declared.sort_unstable();
    assert!(declared.len() >= 24, "{declared:?}");
    assert_eq!(exported, declared);
}
