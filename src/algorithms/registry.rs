//! The registry of all algorithms.
//!
//! A new algorithm is one module beside this one, and one line in [`REGISTRY`]. Planner, C query, tests, benchmarks
//! and the tables of the documentation read its [`Entry`].

use std::ffi::CStr;

#[cfg(feature = "training")]
use super::algorithm::ReadyGradient;
use super::algorithm::{Algorithm, Declined, Limits, Ready, Reason, require};
#[cfg(feature = "mec")]
use super::by_gemm::Mec;
#[cfg(feature = "gemm")]
use super::by_gemm::{
    Conv1x1,
    Fill::{CopyLong, CopySelf, CopyShort, Scan},
    Form::{AbIk, AbKi, AbtIk, AbtKi, AtbIk, AtbKi, AtbtIk, AtbtKi},
    Im2col, Im2row, Kn2, Kn2rowAa, Kn2rowFlat, Kn2rowFold, Kn2rowTiled,
};
#[cfg(all(feature = "training", feature = "gemm"))]
use super::by_gemm::{GradientKn2row, GradientPatches};
use super::depthwise_register::DepthwiseRegister;
use super::direct::DirectSum2d;
#[cfg(feature = "training")]
use super::gradient::{GradientAlgorithm, GradientRegister};
use super::im2col_register::Im2colRegister;
use super::kn2col_register::Kn2colRegister;
use super::kn2row_register::Kn2rowRegister;
#[cfg(feature = "winograd")]
use super::winograd::Winograd;
use crate::computed::Computed;
use crate::problem::Layout::{Nchw, Nhwc};
use crate::problem::{Kind, Layout, Problem, Propagation};

/// What computes an algorithm's products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Products {
    /// A GEMM.
    Gemm,
    /// The library's own kernels, made for convolution.
    Kernels,
    /// Those kernels, or a GEMM that is asked for by name.
    Either,
    /// Plain loops.
    Direct,
}

/// A registered algorithm.
pub struct Entry {
    /// Its number in the C surface: never reused, never changed.
    pub id: i32,
    /// The name its authors gave it.
    pub name: &'static CStr,
    /// The family in the tables.
    pub family: &'static str,
    /// Its extra space in elements, per image and group, in the letters of the notation.
    pub space: &'static str,
    /// The order of that space as the paper (arXiv 1709.03395) states it; none for what is not one of its primitives.
    pub order: Option<&'static str>,
    /// Whether that space is of a part of the image, whatever the image's size, or there is none.
    pub in_parts: bool,
    /// The layouts of src and dst that it works on.
    pub layouts: &'static [(Layout, Layout)],
    /// The kinds of problem that it computes beside the plain one.
    pub kinds: &'static [Kind],
    /// What computes its products.
    pub products: Products,
    /// What it errs by at most in float32, as a share of the largest output, on values as networks have them, and
    /// 2⁻²⁹ of it in float64; none where every product of the definition is formed. What has such an error needs
    /// `MATH_FAST`.
    pub stated_error: Option<f64>,
    computes: Computes,
}

/// What a registered algorithm computes.
enum Computes {
    /// Convolutions, and gradients of the data, which are convolutions, too.
    Convolution(&'static dyn Algorithm),
    /// Gradients of the weights.
    #[cfg(feature = "training")]
    Weights(&'static dyn GradientAlgorithm),
}

impl Entry {
    /// The name as text.
    pub fn name(&self) -> &'static str {
        self.name.to_str().expect("registered names are ASCII")
    }

    /// The entry with this id.
    pub fn by_id(id: i32) -> Option<&'static Entry> {
        REGISTRY.iter().find(|entry| entry.id == id)
    }

    /// The entry with this name.
    pub fn by_name(name: &CStr) -> Option<&'static Entry> {
        REGISTRY.iter().find(|entry| entry.name == name)
    }

    /// Whether every product of the definition is formed.
    pub fn is_exact(&self) -> bool {
        self.stated_error.is_none()
    }

    /// Whether it works on these layouts of src and dst.
    pub fn takes_layouts(&self, layouts: (Layout, Layout)) -> bool {
        self.layouts.contains(&layouts)
    }

    /// Whether it computes gradients of weights, and nothing else.
    pub fn computes_weights(&self) -> bool {
        !matches!(self.computes, Computes::Convolution(_))
    }

    /// Refuses what the entry does not name, here and nowhere else.
    fn require_named(&self, problem: &Problem) -> Result<(), Declined> {
        require(self.takes_layouts((problem.src_layout, problem.dst_layout)), self.other_layouts())?;
        for kind in Kind::ALL {
            require(!problem.is(kind) || self.kinds.contains(&kind), other_kind(kind))?;
        }
        // What computes everything goes through the outputs.
        let goes_through_outputs = self.kinds.len() == Kind::ALL.len();
        require(
            goes_through_outputs || !problem.leaves_out_windows(),
            c"needs an output_padding under the stride",
        )
    }

    /// The algorithm made ready for a convolution, or why it does not compute it.
    pub(crate) fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn Ready>, Declined> {
        require(problem.propagation != Propagation::BackwardWeights, c"computes no gradient of the weights")?;
        match self.computes {
            Computes::Convolution(algorithm) => {
                self.require_named(problem)?;
                algorithm.prepare(problem, limits)
            }
            #[cfg(feature = "training")]
            Computes::Weights(_) => Err(Declined::Unsupported(c"computes the gradient of the weights alone")),
        }
    }

    /// The same for the gradient of a problem's weights.
    #[cfg(feature = "training")]
    pub(crate) fn prepare_gradient(
        &self,
        problem: &Problem,
        limits: Limits,
    ) -> Result<Box<dyn ReadyGradient>, Declined> {
        let Computes::Weights(algorithm) = self.computes else {
            return Err(Declined::Unsupported(c"computes no gradient of the weights"));
        };
        self.require_named(problem)?;
        algorithm.prepare(problem, limits)
    }

    /// Whether it computes a problem, with as much workspace as it likes.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&self, problem: &Problem) -> Result<(), Declined> {
        let limits = Limits::new(1, usize::MAX);
        #[cfg(feature = "training")]
        if problem.propagation == Propagation::BackwardWeights {
            return self.prepare_gradient(problem, limits).map(drop);
        }
        let Computed { problem, .. } = Computed::new(problem);
        self.prepare(&problem, limits).map(drop)
    }

    fn other_layouts(&self) -> Reason {
        match self.layouts {
            [(Nchw, Nchw)] => c"needs src_layout NCHW and dst_layout NCHW",
            [(Nchw, Nhwc)] => c"needs src_layout NCHW and dst_layout NHWC",
            [(Nhwc, Nchw)] => c"needs src_layout NHWC and dst_layout NCHW",
            [(Nhwc, Nhwc)] => c"needs src_layout NHWC and dst_layout NHWC",
            [(Nchw, Nchw), (Nchw, Nhwc), (Nhwc, Nhwc)] => c"needs src_layout NCHW or dst_layout NHWC",
            _ => c"needs other layouts of src and dst",
        }
    }
}

/// Why an algorithm that does not name this kind of problem refuses it.
fn other_kind(kind: Kind) -> Reason {
    match kind {
        Kind::Grouped => c"needs groups = 1",
        Kind::Transposed => c"needs operation = CONV",
        Kind::Volume => c"needs one or two dimensions",
        Kind::Strided => c"needs packed tensors",
        Kind::Float64 => c"needs type = F32",
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name(), self.id)
    }
}

type Layouts = &'static [(Layout, Layout)];
const ANY: Layouts = &Layout::PAIRS;
const NCHW: Layouts = &[(Nchw, Nchw)];
const FROM_NCHW_OR_TO_NHWC: Layouts = &[(Nchw, Nchw), (Nchw, Nhwc), (Nhwc, Nhwc)];
#[cfg(feature = "gemm")]
const NCHW_TO_NHWC: Layouts = &[(Nchw, Nhwc)];
#[cfg(feature = "gemm")]
const NHWC_TO_NCHW: Layouts = &[(Nhwc, Nchw)];
#[cfg(feature = "gemm")]
const NHWC: Layouts = &[(Nhwc, Nhwc)];

/// One group after the other, on slices and in float64, too.
#[cfg(any(feature = "gemm", feature = "winograd"))]
const GROUPED: &[Kind] = &[Kind::Grouped, Kind::Strided, Kind::Float64];
/// The same in three dimensions.
const SPATIAL: &[Kind] = &[Kind::Grouped, Kind::Volume, Kind::Strided, Kind::Float64];
const EVERY: &[Kind] = &Kind::ALL;
/// What is grouped, and transposed convolutions, too.
#[cfg(feature = "gemm")]
const SPREAD: &[Kind] = &[Kind::Grouped, Kind::Transposed, Kind::Strided, Kind::Float64];

/// Writes the registry: what a family has in common, behind `if` the features of builds that have it, and a line for
/// each of its algorithms with id, name, layouts and, of those that are not exact, the stated error.
macro_rules! registry {
    (@error) => { None };
    (@error $error:literal) => { Some($error) };
    ($($family:literal
        { computes $computes:ident, space $space:literal, order $order:expr, in_parts $parts:literal, kinds $kinds:ident, products $products:ident, if $built:meta }
        { $($id:literal $name:literal $layouts:ident $algorithm:expr $(=> $error:literal)?,)+ }
    )+) => {
        /// Every algorithm, in the order of the documentation's table.
        pub static REGISTRY: &[Entry] = &[$($(#[cfg($built)] Entry {
            id: $id,
            name: $name,
            family: $family,
            space: $space,
            order: $order,
            in_parts: $parts,
            layouts: $layouts,
            kinds: $kinds,
            products: Products::$products,
            stated_error: registry!(@error $($error)?),
            computes: Computes::$computes(&$algorithm),
        },)+)+];
    };
}

registry! {
    "direct" { computes Convolution, space "0", order Some("0"), in_parts true, kinds EVERY, products Direct, if all() }
    {
        1 c"direct-sum2d" ANY DirectSum2d,
    }
    "im2col" { computes Convolution, space "C·Kh·Kw·OH·OW", order Some("O(K²CHW)"), in_parts false, kinds SPATIAL, products Gemm, if feature = "gemm" }
    {
        2 c"im2col-scan-ab-ki" NCHW Im2col(Scan, AbKi),
        3 c"im2col-scan-atb-ki" NCHW Im2col(Scan, AtbKi),
        4 c"im2col-scan-atb-ik" NCHW_TO_NHWC Im2col(Scan, AtbIk),
        5 c"im2col-scan-atbt-ik" NCHW_TO_NHWC Im2col(Scan, AtbtIk),
        6 c"im2col-copy-short-ab-ki" NCHW Im2col(CopyShort, AbKi),
        7 c"im2col-copy-short-atb-ki" NCHW Im2col(CopyShort, AtbKi),
        8 c"im2col-copy-short-atb-ik" NCHW_TO_NHWC Im2col(CopyShort, AtbIk),
        9 c"im2col-copy-short-atbt-ik" NCHW_TO_NHWC Im2col(CopyShort, AtbtIk),
        10 c"im2col-copy-long-ab-ki" NCHW Im2col(CopyLong, AbKi),
        11 c"im2col-copy-long-atb-ki" NCHW Im2col(CopyLong, AtbKi),
        12 c"im2col-copy-long-atb-ik" NCHW_TO_NHWC Im2col(CopyLong, AtbIk),
        13 c"im2col-copy-long-atbt-ik" NCHW_TO_NHWC Im2col(CopyLong, AtbtIk),
        14 c"im2col-copy-self-ab-ki" NCHW Im2col(CopySelf, AbKi),
        15 c"im2col-copy-self-atb-ki" NCHW Im2col(CopySelf, AtbKi),
        16 c"im2col-copy-self-atb-ik" NCHW_TO_NHWC Im2col(CopySelf, AtbIk),
        17 c"im2col-copy-self-atbt-ik" NCHW_TO_NHWC Im2col(CopySelf, AtbtIk),
    }
    "im2row" { computes Convolution, space "C·Kh·Kw·OH·OW", order Some("O(K²CHW)"), in_parts false, kinds SPATIAL, products Gemm, if feature = "gemm" }
    {
        18 c"im2row-scan-ab-ik" NCHW_TO_NHWC Im2row::Scan(AbIk),
        19 c"im2row-scan-abt-ik" NCHW_TO_NHWC Im2row::Scan(AbtIk),
        20 c"im2row-scan-abt-ki" NCHW Im2row::Scan(AbtKi),
        21 c"im2row-scan-atbt-ki" NCHW Im2row::Scan(AtbtKi),
        22 c"im2row-copy-short-ab-ik" NHWC Im2row::CopyShort(AbIk),
        23 c"im2row-copy-short-abt-ik" NHWC Im2row::CopyShort(AbtIk),
        24 c"im2row-copy-short-abt-ki" NHWC_TO_NCHW Im2row::CopyShort(AbtKi),
        25 c"im2row-copy-short-atbt-ki" NHWC_TO_NCHW Im2row::CopyShort(AtbtKi),
    }
    "mec" { computes Convolution, space "Kw·C·H·OW", order Some("O(KCHW)"), in_parts false, kinds GROUPED, products Gemm, if feature = "mec" }
    {
        26 c"mec-row-partition" NHWC Mec::RowPartition,
        27 c"mec-col" NHWC Mec::Col,
    }
    "kn2" { computes Convolution, space "Kh·Kw·M·H·W", order Some("O(K²MHW)"), in_parts false, kinds EVERY, products Gemm, if feature = "gemm" }
    {
        28 c"kn2row" NHWC_TO_NCHW Kn2::Row,
        29 c"kn2col" NHWC_TO_NCHW Kn2::Col,
    }
    "kn2-as" { computes Convolution, space "M·H·W", order Some("O(MHW)"), in_parts false, kinds EVERY, products Gemm, if feature = "gemm" }
    {
        30 c"kn2row-as" NCHW Kn2::RowAs,
        31 c"kn2col-as" NHWC_TO_NCHW Kn2::ColAs,
    }
    "kn2-aa" { computes Convolution, space "Kw/2·M·rows of a strip", order Some("O(KW)"), in_parts true, kinds GROUPED, products Gemm, if feature = "gemm" }
    {
        32 c"kn2row-aa-ab" NCHW Kn2rowAa(AbKi),
        33 c"kn2row-aa-atb" NCHW Kn2rowAa(AtbKi),
        34 c"kn2row-aa-abt" NHWC_TO_NCHW Kn2rowAa(AbtKi),
        35 c"kn2row-aa-atbt" NHWC_TO_NCHW Kn2rowAa(AtbtKi),
    }
    "conv-1x1" { computes Convolution, space "0", order Some("0"), in_parts true, kinds SPATIAL, products Gemm, if feature = "gemm" }
    {
        36 c"conv-1x1-gemm-ab-ik" NHWC Conv1x1(AbIk),
        37 c"conv-1x1-gemm-abt-ik" NHWC Conv1x1(AbtIk),
        38 c"conv-1x1-gemm-abt-ki" NHWC_TO_NCHW Conv1x1(AbtKi),
        39 c"conv-1x1-gemm-atbt-ki" NHWC_TO_NCHW Conv1x1(AtbtKi),
        40 c"conv-1x1-gemm-atb-ik" NCHW_TO_NHWC Conv1x1(AtbIk),
        41 c"conv-1x1-gemm-atbt-ik" NCHW_TO_NHWC Conv1x1(AtbtIk),
        42 c"conv-1x1-gemm-ab-ki" NCHW Conv1x1(AbKi),
        43 c"conv-1x1-gemm-atb-ki" NCHW Conv1x1(AtbKi),
    }
    "col2im" { computes Convolution, space "Kh·Kw·M·H·W", order None, in_parts false, kinds EVERY, products Gemm, if feature = "gemm" }
    {
        63 c"col2im" NCHW Kn2::Row,
        64 c"row2im" NHWC Kn2::Col,
    }
    "tiled" { computes Convolution, space "0", order None, in_parts true, kinds SPREAD, products Gemm, if feature = "gemm" }
    {
        44 c"kn2row-tiled" NHWC Kn2rowTiled,
    }
    "flat" { computes Convolution, space "Kw/2·R·Mb", order None, in_parts true, kinds GROUPED, products Gemm, if feature = "gemm" }
    {
        45 c"kn2row-flat" NHWC Kn2rowFlat,
    }
    "folded" { computes Convolution, space "Kw·C·OW·(R·s+Kh)", order None, in_parts true, kinds GROUPED, products Gemm, if feature = "gemm" }
    {
        49 c"kn2row-fold" ANY Kn2rowFold,
    }
    "register" { computes Convolution, space "0 or W·R·Cd", order None, in_parts true, kinds EVERY, products Kernels, if all() }
    {
        55 c"kn2row-register" ANY Kn2rowRegister,
    }
    "spread" { computes Convolution, space "0 or W·R·Cd+M·T", order None, in_parts true, kinds EVERY, products Kernels, if all() }
    {
        58 c"kn2col-register" FROM_NCHW_OR_TO_NHWC Kn2colRegister,
    }
    "depthwise" { computes Convolution, space "0 or W·R·Cd", order None, in_parts true, kinds EVERY, products Kernels, if all() }
    {
        57 c"depthwise-register" ANY DepthwiseRegister,
    }
    "patches" { computes Convolution, space "C·Kh·Kw·T", order None, in_parts true, kinds SPATIAL, products Kernels, if all() }
    {
        56 c"im2col-register" NCHW Im2colRegister,
    }
    "winograd" { computes Convolution, space "α²·T·(Cb+Mb)", order None, in_parts true, kinds GROUPED, products Either, if feature = "winograd" }
    {
        50 c"winograd-strip-2x2-3x3" ANY Winograd::<4, 3> => 2e-6,
        51 c"winograd-strip-4x4-3x3" ANY Winograd::<6, 3> => 5e-6,
        52 c"winograd-strip-6x6-3x3" ANY Winograd::<8, 3> => 4e-5,
        53 c"winograd-strip-2x2-5x5" ANY Winograd::<6, 5> => 5e-6,
        54 c"winograd-strip-4x4-5x5" ANY Winograd::<8, 5> => 2e-5,
    }
    "weight gradient" { computes Weights, space "(T·Cb+1)·Mb+P·Mb+W·Cb", order None, in_parts true, kinds EVERY, products Kernels, if feature = "training" }
    {
        59 c"gradient-register" ANY GradientRegister,
    }
    "weight gradient by taps" { computes Weights, space "0 or P·Cb+Cb·Mb", order None, in_parts true, kinds EVERY, products Gemm, if all(feature = "training", feature = "gemm") }
    {
        60 c"gradient-kn2row" ANY GradientKn2row,
    }
    "weight gradient by patches" { computes Weights, space "C·Kh·Kw·OH·OW", order None, in_parts false, kinds EVERY, products Gemm, if all(feature = "training", feature = "gemm") }
    {
        61 c"gradient-im2col" NCHW GradientPatches::Im2col,
        62 c"gradient-im2row" NHWC GradientPatches::Im2row,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_are_unique() {
        for (index, entry) in REGISTRY.iter().enumerate() {
            assert!(entry.id > 0, "0 is CONVLOW_ALGORITHM_AUTO");
            assert!(REGISTRY[..index].iter().all(|other| other.id != entry.id && other.name != entry.name));
        }
    }

    #[test]
    fn the_primitives_of_the_paper_are_all_there() {
        // Beside the sum.
        let multiplying = if cfg!(feature = "gemm") { 40 } else { 0 };
        let mecs = if cfg!(feature = "mec") { 2 } else { 0 };
        assert_eq!(REGISTRY.iter().filter(|entry| entry.order.is_some()).count(), 1 + multiplying + mecs);
    }

    #[test]
    fn what_an_entry_does_not_name_is_refused() {
        let plain = Problem { in_channels: 4, out_channels: 4, ..Problem::UNIT };
        let plain = Problem::new(plain).expect("a small problem");
        let grouped = Problem { groups: 2, ..plain };
        let moved = Problem { dst_layout: Nhwc, ..plain };
        let entry = Entry {
            id: 1,
            name: c"of-one-kind",
            family: "one",
            space: "0",
            order: None,
            in_parts: true,
            layouts: NCHW,
            kinds: &[],
            products: Products::Direct,
            stated_error: None,
            computes: Computes::Convolution(&DirectSum2d),
        };
        assert_eq!(entry.check(&plain), Ok(()));
        assert_eq!(entry.check(&grouped), Err(Declined::Unsupported(c"needs groups = 1")));
        let layouts = c"needs src_layout NCHW and dst_layout NCHW";
        assert_eq!(entry.check(&moved), Err(Declined::Unsupported(layouts)));
    }
}
