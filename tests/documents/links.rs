//! Every relative link of every Markdown file leads to a file, and to a heading where it names one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The Markdown files of the checkout, without what builds leave in it.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_built = ["target", "build", "dist", "vendor"].contains(&name) || name.starts_with("build-");
        if path.is_dir() && !is_built && !name.starts_with('.') {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The lines outside of blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// A line without its `code`.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// What the links and pictures of a text lead to.
fn links(text: &str) -> Vec<String> {
    let in_line = |line: &str| -> Vec<String> {
        let line = without_code(line);
        let between = |begin, end| line.split(begin).skip(1).filter_map(move |rest| rest.split_once(end));
        let all = between("](", ')').chain(between(" src=\"", '"')).chain(between(" href=\"", '"'));
        all.map(|(link, _)| link.to_owned()).collect()
    };
    prose(text).flat_map(in_line).collect()
}

/// The anchors of a text's headings, as GitHub and others make them.
fn anchors(text: &str) -> HashSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
        kept.map(|char| if char == ' ' { '-' } else { char }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    documents(root, &mut files);
    let read = |file: &Path| {
        std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    let (mut broken, mut followed) = (Vec::new(), 0);
    for file in &files {
        for link in links(&read(file)) {
            if link.starts_with("https://") || link.starts_with("http://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target =
                if path.is_empty() { file.clone() } else { file.parent().expect("a folder").join(path) };
            let is_there = target.exists() && (anchor.is_empty() || anchors(&read(&target)).contains(anchor));
            if !is_there {
                broken.push(format!("{}: {link}", file.strip_prefix(root).unwrap_or(file).display()));
            }
            followed += 1;
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
    assert!(files.len() >= 15 && followed >= 50, "{} files, {followed} links", files.len());
    println!("documents: {} files, {followed} links", files.len());
}

#[test]
fn links_and_anchors_are_read_from_prose() {
    let text = "# A `b`: c & d\n[one](x.md#y) and ![two](z.svg) `[no](n.md)`\n<img src=\"w.svg\">\n```\n[no](n.md)\n# no\n```\n";
    assert_eq!(links(text), ["x.md#y", "z.svg", "w.svg"]);
    assert_eq!(anchors(text), HashSet::from(["a-b-c--d".to_string()]));
}
