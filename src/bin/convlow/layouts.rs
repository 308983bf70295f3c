//! Pairs of layouts: which a command is asked about, and which a primitive works on.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use convlow::{Axis, Layout, Problem, WeightsLayout, algorithms};

use crate::options;

/// Layouts of input and output.
pub(crate) type Pair = (Layout, Layout);

pub(crate) const PAIRS: [Pair; 4] = [
    (Layout::Nchw, Layout::Nchw),
    (Layout::Nchw, Layout::Nhwc),
    (Layout::Nhwc, Layout::Nchw),
    (Layout::Nhwc, Layout::Nhwc),
];

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
        PAIRS.into_iter().filter(asked).collect()
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

/// Whether the primitive works on these layouts, whatever else it needs: a single product has the rest.
pub(crate) fn takes_layouts(entry: &algorithms::Entry, (src_layout, dst_layout): Pair) -> bool {
    // A single output, under the kernels that some algorithms are made for.
    [1, 3, 5].into_iter().any(|kernel| {
        let single = Problem::new(Problem {
            batch: 1,
            in_channels: 1,
            out_channels: 1,
            groups: 1,
            rows: Axis::dense(kernel, kernel),
            cols: Axis::dense(kernel, kernel),
            src_layout,
            dst_layout,
            weights_layout: WeightsLayout::Oihw,
            clamp: None,
            accumulate: false,
        });
        single.is_ok_and(|single| entry.algorithm.applicable(&single).is_ok())
    })
}
