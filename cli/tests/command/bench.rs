//! `convlow bench`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use convlow::algorithms::REGISTRY;
use serde_json::Value;

/// Small layers that every family but conv-1x1 computes, and one for conv-1x1.
const PROBLEMS: [&str; 2] = ["ic8ih9oc12kh3ph1n\"first*2\"", "ic8ih9oc12kh1nsecond"];

fn convlow(arguments: &[&str]) -> Output {
    let arguments = [&["bench"], arguments].concat();
    Command::new(env!("CARGO_BIN_EXE_convlow")).args(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// What a successful run prints.
fn printed(arguments: &[&str]) -> String {
    let output = convlow(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// What a refused run says.
fn refusal(arguments: &[&str]) -> String {
    let output = convlow(arguments);
    let text = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
    assert!(text.starts_with("convlow: ") && output.stdout.is_empty(), "{text}");
    text
}

/// A folder of a test's own that goes when the value does.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("convlow-bench-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary directory takes a folder");
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a UTF-8 path").to_string()
    }

    fn with(&self, name: &str, content: &str) -> String {
        fs::write(self.0.join(name), content).expect("the folder takes a file");
        self.file(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn records(json: &str) -> Vec<Value> {
    json.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Holds a record against docs/bench.schema.json, as far as that file uses the language of schemas.
fn check_schema(record: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bench.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).expect("the schema")).expect("JSON");
    let record = record.as_object().expect("an object");
    let properties = schema["properties"].as_object().expect("properties");
    assert_eq!(schema["additionalProperties"], false);
    let required = schema["required"].as_array().expect("required fields");
    assert_eq!(required.len(), properties.len(), "every field is always there");
    for name in required.iter().filter_map(Value::as_str) {
        assert!(record.contains_key(name), "{name} is missing in {record:?}");
    }
    for (name, value) in record {
        let rules = properties.get(name).unwrap_or_else(|| panic!("{name} is not in the schema"));
        for (rule, argument) in rules.as_object().expect("rules") {
            let holds = match rule.as_str() {
                "description" => true,
                "const" => value == argument,
                "enum" => argument.as_array().expect("a list").contains(value),
                "minimum" => {
                    value.as_f64().is_none_or(|number| number >= argument.as_f64().expect("a number"))
                }
                "type" => match argument {
                    Value::Array(types) => types.iter().any(|one| is(value, one)),
                    one => is(value, one),
                },
                _ => panic!("the test does not know the rule {rule}"),
            };
            assert!(holds, "{name} = {value} breaks {rule}: {argument}");
        }
    }
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().expect("a type") {
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the test does not know the type {other}"),
    }
}

#[test]
fn records_follow_the_schema() {
    let json =
        printed(&[PROBLEMS[0], PROBLEMS[1], "--rounds", "3", "--check", "--threads", "1,2", "--json", "-"]);
    let records = records(&json);
    records.iter().for_each(check_schema);
    let families = REGISTRY.chunk_by(|a, b| a.family == b.family);
    let families = families.filter(|family| !family[0].computes_weights()).count();
    assert_eq!(records.len(), 2 * 2 * families, "{json}");
    for record in &records {
        let field = |name: &str| &record[name];
        assert_eq!(field("propagation"), "forward");
        if record["skipped"] == true {
            let reason = match (field("family").as_str(), field("name").as_str()) {
                (Some("depthwise"), _) => ("depthwise", "needs several groups of one input channel each"),
                (_, Some("first")) => ("conv-1x1", "needs a 1x1 kernel"),
                _ => ("winograd", "needs a 3x3 kernel"),
            };
            assert_eq!((field("family"), field("reason")), (&reason.0.into(), &reason.1.into()));
            assert_eq!((field("rounds"), field("median_seconds")), (&0.into(), &Value::Null));
            assert_eq!((field("bursts"), field("burst_ratio")), (&0.into(), &Value::Null));
            continue;
        }
        let number = |name: &str| record[name].as_f64().unwrap_or_else(|| panic!("{name} in {record}"));
        assert_eq!(number("rounds"), 3.0);
        assert!(number("first_quartile_seconds") <= number("median_seconds"));
        assert!(number("median_seconds") <= number("third_quartile_seconds"));
        assert!(number("error") < 1e-5);
        assert_eq!(field("math"), if field("family") == "winograd" { "fast" } else { "exact" });
        let taps = if record["name"] == "first" { 9.0 } else { 1.0 };
        let operations = 2.0 * 8.0 * 12.0 * taps * 81.0;
        assert!((number("gflops") * number("median_seconds") * 1e9 / operations - 1.0).abs() < 1e-9);
        assert!((number("peak_share") * number("peak_gflops") / number("gflops") - 1.0).abs() < 1e-9);
        assert_eq!(record["efficiency"].is_null(), record["threads"] == 1, "{record}");
        check_bursts(record, if record["threads"] == 1 { 0 } else { 3 });
        let im2col = record["family"] == "im2col";
        assert!(!im2col || number("workspace_bytes") == 8.0 * taps * 81.0 * 4.0);
    }
    for threads in [1, 2] {
        let chosen = |name: &str| {
            let mine = |record: &&Value| record["name"] == name && record["threads"] == threads;
            records.iter().filter(mine).filter(|record| record["auto"] == true).count()
        };
        assert_eq!((chosen("first"), chosen("second")), (1, 1));
    }
}

/// Holds the fields of a record's bursts against their number.
fn check_bursts(record: &Value, bursts: u64) {
    assert_eq!(record["bursts"], bursts, "{record}");
    let fields = ["burst_median_seconds", "burst_spread", "burst_ratio"];
    let [median, _, ratio] = fields.map(|name| record[name].as_f64());
    assert_eq!(fields.map(|name| record[name].is_null()), [bursts == 0; 3], "{record}");
    if let (Some(median), Some(ratio)) = (median, ratio) {
        let back_to_back = record["median_seconds"].as_f64().expect("a time");
        assert!((ratio * back_to_back / median - 1.0).abs() < 1e-9, "{record}");
    }
}

#[test]
fn bursts_are_timed_where_they_are_asked_for() {
    for (bursts, expected) in [("none", [0, 0]), ("threaded", [0, 2]), ("all", [2, 2])] {
        let arguments =
            [PROBLEMS[0], "--algorithms", "auto", "--threads", "1,2", "--rounds", "2", "--bursts", bursts];
        let found = records(&printed(&[&arguments[..], &["--json", "-"]].concat()));
        assert_eq!(found.len(), 2);
        for record in &found {
            check_bursts(record, if record["threads"] == 1 { expected[0] } else { expected[1] });
        }
        let table = printed(&arguments);
        let heading = table.lines().find(|line| line.contains("primitive")).expect("a heading");
        assert_eq!(heading.contains("burst"), bursts != "none", "{table}");
    }
    // Pauses count against the limit: fifteen of them would take longer.
    let before = Instant::now();
    let arguments = [PROBLEMS[0], "--algorithms", "auto", "--bursts", "all", "--time-limit", "0.2"];
    let found = records(&printed(&[&arguments[..], &["--json", "-"]].concat()));
    let bursts = found[0]["bursts"].as_u64().expect("a number");
    assert!((1..=10).contains(&bursts) && before.elapsed().as_secs_f64() < 5.0, "{bursts} bursts");
}

#[test]
fn csv_has_the_fields_of_the_records() {
    let folder = Folder::new("csv");
    let (csv, json) = (folder.file("out.csv"), folder.file("out.json"));
    printed(&[PROBLEMS[0], "--rounds", "1", "--csv", &csv, "--json", &json]);
    let (csv, json) = (fs::read_to_string(csv).expect("a file"), fs::read_to_string(json).expect("a file"));
    let mut lines = csv.lines();
    let heading: Vec<_> = lines.next().expect("a heading").split(',').collect();
    let records = records(&json);
    assert_eq!(lines.clone().count(), records.len());
    let keys: Vec<_> = records[0].as_object().expect("an object").keys().map(String::as_str).collect();
    let sorted = |mut names: Vec<&str>| {
        names.sort_unstable();
        names.join(" ")
    };
    assert_eq!(sorted(heading.clone()), sorted(keys));
    for (line, record) in lines.zip(&records) {
        let algorithm = record["algorithm"].as_str().expect("a name");
        assert!(line.contains(&format!(",{algorithm},")), "{line}");
        assert!(line.starts_with("1,\""), "the machine holds a comma and is quoted: {line}");
    }
}

#[test]
fn the_table_has_every_problem_and_the_sums_of_a_list() {
    let folder = Folder::new("table");
    let list = folder.with(
        "tiny.txt",
        "--reset --dir=FWD_I --stag=any\n# two layers\nic8ih9oc12kh3ph1n\"first*2\"  ic8_ih9_oc12_kh1nsecond\n",
    );
    let output = convlow(&["--network", &list, "--rounds", "1", "--threads", "1,2"]);
    let (out, notes) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{notes}");
    assert_eq!(
        notes,
        format!("convlow: note: {list}: options that change no problem are passed over: --stag\n")
    );
    assert!(out.lines().all(|line| line.chars().count() <= 120 || line.starts_with("convlow ")), "{out}");
    for start in
        ["first x 2  ic8ih9oc12oh9kh3ph1", "second  ic8ih9oc12oh9kh1ph0", "* ", "measured peak ", "tiny"]
    {
        assert!(out.lines().any(|line| line.starts_with(start)), "{start:?} is missing:\n{out}");
    }
    let sums = out.split_once("Sums over the layers").expect("sums").1;
    let cells = |family: &str| -> Vec<&str> {
        let lines = sums.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines
            .into_iter()
            .find(|cells| cells.first() == Some(&family))
            .unwrap_or_else(|| panic!("{family}\n{sums}"))
    };
    // 8 x 3 x 3 x 9 x 9 floats.
    assert_eq!((cells("im2col")[3], cells("im2col").last()), ("3/3", Some(&"23,328")));
    assert_eq!(cells("conv-1x1")[3], "1/3");
    assert_eq!(cells("auto")[3], "3/3");
}

#[test]
fn algorithms_are_chosen_by_name_family_and_layout() {
    let names = |arguments: &[&str]| -> Vec<(String, String)> {
        let arguments = [&[PROBLEMS[0], "--rounds", "1", "--json", "-"], arguments].concat();
        let found = records(&printed(&arguments));
        let field = |record: &Value, name: &str| record[name].as_str().unwrap_or("null").to_string();
        found.iter().map(|record| (field(record, "algorithm"), field(record, "gemm"))).collect()
    };
    let pair = |name: &str, gemm: &str| (name.to_string(), gemm.to_string());
    assert_eq!(
        names(&["--algorithms", "kn2row-as,direct", "--gemm", "embedded"]),
        [pair("kn2row-as", "embedded"), pair("direct-sum2d", "null")]
    );
    assert_eq!(
        names(&["--algorithms", "register", "--gemm", "embedded"]),
        [pair("kn2row-register", "kernels")]
    );
    let family = names(&["--algorithms", "kn2-aa", "--gemm", "embedded"]);
    assert!(family.len() == 1 && family[0].0.starts_with("kn2row-aa-"), "{family:?}");
    let all = names(&["--algorithms", "all", "--gemm", "embedded"]);
    let convolutions = || REGISTRY.iter().filter(|entry| !entry.computes_weights());
    assert_eq!(all.len(), convolutions().filter(|entry| entry.is_exact()).count());
    let all_of_fast = names(&["--algorithms", "all", "--gemm", "embedded", "--math", "fast"]);
    assert_eq!(all_of_fast.len(), convolutions().count());
    assert_eq!(
        names(&["--algorithms", "winograd-strip-2x2-3x3", "--gemm", "embedded"]),
        [pair("winograd-strip-2x2-3x3", "embedded")]
    );
    for (name, _) in names(&["--algorithms", "im2row", "--layout", "nhwc"]) {
        assert!(name.ends_with("-ik"), "{name} makes NCHW");
    }
}

#[test]
fn gradients_are_measured_and_held_to_the_definition() {
    // Groups, two images, and a transposed convolution of stride 2.
    let problems = ["mb2g2ic6ih9oc4kh3ph1n\"first\"", "ic5ih6iw4oc3oh11ow8kh3sh2ph1tr1n\"second\""];
    for (propagation, end) in [("backward-data", ":bwd_d"), ("backward-weights", ":bwd_w")] {
        for (data_type, largest_error) in [("f32", 1e-5), ("f64", 1e-14)] {
            let options = ["--propagation", propagation, "--dt", data_type, "--check", "--rounds", "1"];
            let arguments = [&problems[..], &options, &["--algorithms", "all", "--json", "-"]].concat();
            let json = printed(&arguments);
            let records = records(&json);
            let able = |of_weights: bool| {
                REGISTRY
                    .iter()
                    .filter(move |entry| entry.computes_weights() == of_weights && entry.is_exact())
            };
            assert_eq!(records.len(), 2 * able(propagation == "backward-weights").count(), "{json}");
            for record in &records {
                check_schema(record);
                assert_eq!(record["propagation"], propagation);
                assert!(record["problem"].as_str().expect("sizes").ends_with(end), "{record}");
            }
            let measured = records.iter().filter(|record| record["skipped"] == false);
            let errors = measured.map(|record| record["error"].as_f64().expect("an error"));
            let errors: Vec<_> = errors.collect();
            assert!(errors.len() >= 2 && errors.iter().all(|&error| error < largest_error), "{errors:?}");
        }
    }
    let of_weights = refusal(&[problems[0], "--algorithms", "gradient-register"]);
    assert!(
        of_weights.contains("gradient-register: computes the gradient of the weights alone"),
        "{of_weights}"
    );
}

#[test]
fn a_list_says_what_is_computed_unless_the_command_line_does() {
    let folder = Folder::new("directions");
    let shapes =
        folder.with("shapes.txt", "ic8ih9oc12kh3ph1n\"tiny:first\"\nic8ih9oc12kh1n\"tiny:second\"\n");
    let list = folder.with(
        "tiny.txt",
        "--dir=FWD_B --batch=shapes.txt --dir=BWD_D --batch=shapes.txt --dir=BWD_WB --batch=shapes.txt",
    );
    let (svg, json) = (folder.file("out.svg"), folder.file("out.json"));
    let measure = |more: &[&str]| {
        let arguments = ["--network", &list, "--algorithms", "auto", "--rounds", "1", "--check"];
        printed(&[&arguments, more].concat())
    };
    let table = measure(&["--plot", &svg, "--json", &json]);
    for text in [
        "\nfirst  ic8ih9oc12oh9kh3ph1:bwd_w\n",
        "\nbwd_d, bwd_w: the gradient of the data, of the weights; ",
        "\ntiny\n",
        "\ntiny backward-data\n",
        "\ntiny backward-weights\n",
    ] {
        assert!(table.replace("tiny:first", "first").contains(text), "{text:?} is missing:\n{table}");
    }
    let written = |name: &str| fs::read_to_string(folder.file(name)).expect("a file");
    for name in ["time-tiny", "time-tiny_backward-data", "peak-tiny_backward-weights", "pareto"] {
        let svg = written(&format!("out-{name}.svg"));
        assert_eq!(svg.contains("tiny backward-weights, 1 thread"), !name.starts_with("time"), "{name}");
    }
    let computed = |json: &str| -> Vec<String> {
        records(json)
            .iter()
            .map(|record| record["propagation"].as_str().expect("a word").to_string())
            .collect()
    };
    let in_turn = ["forward", "backward-data", "backward-weights"].map(|word| [word; 2]).concat();
    assert_eq!(computed(&written("out.json")), in_turn);
    for one in ["forward", "backward-weights"] {
        assert_eq!(computed(&measure(&["--propagation", one, "--json", "-"])), [one; 6]);
    }
    assert_eq!(
        computed(&printed(&["--network", &shapes, "--rounds", "1", "--algorithms", "auto", "--json", "-"])),
        ["forward"; 2]
    );
}

#[test]
fn a_batch_takes_the_place_of_the_problems_own() {
    let json =
        printed(&["mb7ic3ih5oc4kh1", "--batch", "2", "--algorithms", "auto", "--rounds", "1", "--json", "-"]);
    let records = records(&json);
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["batch"], &records[0]["problem"]), (&2.into(), &"mb2ic3ih5oc4oh5kh1ph0".into()));
}

#[test]
fn pictures_are_drawn_with_titles_and_other_engines() {
    let folder = Folder::new("plot");
    let peers = folder.with(
        "peers.json",
        "{\"engine\": \"onednn\", \"problem\": \"ic8ih9oc12kh3ph1\", \"layout\": \"nhwc\", \"median_seconds\": 1e-4, \
         \"memory_bytes\": 4096, \"threads\": 1}\n{\"engine\": \"backwards\", \"problem\": \"ic8ih9oc12kh3ph1\", \
         \"layout\": \"nhwc\", \"median_seconds\": 1e-4, \"memory_bytes\": 0, \"threads\": 1, \
         \"propagation\": \"backward-data\"}\n{\"engine\": \"elsewhere\", \"problem\": \"ic9ih9oc12kh3ph1\", \
         \"layout\": \"nhwc\", \"median_seconds\": 1e-4, \"memory_bytes\": 0, \"threads\": 1}\n",
    );
    let (svg, png) = (folder.file("out.svg"), folder.file("out.png"));
    printed(&[PROBLEMS[0], "--rounds", "1", "--plot", &svg, "--plot", &png, "--peers", &peers]);
    let pareto = fs::read_to_string(folder.file("out-pareto.svg")).expect("a picture");
    for engine in ["elsewhere", "backwards"] {
        assert!(!pareto.contains(engine), "an engine that has not run this problem");
    }
    for (name, titles) in [
        ("time", &["time (ms, log)", "shorter is better", "kn2-aa"][..]),
        (
            "pareto",
            &["workspace, largest of the layers (bytes, log)", "time of all layers (ms, log)", "onednn"],
        ),
        ("peak", &["share of the peak (%)", "higher is better"]),
    ] {
        let svg = fs::read_to_string(folder.file(&format!("out-{name}.svg"))).expect("a picture");
        for title in titles {
            assert!(svg.contains(title), "{name} has no {title}");
        }
        let png = fs::read(folder.file(&format!("out-{name}.png"))).expect("a picture");
        assert!(png.starts_with(b"\x89PNG\r\n") && png.len() > 5000, "{name}");
    }
}

#[test]
fn mistakes_are_told_before_any_work() {
    assert!(refusal(&["ic256ih56oc256oh56kx3"]).contains("column 19: expected one of mb, g, ic,"));
    let unknown = refusal(&[PROBLEMS[0], "--algorithms", "im2col,winograd9"]);
    assert!(unknown.contains("'winograd9'") && unknown.contains("kn2-aa"), "{unknown}");
    let wrong = refusal(&["ic8ih9oc4kh3sh2", "--algorithms", "kn2row"]);
    assert!(wrong.contains("nothing to measure: kn2row: needs stride 1"), "{wrong}");
    let folder = Folder::new("mistakes");
    let list = folder.with("bad.txt", "--mb=2 ic3ih9oc4kh3\n  ic3ih9oc4kh3 ic3ih9oc4kx3\n");
    assert!(refusal(&["--network", &list]).contains("bad.txt:2:25: expected one of"));
    let peers = folder.with("peers.json", "{\"engine\": \"a\"}");
    let text = refusal(&[PROBLEMS[0], "--plot", &folder.file("a.svg"), "--peers", &peers]);
    assert!(text.contains("peers.json: expected objects as benches/peers/run"), "{text}");
    for arguments in [
        &["--network", "vgg17"][..],
        &[PROBLEMS[0], "--plot", "a.pdf"],
        &[PROBLEMS[0], "--plot", "no/such/folder/a.svg"],
        &[PROBLEMS[0], "--json", "no/such/folder/a.json"],
        &[PROBLEMS[0], "--json", "-", "--csv", "-"],
        &[PROBLEMS[0], "--rounds", "0"],
        &[PROBLEMS[0], "--batch", "0"],
        &["ic3ih0oc4kh1"],
        &[PROBLEMS[0], "--time-limit", "-1"],
        &[PROBLEMS[0], "--threads", "2000"],
        &[PROBLEMS[0], "--gemm", "mkl"],
        &[PROBLEMS[0], "--bursts", "some"],
        &[PROBLEMS[0], "--propagation", "sideways"],
        &[PROBLEMS[0], "--max-workspace", "0", "--algorithms", "im2col"],
    ] {
        refusal(arguments);
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_what_is_finished() {
    let folder = Folder::new("ctrl-c");
    let csv = folder.file("out.csv");
    let child = Command::new(env!("CARGO_BIN_EXE_convlow"))
        .args([
            "bench",
            "ic8ih9oc12kh3ph1",
            "ic64ih56oc64kh3ph1",
            "--rounds",
            "4000000000",
            "--time-limit",
            "1000",
        ])
        .args(["--algorithms", "auto", "--json", "-", "--csv", &csv])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // The file is there once Ctrl-C is heeded.
    while !Path::new(&csv).exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill starts");
    assert!(signal.success());
    let output = child.wait_with_output().expect("an end");
    let complaint = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{complaint}");
    assert_eq!(complaint, "convlow: interrupted: 1 of 2 problems are finished\n");
    let records = records(&text(&output.stdout));
    assert_eq!(records.len(), 1, "the problem in work had been timed");
    check_schema(&records[0]);
}

#[test]
fn several_networks_get_pictures_of_their_own() {
    let folder = Folder::new("networks");
    let (one, two) = (folder.with("one.txt", PROBLEMS[0]), folder.with("two.txt", PROBLEMS[1]));
    printed(&["--network", &one, "--network", &two, "--rounds", "1", "--plot", &folder.file("out.svg")]);
    for name in ["pareto", "time-one", "time-two", "peak-one", "peak-two"] {
        let svg = fs::read_to_string(folder.file(&format!("out-{name}.svg"))).expect("a picture");
        assert_eq!(svg.contains("first, 1 thread"), !name.ends_with("two"), "{name}");
    }
}
