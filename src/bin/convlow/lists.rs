//! The convolutions of known networks, and lists from files.

use std::path::Path;

use convlow::descriptor::{self, Entry};

use crate::{Failure, Outcome};

const KNOWN: [(&str, &str); 4] = [
    ("alexnet", include_str!("../../../problems/alexnet.txt")),
    ("googlenet", include_str!("../../../problems/googlenet.txt")),
    ("resnet50", include_str!("../../../problems/resnet50.txt")),
    ("vgg16", include_str!("../../../problems/vgg16.txt")),
];

/// The list of this name, or the one in the file of this name.
pub(crate) fn load(name_or_file: &str) -> Outcome<Vec<Entry>> {
    let from_file;
    let text = match KNOWN.iter().find(|(name, _)| *name == name_or_file) {
        Some((_, text)) => *text,
        None => {
            from_file = read(name_or_file)?;
            &from_file
        }
    };
    let entries = descriptor::parse_list(text).map_err(|error| {
        Failure::Refused(format!("{name_or_file}:{}:{}: {}", error.line, error.column, error.error))
    })?;
    if entries.is_empty() {
        return Err(Failure::Refused(format!("{name_or_file} holds no problem")));
    }
    Ok(entries)
}

fn read(file: &str) -> Outcome<String> {
    std::fs::read_to_string(file).map_err(|error| {
        let known = KNOWN.map(|(name, _)| name).join(", ");
        let hint = if Path::new(file).exists() {
            String::new()
        } else {
            format!(" (the networks that need no file are {known})")
        };
        Failure::Refused(format!("{file} cannot be read: {error}{hint}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layers of the networks' definitions, repeated ones counted.
    #[test]
    fn the_known_networks_have_all_their_layers() {
        for (name, layers) in [("alexnet", 5), ("googlenet", 57), ("resnet50", 53), ("vgg16", 13)] {
            let Ok(entries) = load(name) else { panic!("{name} is malformed") };
            assert_eq!(entries.iter().map(|entry| entry.count).sum::<usize>(), layers, "{name}");
        }
    }
}
