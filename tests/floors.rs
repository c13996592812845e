//! Imports point down only, and files of one folder don't import each other in a circle (ARCHITECTURE.md, "Floors"). A
//! `mod.rs` has only documentation, `mod` and `pub use` (CONTRIBUTING.md). Reads the files in `src/`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The floors from the ground up, and the modules on each. A module may use modules on lower floors, and modules on its
/// own floor only as listed in `SIDE_BY_SIDE`.
const FLOORS: &[&[&str]] = &[
    &["error", "id", "clock", "url"],
    &["codec", "lifetime", "record", "keyring"],
    &["store", "cookie", "events"],
    &[
        "store/memory",
        "store/file",
        "store/memcached",
        "store/redis",
        "store/sql",
        "store/encrypted",
        "store/cached",
        "store/observed",
        "session",
        "conformance",
    ],
    &["connect", "admin", "middleware", "extract", "guide"],
];

/// Allowed imports between modules of one floor.
const SIDE_BY_SIDE: &[(&str, &str)] = &[
    ("error", "id"),
    // Events contain the store's errors.
    ("events", "store"),
    ("cookie", "events"),
    ("record", "lifetime"),
    ("extract", "middleware"),
    ("extract", "admin"),
    ("middleware", "admin"),
];

/// The folders whose files import each other in a circle.
const KNOWN_CIRCLES: &[&str] = &[
    // A trait's provided methods call functions on the trait.
    "store",
];

/// The longest known module that contains this path.
fn module_of(path: &str) -> Option<&'static str> {
    let all = FLOORS.iter().flat_map(|floor| floor.iter().copied());
    all.filter(|module| path == *module || path.starts_with(&format!("{module}/"))).max_by_key(|module| module.len())
}

fn floor_of(module: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&module)).expect("FLOORS names each module")
}

/// Returns the code of a file, without comments and its own tests, which may import anything.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Returns the module of a file: `store/mod.rs` is `store`, and so would `store.rs` be.
fn module_path(path: &str) -> &str {
    let module = path.trim_end_matches(".rs");
    module.strip_suffix("/mod").unwrap_or(module)
}

/// Returns the items of this crate that a module names, as paths: `crate::store::memory::X` is `store/memory/X`, and in
/// `session/find.rs` `super::live::Live` is `session/live/Live`.
fn imports(module: &str, text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let code = code(text);
    let starts = ["crate::", "self::", "super::"].into_iter().flat_map(|start| code.match_indices(start));
    for (at, start) in starts {
        // `$crate::` in a macro counts; `other_crate::` and the second `super::` of two do not.
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let mut rest = &code[at + start.len()..];
        let mut from: Vec<&str> = if start == "crate::" { Vec::new() } else { module.split('/').collect() };
        if start == "super::" {
            from.pop();
            while let Some(above) = rest.strip_prefix("super::") {
                from.pop();
                rest = above;
            }
        }
        expand(rest, &from.join("/"), &mut found);
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

/// Returns the violations in a file with this path, relative to `src`, and this text.
fn violations(path: &str, text: &str, reexports: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let own = module_path(path);
    let Some(own_module) = module_of(own) else {
        return if own == "lib" { Vec::new() } else { vec![format!("{path}: on no floor; add it to tests/floors.rs")] };
    };
    let mut wrong = Vec::new();
    for import in imports(own, text) {
        let import = reexports(&import).unwrap_or(import);
        let Some(used) = module_of(&import) else { continue };
        let allowed =
            used == own_module || floor_of(used) < floor_of(own_module) || SIDE_BY_SIDE.contains(&(own_module, used));
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

/// Returns the file of a name that the crate's root re-exports: `crate::MemoryStore` is in `store/memory`.
fn at_the_root(import: &str) -> Option<String> {
    let stores = [
        ("Memory", "store/memory"),
        ("File", "store/file"),
        ("Memcached", "store/memcached"),
        ("Redis", "store/redis"),
        ("Sql", "store/sql"),
        ("Encrypted", "store/encrypted"),
        ("Cached", "store/cached"),
        ("Observed", "store/observed"),
    ];
    let others = [
        ("SessionLayer", "middleware"),
        ("SessionService", "middleware"),
        ("SessionHandle", "middleware"),
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

/// Returns the files of the crate, by their path in `src`, without test modules in separate files.
fn sources() -> BTreeMap<String, String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    assert!(all.len() > 50, "the sources are found");
    let is_test =
        |path: &str| path.split('/').any(|part| part.trim_end_matches(".rs").ends_with("tests") || part == "model.rs");
    let relative = |file: &PathBuf| file.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
    let named = all.iter().map(|file| (relative(file), fs::read_to_string(file).unwrap()));
    named.filter(|(path, _)| !is_test(path)).collect()
}

/// The files of a folder, the files that each imports, and the paths by which it does. Names are without `.rs`; a
/// subfolder counts as one file.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

fn folder(name: &str, sources: &BTreeMap<String, String>) -> Graph {
    let inside = |path: &str| -> Option<String> {
        let below = path.strip_prefix(name)?.strip_prefix('/')?;
        Some(below.split('/').next()?.to_owned())
    };
    let mut graph: Graph =
        sources.keys().filter_map(|path| Some((inside(module_path(path))?, BTreeMap::new()))).collect();
    // An item that the folder's module re-exports is in the file that defines it.
    let modules = [format!("{name}/mod.rs"), format!("{name}.rs")];
    let module = modules.iter().find_map(|path| sources.get(path)).map_or("", String::as_str);
    let mut home = BTreeMap::new();
    for path in imports(name, &reexports(module)) {
        if let (Some(file), Some((_, item))) = (inside(&path), path.rsplit_once('/')) {
            home.insert(item.to_owned(), file);
        }
    }
    for (path, text) in sources {
        let own = module_path(path);
        let Some(file) = inside(own) else { continue };
        for import in imports(own, text) {
            let Some(named) = inside(&import) else { continue };
            let used = if graph.contains_key(&named) { Some(named) } else { home.get(&named).cloned() };
            if let Some(used) = used.filter(|used| *used != file) {
                graph.entry(file.clone()).or_default().insert(used, import.replace('/', "::"));
            }
        }
    }
    graph
}

/// Returns the `pub use` and `pub(crate) use` items of a module.
fn reexports(text: &str) -> String {
    let code = code(text);
    let uses = code.split(';').filter_map(|item| {
        let item = item.trim_start_matches(|c| c != '\n').trim_start();
        let start = item.find("pub")?;
        item[start..].contains("use ").then(|| format!("{};\n", &item[start..]))
    });
    uses.collect()
}

/// Returns a circle in the imports of files, if there is one.
fn circle(graph: &Graph) -> Option<Vec<&str>> {
    fn visit<'a>(
        file: &'a str,
        graph: &'a Graph,
        done: &mut BTreeSet<&'a str>,
        way: &mut Vec<&'a str>,
    ) -> Option<Vec<&'a str>> {
        if let Some(start) = way.iter().position(|before| *before == file) {
            return Some(way[start..].to_vec());
        }
        if !done.insert(file) {
            return None;
        }
        way.push(file);
        let found = graph.get(file).into_iter().flatten().find_map(|(used, _)| visit(used, graph, done, way));
        way.pop();
        found
    }
    let (mut done, mut way) = (BTreeSet::new(), Vec::new());
    graph.keys().find_map(|file| visit(file, graph, &mut done, &mut way))
}

/// Formats a circle: each file, and what it imports from the next.
fn written_out(circle: &[&str], graph: &Graph) -> String {
    let nexts = circle.iter().cycle().skip(1);
    let steps = circle.iter().zip(nexts).map(|(file, next)| format!("{file} uses `{}`", graph[*file][*next]));
    steps.collect::<Vec<_>>().join(", ")
}

#[test]
fn files_of_one_folder_import_each_other_in_no_circle() {
    let sources = sources();
    let folders: BTreeSet<&str> = sources.keys().filter_map(|path| Some(path.rsplit_once('/')?.0)).collect();
    assert!(folders.len() > 15, "{folders:?}");
    let mut wrong = Vec::new();
    for name in folders {
        let graph = folder(name, &sources);
        match (circle(&graph), KNOWN_CIRCLES.contains(&name)) {
            (Some(circle), false) => wrong.push(format!("{name}: {}", written_out(&circle, &graph))),
            (None, true) => wrong.push(format!("{name}: no circle any more; take it out of KNOWN_CIRCLES")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "circles:\n{}", wrong.join("\n"));
}

#[test]
fn a_circle_is_caught() {
    let with = |files: &[(&str, &str)]| {
        let sources = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let graph = folder("store/file", &sources);
        circle(&graph).map(|circle| circle.join(" "))
    };
    let both = "a b".to_owned();
    assert_eq!(
        with(&[("store/file/a.rs", "use super::b::X;"), ("store/file/b.rs", "use super::{c, a::Y};")]),
        Some(both)
    );
    let by_crate = [("store/file/a.rs", "crate::store::file::b::f()"), ("store/file/b.rs", "use super::a;")];
    assert!(with(&by_crate).is_some(), "by the crate's path");
    let by_reexport = [
        ("store/file/mod.rs", "mod a;\nmod b;\n\npub(crate) use self::{\n    a::Y,\n    b::{X, f as g},\n};\n"),
        ("store/file/a.rs", "use super::X;"),
        ("store/file/b.rs", "use crate::store::file::{Y};"),
    ];
    assert!(with(&by_reexport).is_some(), "by a name that the folder's module re-exports");
    let in_a_subfolder = [
        ("store/file/a/mod.rs", ""),
        ("store/file/a/deep.rs", "use super::super::b::X;"),
        ("store/file/b.rs", "use super::a::Y;"),
    ];
    assert!(with(&in_a_subfolder).is_some(), "a subfolder is one");
    let three = [
        ("store/file/a.rs", "use super::b;"),
        ("store/file/b.rs", "use super::c;"),
        ("store/file/c.rs", "use super::{a::X};"),
    ];
    assert_eq!(with(&three), Some("a b c".to_owned()));
    let down = [
        ("store/file/a.rs", "use super::{b, c};\n// use super::a;"),
        ("store/file/b.rs", "use super::c;"),
        ("store/file/c.rs", "#[cfg(test)]\nmod tests { use super::super::a; }"),
    ];
    assert_eq!(with(&down), None);
}

#[test]
fn imports_point_down() {
    let (mut wrong, mut read) = (Vec::new(), 0);
    let mut used = BTreeSet::new();
    for (path, text) in &sources() {
        read += imports(module_path(path), text).len();
        wrong.extend(violations(path, text, &at_the_root));
        used.extend(pairs(path, text));
    }
    assert!(read > 200, "imports are read: {read}");
    assert!(wrong.is_empty(), "imports that point up, or to the side:\n{}", wrong.join("\n"));
    let unused: Vec<_> = SIDE_BY_SIDE.iter().filter(|pair| !used.contains(*pair)).collect();
    assert!(unused.is_empty(), "exceptions that nobody uses: {unused:?}");
}

/// Returns the first words of each item that a `mod.rs` must not have: all but `mod x;` and `pub use`.
fn code_in_mod(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let mut rest = lines.collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start().to_owned();
        if let Some(attribute) = rest.strip_prefix('#') {
            let mut open = 0;
            let end = attribute.find(|c| {
                open += i32::from(c == '[') - i32::from(c == ']');
                c == ']' && open == 0
            });
            rest = attribute[end.expect("an attribute ends") + 1..].to_owned();
            continue;
        }
        let Some(end) = rest.find([';', '{']) else { break };
        let item = &rest[..end];
        let is_public = item.starts_with("pub");
        let words = item.trim_start_matches("pub").trim_start();
        let words = if words.starts_with('(') { words.split_once(") ").expect("pub(in path)").1 } else { words };
        let is_mod = words.starts_with("mod ") && rest[end..].starts_with(';');
        let is_public_use = is_public && words.starts_with("use ");
        if !(is_mod || is_public_use) {
            found.push(item.trim().to_owned());
            break;
        }
        let end = rest.find(';').expect("`mod` and `use` end");
        rest = rest[end + 1..].to_owned();
    }
    found
}

#[test]
fn a_mod_rs_has_only_documentation_and_public_imports() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    let mods: Vec<_> = all.iter().filter(|path| path.ends_with("mod.rs")).collect();
    assert!(mods.len() > 15, "the sources are found");
    let wrong: Vec<_> = mods
        .into_iter()
        .map(|path| (path.strip_prefix(&src).unwrap(), code_in_mod(&fs::read_to_string(path).unwrap())))
        .filter(|(_, code)| !code.is_empty())
        .collect();
    assert!(wrong.is_empty(), "move it to a file that is named after it: {wrong:?}");
}

#[test]
fn code_in_a_mod_rs_is_caught() {
    for (text, code) in [
        ("const A: u8 = 1;", "const A: u8 = 1"),
        ("mod a;\n\nuse std::fmt;", "use std::fmt"),
        ("pub use self::a::{B, C};\nimpl B {\n    fn f() {}\n}", "impl B"),
        ("#[cfg(test)]\nmod tests {\n    use super::*;\n}", "mod tests"),
        ("pub fn f() {}", "pub fn f()"),
        ("macro_rules! m { () => {} }", "macro_rules! m"),
    ] {
        assert_eq!(code_in_mod(text), [code], "{text}");
    }
    let good = "//! Docs; with a { brace.\n\n#[cfg_attr(not(all(x)), allow(dead_code, reason = \"[x]\"))]\nmod a;\n\
                pub(crate) mod b;\n\n#[doc(inline)]\npub use self::a::{B, c::{D, E}};\npub(in crate::x) use self::b::*;\n";
    assert_eq!(code_in_mod(good), Vec::<String>::new());
}

/// Returns the modules that a file uses, each with its own module.
fn pairs(path: &str, text: &str) -> BTreeSet<(&'static str, &'static str)> {
    let own = module_path(path);
    let Some(own_module) = module_of(own) else { return BTreeSet::new() };
    let used = imports(own, text).into_iter().map(|import| at_the_root(&import).unwrap_or(import));
    used.filter_map(|import| Some((own_module, module_of(&import)?))).collect()
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
