//! Pairs of layouts that a command is asked about.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use convlow::Layout;

use crate::options;

/// Layouts of input and output.
pub(crate) type Pair = (Layout, Layout);

/// The arguments that say which pairs are asked about.
#[derive(Args)]
pub(crate) struct LayoutArguments {
    /// Layout of input and output; any stands for all pairs of layouts
    #[arg(long, value_name = "LAYOUT", default_value = ANY, value_parser = layout_or_any(),
          conflicts_with_all = ["src_layout", "dst_layout"])]
    layout: Choice,
    /// Layout of the input
    #[arg(long, value_name = "LAYOUT", value_parser = options::layout())]
    src_layout: Option<Layout>,
    /// Layout of the output
    #[arg(long, value_name = "LAYOUT", value_parser = options::layout())]
    dst_layout: Option<Layout>,
}

const ANY: &str = "any";

#[derive(Clone, Copy)]
enum Choice {
    Any,
    One(Layout),
}

impl LayoutArguments {
    pub(crate) fn pairs(&self) -> Vec<Pair> {
        let both = match self.layout {
            Choice::Any => None,
            Choice::One(layout) => Some(layout),
        };
        let (src, dst) = (self.src_layout.or(both), self.dst_layout.or(both));
        let asked = |pair: &Pair| src.is_none_or(|src| src == pair.0) && dst.is_none_or(|dst| dst == pair.1);
        Layout::PAIRS.into_iter().filter(asked).collect()
    }
}

fn layout_or_any() -> impl TypedValueParser<Value = Choice> {
    const BOTH: [Layout; 2] = [Layout::Nchw, Layout::Nhwc];
    PossibleValuesParser::new(BOTH.map(Layout::name).into_iter().chain([ANY]))
        .map(|name| BOTH.into_iter().find(|layout| layout.name() == name).map_or(Choice::Any, Choice::One))
}

pub(crate) fn pair_name((src, dst): Pair) -> String {
    format!("{}>{}", src.name(), dst.name())
}
