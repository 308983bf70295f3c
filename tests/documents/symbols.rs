//! All of the C surface is on the list of the ABI. That the shared library exports its functions and nothing else is asked of
//! the built one: `c_tests/elf.cmake`.

/// What compiled programs rely on; c_tests/abi.c holds the header and the library against it.
const LIST: &str = include_str!(concat!(
    "../../c_tests/abi/",
    env!("CARGO_PKG_VERSION_MAJOR"),
    ".",
    env!("CARGO_PKG_VERSION_MINOR"),
    ".h"
));
const HEADER: &str = include_str!("../../include/convlow.h");

/// What stands behind a macro of the list, up to the part that a name does not need.
fn listed(kind: &str, parts: usize) -> Vec<String> {
    let lines = LIST.lines().filter_map(|line| line.strip_prefix(kind)?.strip_prefix('('));
    sorted(lines.map(|line| line.split([',', ')']).take(parts).map(str::trim).collect::<Vec<_>>().join(".")))
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

/// The header's lines without comments.
fn declarations() -> impl Iterator<Item = &'static str> {
    HEADER.lines().filter(|line| !line.trim_start().starts_with(['*', '/']))
}

/// The last word, without the sizes of an array.
fn name_at_the_end(declaration: &str) -> &str {
    let declared = declaration.split('[').next().unwrap_or_default();
    declared.rsplit([' ', '*']).next().unwrap_or_default()
}

fn declared_functions() -> Vec<String> {
    let names = declarations()
        .filter(|line| !line.starts_with('#') && !line.contains("typedef"))
        .filter_map(|line| Some(name_at_the_end(line.split_once('(')?.0)))
        .filter(|name| name.starts_with("convlow_"));
    sorted(names.map(str::to_owned))
}

fn declared_constants() -> Vec<String> {
    let names = declarations().filter_map(|line| line.strip_prefix("#define ")?.split_once(' '));
    // The version is not the ABI's: a program asks for it to learn what else there is. Nor are macros that call functions.
    let of_abi = |name: &String| !name.starts_with("CONVLOW_VERSION_") && !name.contains('(');
    sorted(names.map(|(name, _)| name.to_owned()).filter(of_abi))
}

/// The structs, and their fields as `struct.field`.
fn declared_structs() -> (Vec<String>, Vec<String>) {
    let (mut structs, mut fields) = (Vec::new(), Vec::new());
    let mut inside = None;
    for line in declarations() {
        if let Some(name) = line.strip_prefix("typedef struct ").and_then(|rest| rest.strip_suffix(" {")) {
            structs.push(name.to_owned());
            inside = Some(name);
        } else if line.starts_with('}') {
            inside = None;
        } else if let (Some(name), Some(field)) = (inside, line.strip_suffix(';')) {
            fields.push(format!("{name}.{}", name_at_the_end(field)));
        }
    }
    (sorted(structs.into_iter()), sorted(fields.into_iter()))
}

/// Other names of types: `typedef WHAT NAME;` and `typedef WHAT (*NAME)(...`.
fn declared_types() -> Vec<String> {
    let lines = declarations().filter_map(|line| line.strip_prefix("typedef "));
    let names = lines.filter(|line| !line.starts_with("struct ")).map(|line| match line.split_once("(*") {
        Some((_, pointer)) => pointer.split(')').next().unwrap_or_default(),
        None => name_at_the_end(line.trim_end_matches(';')),
    });
    sorted(names.map(str::to_owned))
}

#[test]
fn all_that_the_header_declares_is_on_the_list_of_the_abi() {
    let (structs, fields) = declared_structs();
    for (kind, parts, declared, at_least) in [
        ("FUNCTION", 1, declared_functions(), 35),
        ("CONSTANT", 1, declared_constants(), 30),
        ("TYPE", 1, declared_types(), 2),
        ("STRUCT", 1, structs, 5),
        ("FIELD", 2, fields, 83),
    ] {
        assert!(declared.len() >= at_least, "{kind}: {declared:?}");
        let listed = listed(kind, parts);
        let apart = |one: &[String], other: &[String]| -> Vec<String> {
            one.iter().filter(|name| !other.contains(name)).cloned().collect()
        };
        let (new, gone) = (apart(&declared, &listed), apart(&listed, &declared));
        assert!(gone.is_empty(), "the header has lost {gone:?}, which compiled programs rely on");
        assert!(new.is_empty(), "{new:?}: add a {kind} line for each to the list in c_tests/abi");
        assert_eq!(listed.len(), declared.len(), "{kind}: a name is there twice");
    }
}
