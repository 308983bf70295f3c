//! What the documents show is true: the table of algorithms and their errors are the registry's, the sample of an algorithm is
//! one that is compiled. The README's C program is compiled and run by `c_tests/readme_test.cmake`.

use std::fmt::Write;

use convlow::algorithms::{Entry, REGISTRY};
use convlow::{Kind, Layout, Problem};

use crate::common::padded;
use crate::written::{check_or_write, read};

const BEGIN: &str = "<!-- algorithms: written by ./dev generate -->\n";
const END: &str = "<!-- end of algorithms -->";

const ALGORITHMS: &str = "docs/algorithms.md";
const ERRORS: &str = "docs/numerics.md";
const SAMPLE: &str = "CONTRIBUTING.md";

/// What the registry says of an algorithm, and what else it needs, asked of the algorithm itself.
fn row(entry: &Entry) -> String {
    let layouts = match entry.layouts {
        all if all == Layout::PAIRS => "any → any".to_string(),
        some => {
            let pair =
                |(src, dst): &(Layout, Layout)| format!("{} → {}", src.name(), dst.name()).to_uppercase();
            some.iter().map(pair).collect::<Vec<_>>().join(", ")
        }
    };
    let (src_layout, dst_layout) = entry.layouts[0];
    let in_groups = |groups: usize, size: usize, pad: usize, stride: usize| {
        let mut problem = padded([4, 4], [6, 6], [size, size], pad);
        problem.rows.stride = stride;
        let problem = Problem::new(Problem { groups, src_layout, dst_layout, ..problem });
        entry.check(&problem.expect("the probes are valid")).is_ok()
    };
    let (groups, kind) =
        if in_groups(1, 1, 0, 1) || !in_groups(4, 1, 0, 1) { (1, "") } else { (4, "C = groups") };
    let accepts = |size: usize, pad: usize, stride: usize| in_groups(groups, size, pad, stride);
    // Of the kernels that some algorithms are made for, those that this one takes.
    let sizes: Vec<_> = [1, 3, 5].into_iter().filter(|&size| accepts(size, size / 2, 1)).collect();
    let needs = match sizes[..] {
        [1] => "1×1, stride 1, no padding".to_string(),
        [size] => format!("{size}×{size}, stride 1"),
        _ if accepts(3, 1, 2) => String::new(),
        _ if accepts(3, 0, 1) => "stride 1".to_string(),
        _ => "stride 1, OW = W".to_string(),
    };
    let math = if entry.is_exact() { "" } else { ", `MATH_FAST`" };
    let kinds = Kind::ALL.into_iter().filter(|kind| entry.kinds.contains(kind));
    let kinds: Vec<&str> = kinds
        .map(|kind| match kind {
            Kind::Grouped => "groups",
            Kind::Transposed => "transposed",
            Kind::Volume => "3-D",
            Kind::Strided => "slices",
            Kind::Float64 => "float64",
        })
        .collect();
    format!(
        "| `{}` | {layouts} | {} | {kind}{needs}{math} | {} |",
        entry.name(),
        kinds.join(", "),
        entry.space
    )
}

/// The errors that the document states are those that the registry states and the tests hold.
#[test]
fn the_stated_errors_are_the_registry_s() {
    let document = read(ERRORS);
    for entry in REGISTRY {
        if let Some(error) = entry.stated_error {
            let row = format!("| `{}` | {error:e} |", entry.name());
            assert!(document.contains(&row), "{ERRORS} has no {row}");
        }
    }
}

#[test]
fn the_table_of_algorithms_is_the_registry() {
    let mut table =
        "\n| name | layouts | takes | needs | workspace, elements |\n|---|---|---|---|---|\n".to_string();
    for entry in REGISTRY {
        writeln!(table, "{}", row(entry)).expect("a string takes everything");
    }
    table.push('\n');
    if cfg!(feature = "mec") {
        check_or_write(ALGORITHMS, BEGIN, END, &table);
    }
}

/// What an algorithm looks like, from the file that the crate compiles and tests.
#[test]
fn the_sample_of_an_algorithm_is_the_one_that_is_compiled() {
    let file = include_str!("../../src/algorithms/sample.rs");
    let (sample, _) = file.split_once("\n#[cfg(test)]").expect("its tests stand behind it");
    let [begin, end] = ["<!-- sample: written by ./dev generate -->\n", "<!-- end of sample -->"];
    check_or_write(SAMPLE, begin, end, &format!("\n```rust\n{sample}```\n\n"));
}
