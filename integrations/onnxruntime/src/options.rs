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
    /// `max_packed_weights_bytes`: with fast math, the most memory of the packed weights of all layers together.
    pub max_packed_weights_bytes: usize,
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
            max_packed_weights_bytes: usize::MAX,
            threads: 0,
            intra_op_threads: 0,
            min_macs: 0,
            verbose: false,
            id: String::new(),
        }
    }
}

/// All options, in the words of a refusal.
const THERE_ARE: &str = "math, max_workspace_bytes, max_packed_weights_bytes, threads, intra_op_threads, min_macs, verbose \
    and id";

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
        let refused = |what: &str| Err(Failure(format!("convlow: {name} = {value} is not {what}")));
        let number = |to: &mut usize| match value.parse() {
            Ok(number) => {
                *to = number;
                Ok(())
            }
            Err(_) => refused("a whole number from 0 on"),
        };
        match name {
            "math" => match value {
                "exact" => self.fast = false,
                "fast" => self.fast = true,
                _ => return refused("exact or fast"),
            },
            "max_workspace_bytes" => number(&mut self.max_workspace_bytes)?,
            "max_packed_weights_bytes" => number(&mut self.max_packed_weights_bytes)?,
            "threads" => number(&mut self.threads)?,
            "intra_op_threads" => number(&mut self.intra_op_threads)?,
            "min_macs" => number(&mut self.min_macs)?,
            "verbose" => match value {
                "0" => self.verbose = false,
                "1" => self.verbose = true,
                _ => return refused("0 or 1"),
            },
            "id" => self.id = value.to_string(),
            _ => return Err(Failure(format!("convlow has no option {name}: there are {THERE_ARE}"))),
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
        let refusal = |name: &str, value: &str| {
            let key = format!("{}{name}", Options::PREFIX);
            let Err(Failure(text)) = of(&[(&key, value)]) else { panic!("{name} = {value} is taken") };
            text
        };
        assert!(refusal("maths", "fast").contains("no option maths: there are math, max_workspace_bytes"));
        assert!(refusal("math", "quick").contains("math = quick is not exact or fast"));
        assert!(refusal("threads", "-1").contains("threads = -1 is not a whole number from 0 on"));
        assert!(refusal("verbose", "yes").contains("verbose = yes is not 0 or 1"));
    }

    #[test]
    fn every_option_is_taken() {
        let options = of(&[
            ("ep.convlow.math", "fast"),
            ("ep.convlow.max_workspace_bytes", "2097152"),
            ("ep.convlow.max_packed_weights_bytes", "4096"),
            ("ep.convlow.threads", "3"),
            ("ep.convlow.min_macs", "1000"),
            ("ep.convlow.verbose", "1"),
            ("ep.convlow.id", "7"),
        ])
        .expect("all are known");
        assert!(options.fast && options.verbose && options.threads_of_layer() == 3);
        assert_eq!((options.max_workspace_bytes, options.min_macs), (2 << 20, 1000));
        assert_eq!(options.max_packed_weights_bytes, 4096);
    }
}
