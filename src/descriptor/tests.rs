//! Tests: texts, and the problems that they describe.

use super::{Entry, ListError, parse, parse_list, parse_printed};
use crate::problem::{Axis, DataType, Layout, Problem};

fn parsed(text: &str) -> Entry {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn what_is_not_given_has_its_default() {
    let Entry { problem, name, count } = parsed("ic3ih9oc4kh3");
    let axis = Axis { output: 7, ..Axis::dense(9, 3) };
    let expected = Problem {
        batch: 1,
        in_channels: 3,
        out_channels: 4,
        groups: 1,
        rows: axis,
        cols: axis,
        ..Problem::UNIT
    };
    assert_eq!(problem, expected);
    assert_eq!((name.as_str(), count), ("ic3ih9oc4oh7kh3ph0", 1));
}

#[test]
fn every_key_reaches_its_field() {
    let problem = parsed("mb2_g4_ic8_ih20iw30_oc12_kh3kw5_sh2sw3_dh1dw2_ph4pw6").problem;
    assert_eq!((problem.batch, problem.groups), (2, 4));
    assert_eq!((problem.in_channels, problem.out_channels), (8, 12));
    let rows = Axis { stride: 2, dilation: 2, pad_before: 4, pad_after: 4, output: 12, ..Axis::dense(20, 3) };
    let cols = Axis { stride: 3, dilation: 3, pad_before: 6, pad_after: 6, output: 10, ..Axis::dense(30, 5) };
    assert_eq!((problem.rows, problem.cols), (rows, cols));
}

#[test]
fn a_missing_width_copies_its_height_and_the_reverse() {
    let both = parsed("ic1ih9iw9oc1oh5ow5kh3kw3sh2sw2dh0dw0ph1pw1").problem;
    assert_eq!(parsed("ic1ih9oc1oh5kh3sh2dh0ph1").problem, both);
    assert_eq!(parsed("ic1ih9iw9oc1oh5ow5kw3sw2dw0pw1").problem, both);
    assert_eq!(parsed("ic1ih9oc1kh3iw20").problem.cols.input, 20);
}

#[test]
fn an_output_width_beside_a_width_follows_from_it() {
    for (text, outputs) in [("ic16ih1iw8oc6oh1kh1kw3dh0dw2", (1, 2)), ("ic1ih9iw8oc1kh3sh1sw2", (7, 3))] {
        let problem = parsed(text).problem;
        assert_eq!((problem.rows.output, problem.cols.output), outputs, "{text}");
        assert_eq!(parsed(&problem.to_string()).problem, problem, "{problem}");
    }
}

#[test]
fn a_problem_without_heights_has_one_row() {
    let problem = parsed("ic1iw9oc1ow5kw3sw2pw1").problem;
    assert_eq!(problem, parsed("ic1ih1iw9oc1oh1ow5kh1kw3sh1sw2ph0pw1").problem);
    assert_eq!((problem.rows.input, problem.rows.output, problem.rows.stride), (1, 1, 1));
}

#[test]
fn the_count_stands_in_the_name_or_behind_it() {
    for (text, name, count) in [
        ("n\"res2*3\"", "res2", 3),
        ("n\"res2\"*3", "res2", 3),
        ("nres2*3", "res2", 3),
        ("n\"res2\"", "res2", 1),
        ("n\"a*b*12\" ", "a*b", 12),
    ] {
        let entry = parsed(&format!("ic3ih9oc4kh3{text}"));
        assert_eq!((entry.name.as_str(), entry.count), (name, count), "{text}");
    }
}

/// ResNet-50's first layer needs a row less below than above; its strided 1x1 layers leave a row unread.
#[test]
fn padding_behind_the_input_follows_from_the_output_size() {
    for (text, before, after) in [
        ("ic3ih224oc64oh112kh7sh2ph3", 3, 2),
        ("ic3ih224oc64kh7sh2ph3", 3, 3),
        ("ic8ih56oc8oh28kh1sh2ph0", 0, 0),
        ("ic8ih9oc8oh9kh3dh1ph2", 2, 2),
        ("ic8ih9oc8oh9kh2ph0", 0, 1),
    ] {
        let rows = parsed(text).problem.rows;
        assert_eq!((rows.pad_before, rows.pad_after), (before, after), "{text}");
    }
}

#[test]
fn a_mistake_is_named_with_its_column() {
    for (text, expected) in [
        ("ic3ihoc4kh3", "column 6: expected a number behind ih"),
        ("ic3ih9oc4kz3", "column 10: expected one of mb, g, ic,"),
        ("ic3ih9oc4kh3 ", "column 13: expected one of mb, g, ic,"),
        ("ic3ih9oc4kh-3", "column 12: expected a number behind kh"),
        ("ic3ih9ic4kh3", "column 7: ic is given twice"),
        ("ic3ih99999999999999999999oc4", "column 6: ih = 99999999999999999999 does not fit size_t"),
        ("ic3ih9oc4kh3n\"a", "column 16: expected a closing \""),
        ("ic3ih9oc4kh3n\"a*0\"", "column 17: expected a count of at least 1 behind *"),
        ("ic3ih9oc4kh3n\"é*x\"", "column 17: expected a count of at least 1 behind *"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.starts_with(expected), "{text}: {refusal}");
    }
}

#[test]
fn sizes_that_are_missing_or_disagree_are_named() {
    for (text, expected) in [
        ("", "has no ic"),
        ("ic3ih9kh3", "has no oc"),
        ("ic3ih9oc4", "has no kh"),
        ("ic3ih9oc4oh3kh3sh2", "oh = 3 in"),
        ("ic3ih9oc4oh7ow6kh3", "ow = 6 in"),
        ("g2ic3ih9oc4kh3", "groups = 2 does not divide in_channels = 3"),
        ("ic3ih0oc4kh3", "in_height = 0"),
        ("ic3ih9oc4kh3dh18446744073709551615", "does not fit size_t"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(expected), "{text}: {refusal}");
    }
}

#[test]
fn what_a_problem_prints_is_read_back() {
    for text in [
        "ic256ih56oc256oh56kh3ph1",
        "ic3ih9oc4kh3sh2ph1",
        "mb2g3ic3ih9iw8oc6kh5kw3sh2sw1dh1dw0ph2pw7pb1pr0",
        "ic3id4ih9oc6kd2kh3sh2ph1",
        "ic3id4ih9iw7oc6od3oh9ow7kd3kh3kw2sd2sh1pd1ph1pw0pr1pk2",
        "ic64ih8oc32oh16kh4sh2ph1tr1",
        "ic64ih8oc32oh17kh4sh2ph1tr1",
        "ic64ih8oc32oh16ow19kh3sh2sw3ph1pb0tr1",
        "mb2ic4id3oc8kd2sd2tr1",
        "ic4ih5oc8kh3ph1sc64dc128db4000",
        "ic3ih4oc4kh1ph9pb0pr3",
    ] {
        let problem = parse(text).expect("a problem").problem;
        let printed = problem.to_string();
        assert_eq!(parse(&printed).map(|entry| entry.problem), Ok(problem), "{text}: {printed}");
    }
    let strided = parse("ic256ih28oc256oh14kh3sh2ph1").expect("a problem").problem;
    assert_eq!(strided.to_string(), "ic256ih28oc256oh14kh3sh2ph1");
}

#[test]
fn a_printed_problem_is_read_back_with_its_layouts_and_in_no_other_spelling() {
    let square = parse("ic3ih9oc4kh3").expect("a problem").problem;
    let mixed = Problem { src_layout: Layout::Nhwc, accumulate: true, ..square };
    let double = Problem { data_type: DataType::F64, ..mixed };
    for problem in [square, mixed, double, Problem { dst_layout: Layout::Nhwc, ..mixed }] {
        assert_eq!(parse_printed(&problem.to_string()), Ok(problem));
    }
    for text in [
        "",
        "ic3ih9oc4kh3",
        "ic3ih9oc4oh7kh3ph0junk",
        "ic3ih9oc4oh7kh3ph0n",
        "ic3ih9oc4oh7kh3ph0:nchw>nchw",
        "ic3ih9oc4oh7kh3ph0:nhwc",
        "ic3ih9oc4oh7kh3ph0:sum:sum",
        "ic3ih9oc4oh7kh3ph0:f32",
        "ic3ih9oc4oh7kh3ph0:sum:f64",
        "ic03ih9oc4oh7kh3ph0",
        "ic3_ih9oc4oh7kh3ph0",
        "ic0ih9oc4oh7kh3ph0",
    ] {
        assert!(parse_printed(text).is_err(), "{text}");
    }
}

#[test]
fn a_list_skips_blank_lines_and_comments() {
    let list = "# two layers\n\nic3ih9oc4kh3n\"a\"\r\n  # between\n  ic4ih7oc5kh1n\"b*2\"  \n";
    let entries = parse_list(list).expect("a list");
    let told: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.count)).collect();
    assert_eq!(told, [("a", 1), ("b", 2)]);
    assert_eq!(parse_list("# nothing\n"), Ok(Vec::new()));
}

#[test]
fn a_mistake_in_a_list_is_named_with_line_and_column() {
    let refusal = |list: &str| parse_list(list).expect_err(list);
    let ListError { line, column, error } = refusal("# layers\n\n  ic3ihoc4kh3\n");
    assert_eq!((line, column, error.message()), (3, 8, "expected a number behind ih"));
    let error = refusal("ic3ih9oc4kh3\n  ic3ih9oc4");
    assert_eq!(error.to_string(), "line 2, column 3: \"ic3ih9oc4\" has no kh");
}
