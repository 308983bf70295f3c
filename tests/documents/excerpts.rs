//! The examples of docs/embedding.md are excerpts of the program beside it, which ctest runs.

use std::path::Path;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks of code in this language.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("\n```{language}\n");
    let behind = document.split(opening.as_str()).skip(1);
    behind.map(|rest| rest.split_once("```").expect("the block ends").0).collect()
}

/// Whether consecutive lines of the source are the excerpt's, all of them indented by the same spaces more.
fn has_excerpt(source: &str, excerpt: &str) -> bool {
    let (source, excerpt) = (source.lines().collect::<Vec<_>>(), excerpt.lines().collect::<Vec<_>>());
    source.windows(excerpt.len()).any(|lines| {
        let indent = lines[0].len() - lines[0].trim_start().len();
        let indent = &lines[0][..indent];
        lines.iter().zip(&excerpt).all(|(line, wanted)| {
            line.strip_prefix(indent).unwrap_or(line) == *wanted
                && (line.is_empty() || line.starts_with(indent))
        })
    })
}

#[test]
fn every_example_of_embedding_stands_in_its_program() {
    let (document, cmake) = (read("docs/embedding.md"), read("c_tests/CMakeLists.txt"));
    let sources = ["docs/embedding/engine.hpp", "docs/embedding/main.cpp"].map(read);
    let examples = blocks(&document, "cpp");
    assert!(examples.len() >= 15, "only {}", examples.len());
    assert_eq!(document.matches("\n```").count(), 2 * examples.len(), "all blocks are C++");
    for example in examples {
        assert!(sources.iter().any(|source| has_excerpt(source, example)), "no source has:\n{example}");
    }
    assert!(cmake.contains("convlow_test(embedding \"${PROJECT_SOURCE_DIR}/docs/embedding/main.cpp\")"));
}

#[test]
fn an_excerpt_is_whole_lines_without_their_common_indentation() {
    let source = "int f() {\n    if (x) {\n\n        g();\n    }\n}\n";
    assert!(has_excerpt(source, "if (x) {\n\n    g();\n}\n"));
    assert!(!has_excerpt(source, "if (x) {\n    g();\n}\n"));
    assert!(!has_excerpt(source, "if (x) {\n\ng();\n}\n"));
    assert!(!has_excerpt(source, "g()\n"));
}
