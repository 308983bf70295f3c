//! Arguments that the subcommands share, and how their values are read.

use std::ffi::CString;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use convlow::algorithms::{Entry, REGISTRY};
use convlow::gemm::BackendChoice;
use convlow::{AlgorithmChoice, DataType, Effort, Layout, Math, Options, Pool, Propagation};

use crate::outcome::Outcome;

/// What plans are made with.
#[derive(Args)]
pub(crate) struct PlanArguments {
    /// Threads; 0 stands for as many as this process may use
    #[arg(long, value_name = "N", default_value_t = 1)]
    threads: usize,
    /// The matrix multiplication
    #[arg(long, value_name = "GEMM", default_value = "auto", value_parser = gemm())]
    gemm: BackendChoice,
    /// The arithmetic: every product of the definition, or Winograd's too
    #[arg(long, value_enum, default_value_t = Arithmetic::Exact)]
    math: Arithmetic,
    /// Most bytes of workspace for a layer, as 65536, 64K or 1M
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    max_workspace: Option<usize>,
    /// Choose by measuring instead of by the cost model
    #[arg(long)]
    measure: bool,
}

/// What is computed.
#[derive(Args)]
pub(crate) struct PropagationArgument {
    /// What is computed: the output, or a gradient for training; without it the output, or what the lists say
    #[arg(long, value_name = "WHAT", value_parser = propagation())]
    pub(crate) propagation: Option<Propagation>,
}

/// Which arithmetic is allowed.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Arithmetic {
    Exact,
    Fast,
}

impl Arithmetic {
    pub(crate) fn math(self) -> Math {
        match self {
            Self::Exact => Math::Exact,
            Self::Fast => Math::Fast,
        }
    }
}

impl PlanArguments {
    /// The options, with their pool started.
    pub(crate) fn options(&self) -> Outcome<Options> {
        Ok(Options {
            effort: if self.measure { Effort::Measure } else { Effort::Estimate },
            gemm: self.gemm,
            math: self.math.math(),
            max_workspace_bytes: self.max_workspace.unwrap_or(usize::MAX),
            pool: Pool::new(self.threads)?,
            ..Options::default()
        })
    }
}

/// The options in a few words, for headings.
pub(crate) fn summary(options: &Options) -> String {
    let threads = threads(options.pool.threads());
    let gemm = gemm_name(options.gemm);
    let limit = match options.max_workspace_bytes {
        usize::MAX => String::new(),
        bytes => format!(", at most {} bytes of workspace", crate::table::grouped(bytes)),
    };
    format!("{threads}, gemm {gemm}{limit}")
}

/// A number of threads in words.
pub(crate) fn threads(number: usize) -> String {
    if number == 1 { "1 thread".to_string() } else { format!("{number} threads") }
}

/// The word for the arithmetic that a primitive needs.
pub(crate) fn math_name(entry: &Entry) -> &'static str {
    if entry.is_exact() { "exact" } else { "fast" }
}

pub(crate) fn gemm_name(choice: BackendChoice) -> &'static str {
    match choice {
        BackendChoice::Auto => "auto",
        BackendChoice::Blas => "blas",
        BackendChoice::Embedded => "embedded",
    }
}

pub(crate) fn data_type() -> impl TypedValueParser<Value = DataType> {
    PossibleValuesParser::new([DataType::F32, DataType::F64].map(DataType::name))
        .map(|name| DataType::from_name(&name).unwrap_or_default())
}

const PROPAGATIONS: [Propagation; 3] =
    [Propagation::Forward, Propagation::BackwardData, Propagation::BackwardWeights];

pub(crate) fn propagation_name(propagation: Propagation) -> &'static str {
    match propagation {
        Propagation::Forward => "forward",
        Propagation::BackwardData => "backward-data",
        Propagation::BackwardWeights => "backward-weights",
    }
}

pub(crate) fn propagation_from_name(name: &str) -> Option<Propagation> {
    PROPAGATIONS.into_iter().find(|&propagation| propagation_name(propagation) == name)
}

fn propagation() -> impl TypedValueParser<Value = Propagation> {
    PossibleValuesParser::new(PROPAGATIONS.map(propagation_name))
        .map(|name| propagation_from_name(&name).unwrap_or_default())
}

pub(crate) fn layout() -> impl TypedValueParser<Value = Layout> {
    PossibleValuesParser::new([Layout::Nchw, Layout::Nhwc].map(Layout::name))
        .map(|name| if name == Layout::Nchw.name() { Layout::Nchw } else { Layout::Nhwc })
}

pub(crate) fn gemm() -> impl TypedValueParser<Value = BackendChoice> {
    const ALL: [BackendChoice; 3] = [BackendChoice::Auto, BackendChoice::Blas, BackendChoice::Embedded];
    PossibleValuesParser::new(ALL.map(gemm_name))
        .map(|name| ALL.into_iter().find(|&choice| gemm_name(choice) == name).unwrap_or(BackendChoice::Auto))
}

pub(crate) fn algorithm() -> impl TypedValueParser<Value = AlgorithmChoice> {
    let names = ["auto"].into_iter().chain(REGISTRY.iter().map(Entry::name));
    PossibleValuesParser::new(names).map(|name| {
        let entry = CString::new(name).ok().and_then(|name| Entry::by_name(&name));
        entry.map_or(AlgorithmChoice::Auto, AlgorithmChoice::One)
    })
}

pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.find(|char: char| !char.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, ""),
    };
    let factor: usize = match unit.to_ascii_uppercase().as_str() {
        "" => 1,
        "K" | "KIB" => 1 << 10,
        "M" | "MIB" => 1 << 20,
        "G" | "GIB" => 1 << 30,
        _ => return Err("expected a number of bytes, as 65536, 64K, 1M or 1G".to_string()),
    };
    let number: usize =
        digits.parse().map_err(|_| "expected a number of bytes, as 65536, 64K, 1M or 1G".to_string())?;
    number.checked_mul(factor).ok_or_else(|| "more bytes than can be addressed".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_binary_suffixes() {
        assert_eq!(bytes("0"), Ok(0));
        assert_eq!(bytes("65536"), Ok(65536));
        assert_eq!(bytes("64K"), Ok(65536));
        assert_eq!(bytes("1m"), Ok(1 << 20));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        for text in ["", "K", "64Q", "-1", "1.5M", "64 K", "99999999999G", "99999999999999999999"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
