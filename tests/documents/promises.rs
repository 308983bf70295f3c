//! Each promise of docs/promises.md has tests that exist, are run, and name it.

use std::path::Path;

/// A line of the document that names a test.
struct Test<'a> {
    promise: usize,
    file: &'a str,
    function: &'a str,
}

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The numbers of the document, and its tests.
fn listed(document: &str) -> (Vec<usize>, Vec<Test<'_>>) {
    let (mut numbers, mut tests) = (Vec::new(), Vec::new());
    for line in document.lines() {
        if let Some((number, _)) = line.split_once(". **")
            && let Ok(number) = number.parse()
        {
            numbers.push(number);
        } else if let Some(names) = line.trim_start().strip_prefix("- `") {
            let (file, function) = names
                .strip_suffix('`')
                .and_then(|names| names.split_once("`: `"))
                .unwrap_or_else(|| panic!("a file and a function: {line}"));
            tests.push(Test { promise: *numbers.last().expect("below a promise"), file, function });
        }
    }
    (numbers, tests)
}

/// The promises that a source names: the numbers behind "Promise" or "Promises", as in "Promises 5 and 8:".
fn named(source: &str) -> Vec<usize> {
    let behind = source.split("Promise").skip(1);
    let lists = behind.filter_map(|rest| rest.trim_start_matches('s').strip_prefix(' ')?.split_once(':'));
    let digits = |word: &str| word.trim_matches(',').parse::<usize>();
    lists
        .flat_map(|(list, _)| {
            list.split_whitespace().map_while(move |word| match word {
                "and" => Some(0),
                word => digits(word).ok(),
            })
        })
        .filter(|&number| number > 0)
        .collect()
}

/// Whether the source defines the function as something that is run: a test of Rust's or Python's, or what is called besides.
fn is_run(source: &str, function: &str, in_rust: bool) -> bool {
    if source.contains(&format!("    def {function}(self")) {
        return function.starts_with("test_");
    }
    let calls =
        source.matches(&format!("{function}(")).count() + source.matches(&format!("{function}::<")).count();
    let Some((before, _)) = source.split_once(&format!("fn {function}")) else {
        return !in_rust && calls > 1 && source.contains(&format!(" {function}("));
    };
    // A generic function's definition looks like no call.
    let defined = source.matches(&format!("fn {function}(")).count();
    in_rust && (before.trim_end().ends_with("#[test]") || calls > defined)
}

#[test]
fn every_promise_has_tests_that_are_run_and_name_it() {
    let document = read("docs/promises.md");
    let (numbers, tests) = listed(&document);
    assert!(numbers.len() >= 12 && numbers.iter().copied().eq(1..=numbers.len()), "{numbers:?}");
    let (cmake, attacks) = (read("c_tests/CMakeLists.txt"), read("crates/attacks/src/lib.rs"));
    for number in &numbers {
        assert!(tests.iter().any(|test| test.promise == *number), "promise {number} has no test");
    }
    for Test { promise, file, function } in &tests {
        let source = read(file);
        assert!(named(&source).contains(promise), "{file} does not name promise {promise}");
        assert!(is_run(&source, function, file.ends_with(".rs")), "{file} runs no {function}");
        let name = file.rsplit('/').next().unwrap_or_default();
        match file.split('/').next() {
            Some("tests") => {
                let (folder, stem) = (file.trim_end_matches(name), name.trim_end_matches(".rs"));
                let program = read(&format!("{folder}main.rs"));
                assert!(program.contains(&format!("\nmod {stem};\n")), "no program has {file}");
            }
            Some("c_tests") => assert!(cmake.contains(&format!(" {name}")), "ctest does not run {file}"),
            // By the names that unittest discovers.
            Some("integrations") => assert!(name.starts_with("test_") && name.ends_with(".py"), "{file}"),
            _ => assert!(
                attacks.contains(&format!("{}::run", name.trim_end_matches(".rs"))),
                "{file} is no attack"
            ),
        }
    }
}

/// What a test says that it holds is a promise that the document names it for.
#[test]
fn every_test_that_names_a_promise_is_listed_with_it() {
    let document = read("docs/promises.md");
    let (_, tests) = listed(&document);
    let mut found = 0;
    let programs = ["tests/computing", "tests/planning", "tests/documents"];
    let others = ["c_tests", "crates/attacks/src", "integrations/onnxruntime/tests"];
    for folder in programs.into_iter().chain(others) {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("a folder")
        {
            let name = entry.expect("a file").file_name().into_string().expect("an ASCII name");
            let file = format!("{folder}/{name}");
            if ![".rs", ".c", ".py"].iter().any(|end| name.ends_with(end)) || name == "promises.rs" {
                continue;
            }
            for promise in named(&read(&file)) {
                let is_listed = tests.iter().any(|test| test.promise == promise && test.file == file);
                assert!(
                    is_listed,
                    "{file} names promise {promise}, docs/promises.md does not name {file} there"
                );
                found += 1;
            }
        }
    }
    assert!(found >= tests.len() / 2, "only {found}");
}

#[test]
fn numbers_are_read_from_comments() {
    assert_eq!(
        named("/// Promise 4: padding\n// Promises 5 and 8: bits\n/* Promises 1, 2 and 3: a */"),
        [4, 5, 8, 1, 2, 3]
    );
    assert_eq!(named("the Promise of 4: no\nPromise4: no"), [0usize; 0]);
}
