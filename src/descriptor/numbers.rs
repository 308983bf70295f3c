//! The keys of an entry, and the numbers behind them.

use std::fmt;

use super::mistake::{Mistake, wrong};

const KEYS: [&str; 30] = [
    "mb", "g", "ic", "id", "ih", "iw", "oc", "od", "oh", "ow", "kd", "kh", "kw", "sd", "sh", "sw", "dd",
    "dh", "dw", "pd", "ph", "pw", "pk", "pb", "pr", "tr", "sc", "sb", "dc", "db",
];

/// All keys, to be printed.
struct Keys;

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, others @ ..] = KEYS;
        f.write_str(first)?;
        others.iter().try_for_each(|key| write!(f, ", {key}"))
    }
}

/// The numbers of one entry, in the order of [`KEYS`].
#[derive(Clone, Copy, Default)]
pub(super) struct Numbers([Option<usize>; KEYS.len()]);

impl Numbers {
    pub(super) fn place(&mut self, key: &str) -> &mut Option<usize> {
        let index = KEYS.iter().position(|name| *name == key);
        &mut self.0[index.expect("a key of the syntax")]
    }

    pub(super) fn get(&self, key: &str) -> Option<usize> {
        KEYS.iter().zip(self.0).find(|(name, _)| **name == key).and_then(|(_, value)| value)
    }

    /// What is given for depth, height and width, or copied from another of them.
    pub(super) fn all(&self, keys: [&str; 3]) -> [Option<usize>; 3] {
        let [d, h, w] = keys.map(|key| self.get(key));
        let (d, h, w) = (d.or(h).or(w), h.or(w).or(d), w.or(h).or(d));
        [d, h, w]
    }

    /// Whether any key of depth is given.
    pub(super) fn has_depth(&self) -> bool {
        ["id", "od", "kd", "sd", "dd", "pd", "pk"].iter().any(|key| self.get(key).is_some())
    }
}

/// The numbers of an entry, and the byte where its name begins, if it has one.
pub(super) fn numbers_of(text: &str) -> Result<(Numbers, Option<usize>), Mistake> {
    let mut numbers = Numbers::default();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with('_') {
            at += 1; // benchdnn allows underscores between keys.
        } else if rest.starts_with('n') {
            return Ok((numbers, Some(at + 1)));
        } else if let Some(&key) = KEYS.iter().find(|key| rest.starts_with(**key)) {
            let digits = rest[key.len()..].bytes().take_while(u8::is_ascii_digit).count();
            let value = &rest[key.len()..key.len() + digits];
            if digits == 0 {
                return wrong(at + key.len(), format_args!("expected a number behind {key}"));
            }
            let Ok(value) = value.parse() else {
                return wrong(at + key.len(), format_args!("{key} = {value} does not fit size_t"));
            };
            if numbers.place(key).replace(value).is_some() {
                return wrong(at, format_args!("{key} is given twice"));
            }
            at += key.len() + digits;
        } else {
            return wrong(at, format_args!("expected one of {Keys}, or n and a name, found {rest:?}"));
        }
    }
    Ok((numbers, None))
}
