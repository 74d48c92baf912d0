//! `corevault check-aof` and `corevault check-snapshot`: exit codes, and what they say.

use super::data::fill_keys;
use super::{Home, SEGMENT, SNAPSHOT, name_of, save_in_background};

#[test]
fn healthy_files_are_said_to_be() {
    let Some(home) = Home::new("healthy_files_are_said_to_be") else { return };
    let server = home.start(&["--shards", "2"]);
    let mut wire = server.wire();
    fill_keys(&mut wire, "saved", 700);
    save_in_background(&mut wire);
    fill_keys(&mut wire, "logged", 300);
    server.stop();
    let snapshot = home.file(SNAPSHOT);
    let ended = home.tool(&["check-snapshot", &snapshot.display().to_string()]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("700"), "the count of keys: {}", ended.stdout);
    for path in home.files(SEGMENT) {
        let ended = home.tool(&["check-aof", &path.display().to_string()]);
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains(name_of(&path)), "{}", ended.stdout);
    }
    let ended = home.tool(&["check-aof", &home.data().display().to_string()]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    for path in home.written_segments() {
        assert!(ended.stdout.contains(name_of(&path)), "{}", ended.stdout);
    }
}

#[test]
fn a_log_without_damage_is_not_changed_by_a_repair() {
    let Some(home) = Home::new("a_log_without_damage_is_not_changed_by_a_repair") else { return };
    let server = home.start(&["--shards", "1"]);
    fill_keys(&mut server.wire(), "k", 100);
    server.stop();
    let path = home.written_segments().remove(0);
    let before = std::fs::read(&path).expect("the segment");
    let ended = home.tool(&["check-aof", &path.display().to_string(), "--repair"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(std::fs::read(&path).expect("the segment"), before);
    assert!(home.files(".bak").is_empty(), "{:?}", home.files(".bak"));
}

#[test]
fn what_is_no_file_of_ours_is_said() {
    let Some(home) = Home::new("what_is_no_file_of_ours_is_said") else { return };
    let path = home.directory.join("foreign");
    std::fs::write(
        &path,
        b"a text of somebody else's that is long enough to hold a header and more".repeat(3),
    )
    .expect("a file");
    let shown = path.display().to_string();
    for tool in ["check-aof", "check-snapshot"] {
        let ended = home.tool(&[tool, &shown]);
        assert!(matches!(ended.code, Some(1 | 2)), "{tool}: {}{}", ended.stdout, ended.stderr);
        assert!(
            format!("{}{}", ended.stdout, ended.stderr).contains(&shown),
            "{tool}: {}{}",
            ended.stdout,
            ended.stderr
        );
        let ended = home.tool(&[tool, "no-such-file"]);
        assert!(matches!(ended.code, Some(1 | 2)), "{tool}: {:?}", ended.code);
        assert!(format!("{}{}", ended.stdout, ended.stderr).contains("no-such-file"), "{tool}");
        let ended = home.tool(&[tool]);
        assert_eq!(ended.code, Some(2), "{tool} needs a path: {}", ended.stderr);
    }
    let before = std::fs::read(&path).expect("the file");
    let ended = home.tool(&["check-aof", &shown, "--repair"]);
    assert!(matches!(ended.code, Some(1 | 2)), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(std::fs::read(&path).expect("the file"), before, "nothing can be repaired");
}

/// A data directory that a server has open is read as it is, and nothing in it is changed.
#[test]
fn a_directory_in_use_can_be_checked_and_not_repaired() {
    let Some(home) = Home::new("a_directory_in_use_can_be_checked_and_not_repaired") else { return };
    let server = home.start(&["--shards", "1", "--aof-sync-strategy", "always"]);
    server.wire().expect("SET k v", "+OK\r\n");
    let shown = home.data().display().to_string();
    let ended = home.tool(&["check-aof", &shown]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let ended = home.tool(&["check-aof", &shown, "--repair"]);
    assert_ne!(ended.code, Some(0), "a server writes there: {}{}", ended.stdout, ended.stderr);
    server.stop();
}
