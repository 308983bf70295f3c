//! The options of a session: the entries `ep.convlow.*` of its configuration.

use std::ffi::CStr;

use convlow::Math;

use crate::host::Failure;

/// The provider's name: options are entries `ep.convlow.*`.
pub const NAME: &CStr = c"convlow";

/// The options of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// `math`: `exact`, or `fast` for Winograd where it is quicker.
    pub fast: bool,
    /// `max_workspace_bytes`: the most memory of a layer beside its tensors and packed weights.
    pub max_workspace_bytes: usize,
    /// `threads`: so many of convlow's own; 0 for ONNX Runtime's.
    pub threads: usize,
    /// `intra_op_threads`: how many ONNX Runtime's are, where the session says so; 0 for as many as there are cores.
    pub intra_op_threads: usize,
    /// `min_macs`: layers of fewer multiplications are left to ONNX Runtime.
    pub min_macs: usize,
    /// `verbose`: whether the log names each node and its provider at every level.
    pub verbose: bool,
    /// `id`: a name under which the library answers for the session.
    pub id: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fast: false,
            max_workspace_bytes: usize::MAX,
            threads: 0,
            intra_op_threads: 0,
            min_macs: 0,
            verbose: false,
            id: String::new(),
        }
    }
}

/// All options, in the words of a refusal.
const THERE_IS: &str = "math (exact or fast), max_workspace_bytes, threads, intra_op_threads, min_macs (numbers), \
    verbose (0 or 1) and id";

impl Options {
    /// The prefix of all entries.
    pub const PREFIX: &'static str = "ep.convlow.";

    /// Those of a configuration's entries that begin with the prefix.
    ///
    /// # Errors
    /// An unknown name or value, with all options.
    pub fn of(entries: impl IntoIterator<Item = (String, String)>) -> Result<Self, Failure> {
        let mut options = Self::default();
        for (key, value) in entries {
            if let Some(name) = key.strip_prefix(Self::PREFIX) {
                options.set(name, &value)?;
            }
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let refused = || Failure(format!("convlow has no option {name} = {value}: there are {THERE_IS}"));
        let number = || value.parse::<usize>().map_err(|_| refused());
        match (name, value) {
            ("math", "exact") => self.fast = false,
            ("math", "fast") => self.fast = true,
            ("max_workspace_bytes", _) => self.max_workspace_bytes = number()?,
            ("threads", _) => self.threads = number()?,
            ("intra_op_threads", _) => self.intra_op_threads = number()?,
            ("min_macs", _) => self.min_macs = number()?,
            ("verbose", "0") => self.verbose = false,
            ("verbose", "1") => self.verbose = true,
            ("id", _) => self.id = value.to_string(),
            _ => return Err(refused()),
        }
        Ok(())
    }

    /// The arithmetic.
    pub fn math(&self) -> Math {
        if self.fast { Math::Fast } else { Math::Exact }
    }

    /// Threads that compute a layer.
    pub fn threads_of_layer(&self) -> usize {
        match (self.threads, self.intra_op_threads) {
            (0, 0) => std::thread::available_parallelism().map_or(1, usize::from),
            (0, of_host) => of_host,
            (own, _) => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[(&str, &str)]) -> Result<Options, Failure> {
        Options::of(entries.iter().map(|(key, value)| (key.to_string(), value.to_string())))
    }

    #[test]
    fn entries_of_others_are_no_options() {
        assert_eq!(
            of(&[("session.x", "1"), ("ep.other.math", "?")]).expect("none of convlow's"),
            Options::default()
        );
    }

    #[test]
    fn what_is_unknown_is_refused_with_what_there_is() {
        for (name, value) in [("maths", "fast"), ("math", "quick"), ("threads", "-1"), ("verbose", "yes")] {
            let key = format!("{}{name}", Options::PREFIX);
            let Err(Failure(text)) = of(&[(&key, value)]) else { panic!("{name} = {value} is taken") };
            assert!(text.contains(&format!("{name} = {value}")) && text.contains("exact or fast"), "{text}");
        }
    }

    #[test]
    fn every_option_is_taken() {
        let options = of(&[
            ("ep.convlow.math", "fast"),
            ("ep.convlow.max_workspace_bytes", "2097152"),
            ("ep.convlow.threads", "3"),
            ("ep.convlow.min_macs", "1000"),
            ("ep.convlow.verbose", "1"),
            ("ep.convlow.id", "7"),
        ])
        .expect("all are known");
        assert!(options.fast && options.verbose && options.threads_of_layer() == 3);
        assert_eq!((options.max_workspace_bytes, options.min_macs), (2 << 20, 1000));
    }
}
