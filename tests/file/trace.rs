//! The state after a power cut follows from the order of the system calls, which strace shows.

use std::{collections::HashMap, fs};

use crate::child;

/// The file operations of one call, in order: `write tmp`, `fsync tmp`, `times`, `rename 01`, `fsync 01`, `unlink 01`.
type Steps = HashMap<String, Vec<String>>;

fn steps(durability: &str) -> Steps {
    let dir = tempfile::tempdir().unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    let calls = "trace=openat,write,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,utimensat,statx,stat,newfstatat,access,faccessat2";
    let log_path = log.path().to_str().unwrap();
    let prefix = ["strace", "-f", "-y", "-s", "8", "-o", log_path, "-e", calls];
    let root = fs::canonicalize(dir.path()).unwrap();
    child::run(child::prefixed(&prefix, &std::env::current_exe().unwrap(), "trace", &root, durability));
    parse(&fs::read_to_string(log.path()).unwrap(), root.to_str().unwrap())
}

fn parse(log: &str, root: &str) -> Steps {
    let (mut steps, mut operation) = (Steps::new(), String::new());
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("\"/begin/") {
            operation = rest.split('"').next().unwrap().to_owned();
            steps.entry(operation.clone()).or_default();
        }
        // A call that another thread interrupts is shown twice; the first line counts.
        let Some(at) = line.find(root).filter(|_| !line.contains("resumed>") && !operation.is_empty()) else {
            continue;
        };
        let call = line.split('(').next().unwrap().rsplit(' ').next().unwrap();
        let path = line[at + root.len()..].trim_start_matches('/');
        let path = path.split(['"', '>', ',']).next().unwrap();
        let (shard, name) = path.split_once('/').unwrap_or((path, ""));
        let step = match (call, name) {
            ("write", "tmp") => "write tmp".to_owned(),
            ("fsync" | "fdatasync", "tmp") => "fsync tmp".to_owned(),
            ("fsync" | "fdatasync", "") => format!("fsync {shard}"),
            ("fsync" | "fdatasync", _) => "fsync file".to_owned(),
            ("rename" | "renameat" | "renameat2", _) => format!("rename {shard}"),
            ("unlink" | "unlinkat", "tmp") => "unlink tmp".to_owned(),
            ("unlink" | "unlinkat", _) => format!("unlink {shard}"),
            ("utimensat", _) => "times".to_owned(),
            ("openat", name) if name.len() == 36 => "open session".to_owned(),
            _ => continue,
        };
        steps.get_mut(&operation).unwrap().push(step);
    }
    assert!(steps.contains_key("end"), "the trace has no end: {log}");
    steps
}

fn changes(steps: &Steps, operation: &str) -> Vec<String> {
    steps[operation].iter().filter(|step| *step != "open session").cloned().collect()
}

const REPLACED: [&str; 3] = ["write tmp", "times", "rename 01"];
const REPLACED_SYNCED: [&str; 4] = ["write tmp", "times", "fsync tmp", "rename 01"];

#[test]
fn durability_none_syncs_nothing() {
    let steps = steps("none");
    assert_eq!(changes(&steps, "create"), REPLACED);
    assert_eq!(changes(&steps, "update"), REPLACED);
    assert_eq!(changes(&steps, "touch"), ["times"]);
    let renamed = ["write tmp", "times", "rename 02", "write tmp", "times", "rename 01"];
    assert_eq!(changes(&steps, "rename"), renamed);
    assert_eq!(changes(&steps, "remove"), ["unlink 02"]);
    let syncs = |(operation, steps): (&String, &Vec<String>)| {
        operation != "flush" && steps.iter().any(|step| step.starts_with("fsync"))
    };
    assert!(!steps.iter().any(syncs));
    // A flush syncs each unsynced file once: the one remaining file, and the directories.
    assert_eq!(steps["flush"].iter().filter(|step| *step == "fsync file").count(), 1);
    assert!(steps["flush"].contains(&"fsync 01".to_owned()) && steps["flush"].contains(&"fsync 02".to_owned()));
    assert_eq!(steps["flush again"], [""; 0]);
}

#[test]
fn durability_data_syncs_files_before_a_write_and_directories_after_an_end() {
    let steps = steps("data");
    assert_eq!(changes(&steps, "create"), REPLACED_SYNCED);
    assert_eq!(changes(&steps, "update"), REPLACED_SYNCED);
    assert_eq!(changes(&steps, "touch"), ["times"]);
    let renamed =
        ["write tmp", "times", "fsync tmp", "rename 02", "write tmp", "times", "fsync tmp", "rename 01", "fsync 01"];
    assert_eq!(changes(&steps, "rename"), renamed);
    assert_eq!(changes(&steps, "remove"), ["unlink 02", "fsync 02"]);
    let epoch = changes(&steps, "epoch");
    assert!(epoch.last().unwrap().starts_with("fsync"), "a revocation lasts: {epoch:?}");
    assert!(steps["flush"].contains(&"fsync 01".to_owned()) && !steps["flush"].contains(&"fsync file".to_owned()));
}

#[test]
fn durability_full_syncs_directories_too() {
    let steps = steps("full");
    assert_eq!(changes(&steps, "create"), [&REPLACED_SYNCED[..], &["fsync 01"]].concat());
    assert_eq!(changes(&steps, "update"), [&REPLACED_SYNCED[..], &["fsync 01"]].concat());
    assert_eq!(changes(&steps, "touch"), ["times", "fsync file"]);
    let renamed = [
        "write tmp",
        "times",
        "fsync tmp",
        "rename 02",
        "fsync 02",
        "write tmp",
        "times",
        "fsync tmp",
        "rename 01",
        "fsync 01",
    ];
    assert_eq!(changes(&steps, "rename"), renamed);
    assert_eq!(changes(&steps, "remove"), ["unlink 02", "fsync 02"]);
    assert_eq!(steps["flush"], [""; 0], "nothing is left to a flush");
}

/// A sweep without expired sessions opens none, and a load opens one file once.
#[test]
fn a_sweep_opens_no_file() {
    let steps = steps("none");
    assert_eq!(steps["sweep"], [""; 0]);
    assert_eq!(steps["load"], ["open session"]);
    assert!(steps["expired"].iter().filter(|step| step.starts_with("unlink 0")).count() >= 2, "{:?}", steps["expired"]);
}
