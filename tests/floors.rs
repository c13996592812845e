//! Imports point down only (ARCHITECTURE.md, "Floors"). Reads the `use crate::` lines of every file in `src/`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The floors from the ground up, and the modules on each. A module may use modules on lower floors, and modules on its
/// own floor only as listed in `SIDE_BY_SIDE`.
const FLOORS: &[&[&str]] = &[
    &["error", "id", "clock"],
    &["codec", "lifetime", "record", "keyring"],
    &["store", "cookie", "events"],
    &[
        "store/memory",
        "store/file",
        "store/memcached",
        "store/encrypted",
        "store/cached",
        "store/observed",
        "session",
        "conformance",
    ],
    &["connect", "admin", "middleware", "extract"],
];

/// Allowed imports between modules of one floor.
const SIDE_BY_SIDE: &[(&str, &str)] = &[
    ("error", "id"),
    // Events contain the store's errors.
    ("events", "store"),
    ("cookie", "events"),
    ("id", "clock"),
    ("record", "lifetime"),
    ("extract", "middleware"),
    // Sessions outside a request use a layer's settings.
    ("admin", "middleware"),
    ("middleware", "admin"),
];

/// Imports that point up, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    // `Error` has `From<StoreError>`.
    ("error", "store"),
];

/// The longest known module that contains this path.
fn module_of(path: &str) -> Option<&'static str> {
    let all = FLOORS.iter().flat_map(|floor| floor.iter().copied());
    all.filter(|module| path == *module || path.starts_with(&format!("{module}/"))).max_by_key(|module| module.len())
}

fn floor_of(module: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&module)).expect("FLOORS names each module")
}

/// The imports of this text from this crate, as paths: `crate::store::memory::X` is `store/memory/X`.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // Tests inside a module may import anything.
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for (start, _) in code.match_indices("crate::") {
        // `$crate::` in a macro counts; `other_crate::` does not.
        let before = code[..start].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        expand(&code[start + "crate::".len()..], "", &mut found);
    }
    found
}

/// Expands one use tree: `a::{b, c::d}` is `a/b` and `a/c/d`.
fn expand(tree: &str, prefix: &str, found: &mut BTreeSet<String>) -> usize {
    let end = tree.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(tree.len());
    let name = &tree[..end];
    let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
    let rest = &tree[end..];
    if let Some(inner) = rest.strip_prefix("::") {
        return end + 2 + expand(inner, &path, found);
    }
    if name.is_empty() && rest.starts_with('{') {
        let mut at = 1;
        loop {
            at += rest[at..].len() - rest[at..].trim_start().len();
            match rest.as_bytes().get(at) {
                None => return end + at,
                Some(b'}') => return end + at + 1,
                Some(b',') => at += 1,
                Some(b'*') => {
                    found.insert(prefix.to_owned());
                    at += 1;
                }
                Some(_) => {
                    let used = expand(&rest[at..], prefix, found);
                    // `as name`, or unknown syntax: skip to the next comma or brace.
                    at += used.max(1);
                    at += rest[at..].find([',', '}']).unwrap_or(0);
                }
            }
        }
    }
    found.insert(if name.is_empty() { prefix.to_owned() } else { path });
    end
}

/// The violations in a file with this path, relative to `src`, and this text.
fn violations(path: &str, text: &str, reexports: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let own = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let Some(own_module) = module_of(own) else {
        return if own == "lib" { Vec::new() } else { vec![format!("{path}: on no floor; add it to tests/floors.rs")] };
    };
    let mut wrong = Vec::new();
    for import in imports(text) {
        let import = reexports(&import).unwrap_or(import);
        let Some(used) = module_of(&import) else { continue };
        let allowed = used == own_module
            || floor_of(used) < floor_of(own_module)
            || SIDE_BY_SIDE.contains(&(own_module, used))
            || EXCEPTIONS.contains(&(own_module, used));
        // `store/mod.rs` names its own parts, as module files do.
        let own_part = own == own_module && used.starts_with(&format!("{own_module}/"));
        if !allowed && !own_part {
            wrong.push(format!("{path}: {own_module} uses {used} (`crate::{}`)", import.replace('/', "::")));
        }
    }
    wrong
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the crate") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The file of a name that the crate's root re-exports: `crate::MemoryStore` is in `store/memory`.
fn at_the_root(import: &str) -> Option<String> {
    let stores = [
        ("Memory", "store/memory"),
        ("File", "store/file"),
        ("Memcached", "store/memcached"),
        ("Encrypted", "store/encrypted"),
        ("Cached", "store/cached"),
        ("Observed", "store/observed"),
    ];
    let others = [
        ("SessionLayer", "middleware"),
        ("SessionService", "middleware"),
        ("SessionHandle", "middleware"),
        ("SessionRejection", "middleware"),
        ("LazySession", "middleware"),
    ];
    let name = import.trim_start_matches("store/");
    if name == "Session" {
        return Some("session".to_owned());
    }
    let mut known = stores.iter().chain(&others);
    let (_, module) = known.find(|(start, _)| name.starts_with(start) && !name.contains('/'))?;
    Some((*module).to_owned())
}

#[test]
fn imports_point_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    assert!(all.len() > 50, "the sources are found");
    let mut wrong = Vec::new();
    let mut read = 0;
    for file in all {
        let path = file.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
        // Test modules in files of their own may import anything.
        if path.split('/').any(|part| part.trim_end_matches(".rs").ends_with("tests") || part == "model.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        read += imports(&text).len();
        wrong.extend(violations(&path, &text, &at_the_root));
    }
    assert!(read > 200, "imports are read: {read}");
    assert!(wrong.is_empty(), "imports that point up, or to the side:\n{}", wrong.join("\n"));
}

#[test]
fn a_line_that_points_up_is_caught() {
    let wrong = |path: &str, text: &str| violations(path, text, &at_the_root);
    assert_eq!(
        wrong("store/contract.rs", "use crate::{id::SessionId, session::Session};"),
        ["store/contract.rs: store uses session (`crate::session::Session`)"]
    );
    assert_eq!(
        wrong("store/memory/table.rs", "use crate::{\n    clock,\n    store::{Usage, file::FileStore},\n};").len(),
        1,
        "no store knows another"
    );
    assert_eq!(wrong("store/memory/table.rs", "use crate::store::FileStore;").len(), 1, "nor by a re-export");
    assert_eq!(wrong("store/memory/table.rs", "use crate::Session;").len(), 1, "nor the root");
    assert_eq!(wrong("cookie/read.rs", "use crate::store::DynStore;").len(), 1, "the cookie knows no store");
    assert_eq!(wrong("session/load.rs", "fn f() { crate::middleware::SessionLayer::new }").len(), 1, "no `use` needed");
    assert_eq!(wrong("conformance/check.rs", "use crate::session::Session;").len(), 1);
    assert_eq!(wrong("surprise.rs", "").len(), 1, "a new module needs a floor");
    assert!(wrong("session/load.rs", "use crate::{cookie::Tokens, store::{SessionStore as Store, *}};").is_empty());
    assert!(wrong("session/load.rs", "use other_crate::middleware::X; // crate::middleware").len() <= 1);
    assert!(wrong("id.rs", "/// See [`SessionLayer`](crate::middleware::SessionLayer).").is_empty(), "documentation");
}
