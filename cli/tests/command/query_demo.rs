//! `convlow query`, `convlow demo`, and what all commands have in common.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use convlow::Isa;
use convlow::algorithms::{Products, REGISTRY};

/// A layer of VGG-16.
const PROBLEM: &str = "ic256ih56oc256oh56kh3ph1";

fn convlow(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_convlow")).args(arguments).output().expect("the program starts")
}

/// What a successful run prints.
fn printed(arguments: &[&str]) -> String {
    let output = convlow(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What a refused run says.
fn refusal(arguments: &[&str]) -> String {
    let output = convlow(arguments);
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
    assert!(text.starts_with("convlow: "), "{text}");
    text
}

/// A file of this test's own that goes when the value does.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("convlow-{}-{name}", std::process::id()));
        fs::write(&path, content).expect("the temporary directory takes a file");
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().expect("a UTF-8 path")
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The cells of the primitives' lines, without the mark of the chosen ones.
fn table_of(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().skip_while(|line| !line.contains("primitive  ")).skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    lines.map(|line| line.trim_start_matches('*').split_whitespace().collect()).collect()
}

/// How many different names there are.
fn different<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn query_prints_every_primitive_with_the_workspace_of_its_formula() {
    let text = printed(&["query", PROBLEM]);
    assert!(text.lines().all(|line| line.chars().count() < 118), "{text}");
    let table = table_of(&text);
    // What works on some pairs of layouts has a line for each.
    assert_eq!(different(table.iter().map(|row| row[0])), REGISTRY.len(), "{text}");
    let mut exact = 0;
    for row in table {
        let (name, layouts, workspace) = (row[0], row[1], row[2]);
        let entry = REGISTRY.iter().find(|entry| entry.name() == name).expect(name);
        assert_eq!(layouts == "any", entry.layouts.len() == 4, "{name}");
        let bytes = || -> usize { workspace.replace(',', "").parse().expect("a number") };
        let expected = match entry.family {
            "direct" | "tiled" => "0",
            "im2col" | "im2row" => "28,901,376",
            "kn2-as" => "3,211,264",
            "kn2-aa" => {
                assert!(bytes() <= 65_536, "{name}: {workspace}");
                continue;
            }
            "register" | "patches" => {
                assert!(bytes() <= 1 << 18, "{name}: {workspace}");
                continue;
            }
            "folded" | "flat" => {
                assert!(bytes() <= 1 << 20, "{name}: {workspace}");
                continue;
            }
            "conv-1x1" => {
                assert_eq!(row[2..].join(" "), "needs a 1x1 kernel", "{name}");
                continue;
            }
            _ => continue,
        };
        assert_eq!(workspace, expected, "{name}");
        exact += 1;
    }
    assert_eq!(exact, 1 + 1 + 16 + 8 + 2);
}

#[test]
fn query_marks_one_choice_for_each_pair_of_layouts() {
    let text = printed(&["query", PROBLEM, "--gemm", "embedded"]);
    let (_, choices) = text.split_once("the choice of AUTO:").expect("the choices");
    let (choices, _) = choices.split_once("all primitives").expect("the table behind them");
    for pair in ["nchw>nchw", "nchw>nhwc", "nhwc>nchw", "nhwc>nhwc"] {
        let choice = choices.lines().find_map(|line| line.trim().strip_prefix(pair)).expect(pair);
        let name = choice.trim().split(',').next().expect("a name");
        let marked = |line: &str| line.starts_with("*  ") && line[3..].starts_with(name);
        assert!(text.lines().any(marked), "{pair} {name}\n{text}");
        let entry = REGISTRY.iter().find(|entry| entry.name() == name).expect(name);
        assert_eq!(entry.products == Products::Gemm, choice.contains(", gemm embedded, "), "{choice}");
    }
}

#[test]
fn query_of_gradients_marks_what_computes_them() {
    for (propagation, name) in
        [("backward-weights", "gradient-register"), ("backward-data", "kn2row-register")]
    {
        let text = printed(&["query", PROBLEM, "--layout", "nhwc", "--propagation", propagation]);
        let marked = format!("*  {name}");
        assert_eq!(text.lines().filter(|line| line.starts_with(&marked)).count(), 1, "{text}");
    }
}

#[test]
fn query_with_layouts_gives_the_reason_of_primitives_for_others() {
    let text = printed(&["query", PROBLEM, "--layout", "nhwc"]);
    let table = table_of(&text);
    assert_eq!(table.len(), REGISTRY.len());
    let row = |name: &str| table.iter().find(|row| row[0] == name).expect(name);
    assert_eq!(row("im2row-copy-short-ab-ik")[1..3], ["nhwc>nhwc", "28,901,376"]);
    assert_eq!(row("kn2row-as")[1..].join(" "), "nchw>nchw needs src_layout NCHW and dst_layout NCHW");
    assert_eq!(text, printed(&["query", PROBLEM, "--src-layout", "nhwc", "--dst-layout", "nhwc"]));
}

#[test]
fn query_as_csv_has_plain_numbers() {
    let text = printed(&["query", PROBLEM, "--csv", "--max-workspace", "64K"]);
    let mut lines = text.lines();
    let columns: Vec<_> = lines.next().expect("a heading").split(',').collect();
    let lines: Vec<Vec<_>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(different(lines.iter().map(|line| line[0])), REGISTRY.len());
    let of = |name: &str, column: &str| {
        let index = columns.iter().position(|other| *other == column).expect(column);
        lines.iter().find(|line| line[0] == name).expect(name)[index]
    };
    assert!(lines.iter().all(|line| line.len() == columns.len()), "{text}");
    assert_eq!(of("im2col-scan-ab-ki", "workspace_bytes"), "28901376");
    assert_eq!(of("im2col-scan-ab-ki", "applicable"), "true");
    assert_eq!(of("im2col-scan-ab-ki", "reason"), "\"needs more than max_workspace_bytes\"");
    assert_eq!(of("conv-1x1-gemm-ab-ik", "applicable"), "false");
    assert_eq!(of("conv-1x1-gemm-ab-ik", "workspace_bytes"), "");
    assert_eq!(of("conv-1x1-gemm-ab-ik", "src_layout"), "nhwc");
    assert_eq!(of("conv-1x1-gemm-ab-ik", "math"), "exact");
    assert_eq!(of("winograd-strip-2x2-3x3", "math"), "fast");
    assert_eq!(of("kn2row-register", "gemm"), "kernels");
    assert_eq!(of("direct-sum2d", "gemm"), "");
}

#[test]
fn query_measures_when_asked() {
    let text = printed(&["query", "ic4ih8oc4kh3", "--layout", "nchw", "--measure", "--csv"]);
    let measured = text.lines().skip(1).filter(|line| line.contains(",true,"));
    let measured = measured.filter(|line| !line.contains("only where a GEMM is asked for"));
    assert!(measured.clone().count() > 0);
    for line in measured {
        let milliseconds: f64 = line.split(',').nth(11).and_then(|text| text.parse().ok()).expect(line);
        assert!(milliseconds > 0.0, "{line}");
    }
}

#[test]
fn a_malformed_problem_is_refused_with_its_column() {
    let text = refusal(&["query", "ic256ih56oc256oh56kx3"]);
    assert!(text.contains("column 19: expected one of mb, g, ic,"), "{text}");
    assert!(refusal(&["query", "ic256ih56oc256"]).contains("has no kh"));
    assert!(refusal(&["query", "g3ic256ih56oc256kh3"]).contains("groups = 3 does not divide"));
    let huge = refusal(&["query", "mb1000000000ic1000000ih1000000oc1kh1"]);
    assert!(huge.contains("do not fit size_t"), "{huge}");
}

#[test]
fn what_is_not_known_is_refused() {
    let text = refusal(&["demo", "--algorithm", "im2col-scan-ab-kj"]);
    assert!(text.contains("'im2col-scan-ab-kj'") && text.contains("im2col-scan-ab-ki"), "{text}");
    let text = refusal(&["demo", "--network", "vgg17"]);
    assert!(text.contains("vgg17 cannot be read") && text.contains("vgg16"), "{text}");
    for arguments in [
        &["demo", "--layout", "chwn"][..],
        &["demo", "--gemm", "mkl"],
        &["demo", "--max-workspace", "64Q"],
        &["demo", "--threads", "many"],
        &["demo", "--threads", "2000"],
        &["demo", "--image", "a.jpg", "--network", "vgg16"],
        &["query"],
        &["query", PROBLEM, "--measure", "--budget", "nan"],
        &["convolve"],
    ] {
        refusal(arguments);
    }
}

#[test]
fn a_bad_image_is_refused() {
    assert!(refusal(&["demo", "--image", "no such file.jpg"]).contains("no such file.jpg cannot be read"));
    let text = TemporaryFile::new("text.jpg", "not an image");
    assert!(refusal(&["demo", "--image", text.name()]).contains("cannot be read"));
    let photo = include_bytes!("../../../demo/astronaut.jpg");
    let cut = TemporaryFile::new("cut.png", &photo[..200]);
    assert!(refusal(&["demo", "--image", cut.name()]).contains("cannot be read"));
}

const SMALL_LIST: &str = "# three layers\n\n\
    ic3ih9oc4kh3ph1n\"first\"\n\
    ic8ih7iw6oc8oh4ow3kh3sh2ph1g2n\"second*3\"\n\
    mb2ic5ih6oc7kh1n\"third\"\n";

#[test]
fn demo_runs_a_list_and_prints_its_totals() {
    let list = TemporaryFile::new("small.txt", SMALL_LIST);
    for layout in ["nchw", "nhwc"] {
        let text = printed(&["demo", "--network", list.name(), "--layout", layout, "--threads", "2"]);
        for start in ["first ", "second*3 ", "third ", "sum       5 layers ", "largest "] {
            assert!(text.lines().any(|line| line.starts_with(start)), "{start:?} is missing:\n{text}");
        }
        assert!(text.lines().filter(|line| line.ends_with("  all")).count() == 3, "{text}");
        // 8 / 2 channels x 3 x 3 x 4 x 3 outputs x 4 bytes; 8,748 + 3 x 1,728 + 720 in all.
        let cells = |start: &str| -> Vec<String> {
            let line = text.lines().find(|line| line.starts_with(start)).expect(start);
            line.split_whitespace().map(str::to_string).collect()
        };
        assert_eq!(cells("second*3")[3], "1,728");
        assert_eq!(cells("sum")[4], "14,652");
        assert_eq!(cells("largest")[2], "8,748");
    }
}

#[test]
fn demo_runs_the_convolutions_of_a_list_of_gradients() {
    let list = TemporaryFile::new("directions.txt", "--dir=BWD_W ic3ih9oc4kh3ph1n\"first\"\n");
    let output = convlow(&["demo", "--network", list.name()]);
    let (text, notes) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.lines().any(|line| line.starts_with("first ")), "{text}{notes}");
    assert!(notes.contains("passed over: --dir"), "{notes}");
}

#[test]
fn demo_computes_with_the_algorithm_that_is_asked_for_or_not_at_all() {
    let list = TemporaryFile::new("chosen.txt", SMALL_LIST);
    let text = printed(&["demo", "--network", list.name(), "--algorithm", "im2col-scan-ab-ki"]);
    assert_eq!(text.matches(" im2col-scan-ab-ki ").count(), 3, "{text}");
    let output = convlow(&["demo", "--network", list.name(), "--algorithm", "kn2row-as"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty(), "nothing runs if a layer cannot");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "convlow: second: algorithm = kn2row-as: needs stride 1\n"
    );
    let limit = refusal(&[
        "demo",
        "--network",
        list.name(),
        "--algorithm",
        "im2col-scan-ab-ki",
        "--max-workspace",
        "1K",
    ]);
    assert!(limit.contains("first: algorithm = im2col-scan-ab-ki needs 8748 bytes"), "{limit}");
}

#[test]
fn a_mistake_in_a_list_is_named_by_file_line_and_column() {
    let list = TemporaryFile::new("bad.txt", "# a comment\nic3ih9oc4kh3\n  ic3ih9oc4kx3\n");
    let text = refusal(&["demo", "--network", list.name()]);
    assert!(text.starts_with(&format!("convlow: {}:3:12: expected one of", list.name())), "{text}");
    assert!(convlow(&["demo", "--network", list.name()]).stdout.is_empty());
    let empty = TemporaryFile::new("empty.txt", "# nothing\n");
    assert!(refusal(&["demo", "--network", empty.name()]).contains("holds no problem"));
}

#[test]
fn tensors_beyond_all_memory_are_refused() {
    let list = TemporaryFile::new("huge.txt", "mb1000000ic100ih1000oc1kh1n\"huge\"\n");
    let output = convlow(&["demo", "--network", list.name()]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text, "convlow: huge: 400000000000000 bytes could not be allocated\n");
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_convlow"))
        .args(["query", PROBLEM])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let mut text = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut text).expect("UTF-8");
    assert_eq!(text, "");
    assert!(child.wait().expect("an end").success());
}

#[test]
fn instructions_that_are_not_there_are_refused() {
    let here: Vec<_> = Isa::of_this_machine().map(Isa::name).collect();
    let run = |isa: &str, arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_convlow"))
            .args(arguments)
            .env("CONVLOW_ISA", isa)
            .output()
            .expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    for isa in ["portable", "avx2", "avx512", "neon", "sse9", ""] {
        let (success, _, refusal) = run(isa, &["query", PROBLEM]);
        let (_, version, _) = run(isa, &["--version"]);
        let refused = format!("CONVLOW_ISA = {isa}, but this machine has {}", here.join(", "));
        if here.contains(&isa) || isa.is_empty() {
            assert!(success, "{refusal}");
            let used = if isa.is_empty() { here.last().expect("one is everywhere") } else { isa };
            assert!(version.contains(&format!("; kernels: {used} (of {})", here.join(", "))), "{version}");
        } else {
            assert!(!success && refusal.contains(&refused), "{refusal}");
            assert!(version.contains(&format!("; kernels: none, {refused}; ")), "{version}");
        }
    }
}

#[test]
fn version_is_the_build_info() {
    assert_eq!(printed(&["--version"]), format!("{}\n", convlow::build_info()));
}

/// The library is silent unless asked, and then says what a plan is, and accounts for every other algorithm, in lines that fit a
/// terminal.
#[test]
fn verbose_says_why_each_algorithm_was_passed_over() {
    let list = TemporaryFile::new("verbose", "ic3ih6oc4kh3ph1\nic4ih6oc3kh1\n");
    let run = |verbose: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_convlow"))
            .args(["demo", "--network", list.name()])
            .env("CONVLOW_VERBOSE", verbose)
            .output()
            .expect("the program starts");
        assert!(output.status.success());
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    assert_eq!(run("0"), "");
    let text = run("1");
    assert!(text.lines().all(|line| line.starts_with("convlow: ") && line.len() < 120), "{text}");
    let plans: Vec<_> = text.split("convlow: ic").skip(1).collect();
    assert_eq!(plans.len(), 2, "{text}");
    for (plan, problem) in plans.iter().zip(["3ih6oc4oh6kh3ph1", "4ih6oc3oh6kh1ph0"]) {
        let (choice, others) = plan.split_once('\n').expect("a line");
        assert!(choice.starts_with(&format!("{problem}: ")), "{choice}");
        let isa = Isa::in_use().expect("instructions of this machine").name();
        assert!(choice.contains(&format!(" bytes of workspace, kernels {isa}, estimated ")), "{choice}");
        let words: Vec<_> = plan.split([' ', ',', '\n']).collect();
        for entry in REGISTRY {
            assert_eq!(
                words.iter().filter(|word| **word == entry.name()).count(),
                1,
                "{}: {plan}",
                entry.name()
            );
        }
        assert!(others.contains("  not, needs src_layout NCHW and dst_layout NHWC: im2col"), "{others}");
    }
}
