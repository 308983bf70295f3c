//! The convolutions of known networks, and lists from files.
//!
//! A file is read as benchdnn reads its batch files: words between blanks, `#` before a comment, `\` at the end
//! of a word that goes on behind the blank. Of its options, `--mb=N`, `--dt=f32|f64`, `--dir=DIRECTION`, `--batch=FILE` and
//! `--reset` decide which problems there are and are followed; the others decide what benchdnn does with them and are passed over.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use convlow::descriptor::{self, Entry};
use convlow::{DataType, Problem, Propagation};

use crate::outcome::{Failure, Outcome};

const KNOWN: [(&str, &str); 18] = [
    ("alexnet", include_str!("../../problems/alexnet.txt")),
    ("c3d", include_str!("../../problems/c3d.txt")),
    ("dcgan", include_str!("../../problems/dcgan.txt")),
    ("deeplab_v3", include_str!("../../problems/deeplab_v3.txt")),
    ("efficientnet_b0", include_str!("../../problems/efficientnet_b0.txt")),
    ("googlenet", include_str!("../../problems/googlenet.txt")),
    ("inception_v3", include_str!("../../problems/inception_v3.txt")),
    ("mobilenet_v1", include_str!("../../problems/mobilenet_v1.txt")),
    ("mobilenet_v2", include_str!("../../problems/mobilenet_v2.txt")),
    ("r2plus1d_18", include_str!("../../problems/r2plus1d_18.txt")),
    ("resnet50", include_str!("../../problems/resnet50.txt")),
    ("resnext50_32x4d", include_str!("../../problems/resnext50_32x4d.txt")),
    ("unet", include_str!("../../problems/unet.txt")),
    ("unet3d", include_str!("../../problems/unet3d.txt")),
    ("unet_up", include_str!("../../problems/unet_up.txt")),
    ("vgg16", include_str!("../../problems/vgg16.txt")),
    ("wavenet_1d", include_str!("../../problems/wavenet_1d.txt")),
    ("yolo_v3", include_str!("../../problems/yolo_v3.txt")),
];

/// The networks that are measured where nothing else is asked for; all would take too long.
pub(crate) const PAPER: [&str; 4] = ["alexnet", "googlenet", "resnet50", "vgg16"];

/// The networks that need no file, to be told.
fn names() -> String {
    KNOWN.map(|(name, _)| name).join(", ")
}

/// benchdnn's words for what is computed.
const DIRECTIONS: [(&str, Direction); 6] = [
    ("FWD_B", Direction::FORWARD),
    ("FWD_D", Direction::FORWARD),
    ("FWD_I", Direction::FORWARD),
    ("BWD_D", Direction { propagation: Propagation::BackwardData, bias_gradient: false }),
    ("BWD_W", Direction { propagation: Propagation::BackwardWeights, bias_gradient: false }),
    ("BWD_WB", Direction { propagation: Propagation::BackwardWeights, bias_gradient: true }),
];

/// What is computed.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Direction {
    propagation: Propagation,
    bias_gradient: bool,
}

impl Direction {
    const FORWARD: Self = Self { propagation: Propagation::Forward, bias_gradient: false };
}

/// A problem of a list.
pub(crate) struct Listed {
    pub(crate) entry: Entry,
    /// Whether the gradient of the bias is computed with that of the weights.
    pub(crate) bias_gradient: bool,
}

/// The list of this name, or the one in the file of this name. Notes on what was passed over go to stderr.
pub(crate) fn load(name_or_file: &str) -> Outcome<Vec<Listed>> {
    load_with(Reader::default(), name_or_file)
}

/// [`load`] with all problems forward: directions are passed over.
pub(crate) fn load_forward(name_or_file: &str) -> Outcome<Vec<Entry>> {
    let list = load_with(Reader { forward: true, ..Reader::default() }, name_or_file)?;
    Ok(list.into_iter().map(|listed| listed.entry).collect())
}

fn load_with(mut reader: Reader, name_or_file: &str) -> Outcome<Vec<Listed>> {
    match KNOWN.iter().find(|(name, _)| *name == name_or_file) {
        Some((name, text)) => reader.read(text, Path::new(name))?,
        None => reader.read_file(Path::new(name_or_file))?,
    }
    reader.tell(name_or_file);
    if reader.entries.is_empty() {
        return Err(Failure::Refused(format!("{name_or_file} holds no problem")));
    }
    Ok(reader.entries)
}

/// The entry, unless its outputs see no input: then there is nothing to run.
pub(crate) fn of_some_image(entry: Entry) -> Outcome<Entry> {
    if entry.problem.sums_nothing() {
        return Err(Failure::Refused(format!(
            "{}: no output sees an input, so that there is nothing to run",
            entry.name
        )));
    }
    Ok(entry)
}

/// The entry with this problem in place of its own.
pub(crate) fn changed(problem: Problem, entry: Entry) -> Outcome<Entry> {
    let unnamed = entry.name == entry.problem.to_string();
    let problem =
        Problem::new(problem).map_err(|error| Failure::Refused(format!("{}: {error}", entry.name)))?;
    let name = if unnamed { problem.to_string() } else { entry.name };
    Ok(Entry { problem, name, ..entry })
}

/// A list as far as it has been read.
#[derive(Default)]
struct Reader {
    entries: Vec<Listed>,
    /// Whether `--dir` is passed over.
    forward: bool,
    holding: Holding,
    /// The files that `--batch` has named, with what held then: benchdnn's lists name one again for every data type and
    /// direction, also for those that there are not here.
    files: BTreeSet<(PathBuf, Holding)>,
    options: BTreeSet<String>,
}

/// What options say of the problems behind them.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Holding {
    /// `--mb`; none, like 0, leaves each problem its own.
    batch: Option<usize>,
    /// `--dt`
    data_type: DataType,
    /// `--dir`
    direction: Direction,
}

/// A word of a list, and where it begins, counted from 1.
struct Word {
    text: String,
    line: usize,
    column: usize,
}

impl Reader {
    fn read_file(&mut self, file: &Path) -> Outcome<()> {
        if !self.files.insert((file.to_path_buf(), self.holding)) {
            return Ok(());
        }
        let text = std::fs::read_to_string(file).map_err(|error| {
            let hint = if file.exists() {
                String::new()
            } else {
                format!(" (the networks that need no file are {})", names())
            };
            Failure::Refused(format!("{} cannot be read: {error}{hint}", file.display()))
        })?;
        self.read(&text, file)
    }

    fn read(&mut self, text: &str, file: &Path) -> Outcome<()> {
        for word in words(text) {
            match word.text.strip_prefix("--") {
                Some(option) => self.option(option, file)?,
                None => self.problem(&word, file)?,
            }
        }
        Ok(())
    }

    fn option(&mut self, option: &str, file: &Path) -> Outcome<()> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "batch" => self.read_file(&file.parent().unwrap_or(Path::new("")).join(value))?,
            "reset" => self.holding = Holding::default(),
            // Values that there are not here leave what holds, as all options do that say nothing here.
            _ if self.hold(name, value).is_none() => {
                self.options.insert(format!("--{name}"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Lets an option's value hold, if it has a meaning here; an empty one is the default.
    fn hold(&mut self, name: &str, value: &str) -> Option<()> {
        let (holding, default) = (&mut self.holding, Holding::default());
        match (name, value) {
            ("mb", "") => holding.batch = default.batch,
            ("mb", _) => holding.batch = Some(value.parse().ok()?).filter(|&batch| batch > 0),
            ("dt", "") => holding.data_type = default.data_type,
            ("dt", _) => holding.data_type = DataType::from_name(value)?,
            ("dir", _) if self.forward => return None,
            ("dir", "") => holding.direction = default.direction,
            ("dir", _) => holding.direction = DIRECTIONS.iter().find(|(name, _)| *name == value)?.1,
            _ => return None,
        }
        Some(())
    }

    fn problem(&mut self, word: &Word, file: &Path) -> Outcome<()> {
        let parsed = descriptor::parse_list(&word.text).map_err(|error| {
            let column = word.column + error.column - 1;
            Failure::Refused(format!("{}:{}:{column}: {}", file.display(), word.line, error.error))
        })?;
        let Holding { batch, data_type, direction: Direction { propagation, bias_gradient } } = self.holding;
        for entry in parsed {
            let batch = batch.unwrap_or(entry.problem.batch);
            let problem = Problem { batch, data_type, propagation, ..entry.problem };
            self.entries.push(Listed { entry: of_some_image(changed(problem, entry)?)?, bias_gradient });
        }
        Ok(())
    }

    fn tell(&self, name: &str) {
        let mut notes = Vec::new();
        if !self.options.is_empty() {
            let options: Vec<_> = self.options.iter().map(String::as_str).collect();
            notes.push(format!("options that change no problem are passed over: {}", options.join(", ")));
        }
        for note in notes {
            // A closed stderr leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "convlow: note: {name}: {note}");
        }
    }
}

/// The words of a list. Blanks between quotation marks are part of a name.
fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut continued = false;
    for (line, text) in (1..).zip(text.lines()) {
        let mut rest = text;
        loop {
            rest = rest.trim_start();
            if rest.is_empty() || rest.starts_with('#') {
                break;
            }
            let column = text[..text.len() - rest.len()].chars().count() + 1;
            let mut quoted = false;
            let end = rest.find(|char: char| {
                quoted ^= char == '"';
                char.is_whitespace() && !quoted
            });
            let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
            rest = behind;
            let (word, goes_on) = word.strip_suffix('\\').map_or((word, false), |word| (word, true));
            match words.last_mut().filter(|_| continued) {
                Some(last) => last.text += word,
                // A backslash of its own joins the words before and behind it.
                None if word.is_empty() => {}
                None => words.push(Word { text: word.to_string(), line, column }),
            }
            continued = goes_on;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Reader {
        let mut reader = Reader::default();
        match reader.read(text, Path::new("list")) {
            Ok(()) => reader,
            Err(Failure::Refused(refusal)) => panic!("{text}: {refusal}"),
            Err(_) => panic!("{text} is refused"),
        }
    }

    fn texts(reader: &Reader) -> Vec<String> {
        reader
            .entries
            .iter()
            .map(|Listed { entry, .. }| format!("{} {}", entry.name, entry.problem))
            .collect()
    }

    /// The layers of the networks' definitions, repeated ones counted.
    #[test]
    fn the_known_networks_have_all_their_layers() {
        let layers = [
            ("alexnet", 5),
            ("c3d", 8),
            ("dcgan", 13),
            ("deeplab_v3", 60),
            ("efficientnet_b0", 81),
            ("googlenet", 57),
            ("inception_v3", 94),
            ("mobilenet_v1", 27),
            ("mobilenet_v2", 52),
            ("r2plus1d_18", 37),
            ("resnet50", 53),
            ("resnext50_32x4d", 53),
            ("unet", 19),
            ("unet3d", 18),
            ("unet_up", 8),
            ("vgg16", 13),
            ("wavenet_1d", 42),
            ("yolo_v3", 73),
        ];
        assert_eq!(layers.map(|(name, _)| name), KNOWN.map(|(name, _)| name));
        for (name, layers) in layers {
            let Ok(entries) = load(name) else { panic!("{name} is malformed") };
            assert_eq!(entries.iter().map(|listed| listed.entry.count).sum::<usize>(), layers, "{name}");
        }
        assert!(PAPER.iter().all(|paper| KNOWN.iter().any(|(name, _)| name == paper)));
    }

    #[test]
    fn a_list_of_benchdnn_gives_its_problems_and_the_options_passed_over() {
        let list = read(
            "--reset --dir=FWD_B,\\\n  BWD_D  # both\n--mb=2 g1ic3_ih9_oc4oh9_kh3ph1n\"a*2\" ic3ih9oc4kh3n\"b c\"\n\
             ic8id5ih5iw5oc8kd3kh3kw3nvolume\n--mb= mb3ic4ih5oc6kh1nwide --dt=f32 --mb=0\n",
        );
        assert_eq!(
            texts(&list),
            [
                "a mb2ic3ih9oc4oh9kh3ph1",
                "b c mb2ic3ih9oc4oh7kh3ph0",
                "volume mb2ic8id5ih5oc8od3oh3ow3kd3kh3sd1dd0pd0sh1sw1dh0dw0ph0",
                "wide mb3ic4ih5oc6oh5kh1ph0"
            ]
        );
        assert_eq!(list.entries[0].entry.count, 2);
        assert_eq!(Vec::from_iter(&list.options), ["--dir"]);
        let list = read("--dt=f64 ic3ih9oc4kh3 --dt=bf16 --mb=2 ic3ih9oc4kh3na --reset ic3ih9oc4kh3");
        let printed = "ic3ih9oc4oh7kh3ph0";
        let expected = [
            format!("{printed}:f64 {printed}:f64"),
            format!("a mb2{printed}:f64"),
            format!("{printed} {printed}"),
        ];
        assert_eq!(texts(&list), expected);
        assert_eq!(Vec::from_iter(&list.options), ["--dt"]);
    }

    #[test]
    fn a_list_of_benchdnn_says_what_is_computed() {
        let text = "--dir=BWD_D ic3ih9oc4kh3 --dir=BWD_W ic3ih9oc4kh3 --dir=BWD_WB --dir=BWD_X ic3ih9oc4kh3na --dir= \
                    ic3ih9oc4kh3 --dir=BWD_D ic3ih9oc4kh3 --dir=FWD_I ic3ih9oc4kh3 --dir=BWD_WB --reset ic3ih9oc4kh3";
        let list = read(text);
        let printed = "ic3ih9oc4oh7kh3ph0";
        let expected = [
            format!("{printed}:bwd_d {printed}:bwd_d"),
            format!("{printed}:bwd_w {printed}:bwd_w"),
            format!("a {printed}:bwd_w"),
            format!("{printed} {printed}"),
            format!("{printed}:bwd_d {printed}:bwd_d"),
            format!("{printed} {printed}"),
            format!("{printed} {printed}"),
        ];
        assert_eq!(texts(&list), expected);
        let with_bias: Vec<_> = list.entries.iter().map(|listed| listed.bias_gradient).collect();
        assert_eq!(with_bias, [false, false, true, false, false, false, false]);
        assert_eq!(Vec::from_iter(&list.options), ["--dir"]);
        let mut forward = Reader { forward: true, ..Reader::default() };
        assert!(forward.read(text, Path::new("list")).is_ok());
        assert!(forward.entries.iter().all(|listed| !listed.entry.problem.to_string().contains("bwd")));
        assert_eq!(Vec::from_iter(&forward.options), ["--dir"]);
    }

    #[test]
    fn a_word_goes_on_behind_a_backslash() {
        assert_eq!(texts(&read("ic3ih9\\\n   oc4kh3nname")), ["name ic3ih9oc4oh7kh3ph0"]);
        assert_eq!(texts(&read("ic3ih9 \\\n   oc4kh3nname \\\n")), ["name ic3ih9oc4oh7kh3ph0"]);
    }
}
