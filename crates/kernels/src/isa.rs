//! [`Isa`]: the vector instructions of this process: the best of the machine, or those that `CONVLOW_ISA` names.

use std::ffi::CStr;
use std::fmt;
use std::sync::OnceLock;

#[cfg(feature = "portable")]
use pulp::Scalar128b;
use pulp::Simd;
#[cfg(target_arch = "aarch64")]
use pulp::aarch64::Neon;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use pulp::x86::V3;
#[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), feature = "avx512"))]
use pulp::x86::V4;

use convlow_base::error::{Error, Result, text};

use crate::vectors::{ByPulp, Kernel};
use crate::word::Word;

/// Vector instructions that the library's own kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Four lanes of whatever every machine of the architecture has.
    Portable,
    /// AVX2 with FMA: eight lanes, 16 registers.
    Avx2,
    /// AVX-512: sixteen lanes, 32 registers.
    Avx512,
    /// NEON: four lanes, 32 registers.
    Neon,
}

impl Isa {
    /// All of them, the better ones of an architecture last.
    const ALL: [Isa; 4] = [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Neon];

    /// The word of `CONVLOW_ISA`.
    pub fn name(self) -> &'static str {
        self.c_name().to_str().expect("names are ASCII")
    }

    /// The same as C has it.
    pub fn c_name(self) -> &'static CStr {
        match self {
            Isa::Portable => c"portable",
            Isa::Avx2 => c"avx2",
            Isa::Avx512 => c"avx512",
            Isa::Neon => c"neon",
        }
    }

    /// Those that this machine has, the best last.
    pub fn of_this_machine() -> impl Iterator<Item = Isa> {
        Self::ALL.into_iter().filter(|isa| isa.vectors().is_some())
    }

    /// Those that there are kernels for on machines of this architecture, for tests that say which they cannot try.
    pub fn of_this_architecture() -> impl Iterator<Item = Isa> {
        Self::ALL.into_iter().filter(|isa| match isa {
            Isa::Portable => true,
            Isa::Avx2 | Isa::Avx512 => cfg!(any(target_arch = "x86", target_arch = "x86_64")),
            Isa::Neon => cfg!(target_arch = "aarch64"),
        })
    }

    /// What the kernels of this process use, decided once.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if `CONVLOW_ISA` names something that this machine does not have.
    pub fn in_use() -> Result<Isa> {
        let choice = choice();
        match &choice.refused {
            None if choice.vectors.is_none() => Err(Error::Unsupported(text!("{Nothing}"))),
            None => Ok(choice.isa),
            Some(word) => Err(Error::Unsupported(text!("{}", Refusal(word)))),
        }
    }

    fn vectors(self) -> Option<Instructions> {
        match self {
            #[cfg(feature = "portable")]
            Isa::Portable => Some(Instructions::Portable),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Isa::Avx2 => V3::try_new().map(Instructions::Avx2),
            #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), feature = "avx512"))]
            Isa::Avx512 => V4::try_new().map(Instructions::Avx512),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Neon::try_new().map(Instructions::Neon),
            #[allow(unreachable_patterns)] // Those of other architectures and builds.
            _ => None,
        }
    }
}

/// The proof that this machine has some instructions.
#[derive(Clone, Copy)]
enum Instructions {
    #[cfg(feature = "portable")]
    Portable,
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    Avx2(V3),
    #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), feature = "avx512"))]
    Avx512(V4),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

impl Instructions {
    #[inline(always)]
    fn run<F: Kernel>(self, f: F) -> F::Output {
        match self {
            #[cfg(feature = "portable")]
            Instructions::Portable => run_portable(f),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Instructions::Avx2(simd) => Simd::vectorize(simd, ByPulp(f)),
            #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), feature = "avx512"))]
            Instructions::Avx512(simd) => Simd::vectorize(simd, ByPulp(f)),
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon(simd) => Simd::vectorize(simd, ByPulp(f)),
        }
    }
}

/// A function of its own, as the other instructions' are: within the caller its stack would lie beside theirs.
#[cfg(feature = "portable")]
#[inline(never)]
fn run_portable<F: Kernel>(f: F) -> F::Output {
    Simd::vectorize(Scalar128b, ByPulp(f))
}

/// The length of the vectors that a kernel uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// That of the instructions of this process.
    Whole,
    /// Half of it: AVX2 where AVX-512 is in use. Other instructions have no shorter vectors.
    Half,
}

impl Length {
    /// The instructions whose vectors kernels of this length use in this process.
    pub fn isa(self) -> Isa {
        let choice = choice();
        match self {
            Length::Half if choice.half.is_some() => Isa::Avx2,
            _ => choice.isa,
        }
    }
}

/// Whether vectors of half the length multiply as many numbers in the same time, so that they serve best what they fill
/// and whole ones would not: on Zen 4, which computes AVX-512 in two halves. Other processors with AVX-512 take as long for
/// a whole vector as for half of one.
pub fn halves_are_as_fast() -> bool {
    choice().halves_are_as_fast
}

/// Whether this processor, which has AVX-512, is a Zen 4. AMD's processors alone have SSE4a. Those after Zen 4 also have
/// AVX512_VP2INTERSECT.
fn is_zen4() -> bool {
    #[cfg(target_arch = "x86_64")]
    let is_zen4 = is_x86_feature_detected!("sse4a") && !is_x86_feature_detected!("avx512vp2intersect");
    #[cfg(not(target_arch = "x86_64"))]
    let is_zen4 = false;
    is_zen4
}

/// What the process decided.
struct Choice {
    isa: Isa,
    /// None, and no plan is made, where the machine has nothing that this build has kernels for.
    vectors: Option<Instructions>,
    /// Vectors half as long, if there are any.
    half: Option<Instructions>,
    /// See [`halves_are_as_fast`].
    halves_are_as_fast: bool,
    /// What `CONVLOW_ISA` named in vain. No plan is made then, and the best instructions serve what remains.
    refused: Option<Word>,
}

impl Choice {
    fn new(wanted: Option<Word>) -> Self {
        let mut choice =
            Self { isa: Isa::Portable, vectors: None, half: None, halves_are_as_fast: false, refused: None };
        for isa in Isa::ALL {
            let vectors = isa.vectors();
            if vectors.is_none() {
                continue;
            }
            let half = (isa == Isa::Avx512).then(|| Isa::Avx2.vectors()).flatten();
            choice.halves_are_as_fast = half.is_some() && is_zen4();
            (choice.isa, choice.vectors, choice.half) = (isa, vectors, half);
            if wanted.as_ref().is_some_and(|wanted| wanted.is(isa.name())) {
                return choice;
            }
        }
        choice.refused = wanted;
        choice
    }
}

fn choice() -> &'static Choice {
    static CHOICE: OnceLock<Choice> = OnceLock::new();
    CHOICE.get_or_init(|| Choice::new(Word::of_isa()))
}

/// Runs `f` with vectors of this length.
#[inline]
pub(crate) fn dispatch_with<F: Kernel>(length: Length, f: F) -> F::Output {
    match choice().half {
        Some(half) if length == Length::Half => half.run(f),
        _ => dispatch(f),
    }
}

/// Runs `f` compiled for the instructions of this process.
#[inline]
pub(crate) fn dispatch<F: Kernel>(f: F) -> F::Output {
    #[cfg(test)]
    if let Some(shape) = shapes::SHAPE.get() {
        return shape.run(f);
    }
    choice().vectors.expect("no plan is made without instructions").run(f)
}

/// What `f` makes gives for each of this machine's instructions; says, past the capture of a test's output, which it
/// cannot try.
#[cfg(test)]
pub(crate) fn dispatch_each<F: Kernel>(mut f: impl FnMut() -> F) -> Vec<(Isa, F::Output)> {
    use std::io::Write;

    let mut each = Vec::new();
    for isa in Isa::of_this_architecture() {
        match isa.vectors() {
            Some(vectors) => each.push((isa, vectors.run(f()))),
            None => {
                let text = format!("NOT TESTED: {} (this machine has none, or this build)", isa.name());
                writeln!(std::io::stderr(), "{text}").expect("a line");
            }
        }
    }
    each
}

#[cfg(test)]
pub(crate) use shapes::for_each_shape;

#[cfg(test)]
mod shapes {
    use std::cell::Cell;

    use super::{Instructions, dispatch_each};
    use crate::other_registers::WithOtherRegisters;
    use crate::vectors::{Kernel, Vectors};

    /// Instructions, and whether register tiles have the shapes of machines with the other number of registers.
    #[derive(Clone, Copy)]
    pub struct Shape {
        vectors: Instructions,
        other_registers: bool,
    }

    impl Shape {
        pub fn run<F: Kernel>(self, f: F) -> F::Output {
            match self.other_registers {
                true => self.vectors.run(WithOtherRegisters(f)),
                false => self.vectors.run(f),
            }
        }
    }

    thread_local! {
        /// The shapes that [`for_each_shape`] tries.
        pub static SHAPE: Cell<Option<Shape>> = const { Cell::new(None) };
    }

    /// Whether the shapes are those for 32 registers.
    struct HasManyRegisters;

    impl Kernel for HasManyRegisters {
        type Output = bool;

        fn run<S: Vectors>(self, _: S) -> bool {
            S::MANY_REGISTERS
        }
    }

    /// Runs a test on this thread with each of this machine's instructions and the shapes of register tiles for 16 and 32
    /// registers; says, past the capture of a test's output, which instructions it cannot try.
    pub(crate) fn for_each_shape(mut f: impl FnMut()) {
        let mut tried = Vec::new();
        for (isa, _) in dispatch_each(|| HasManyRegisters) {
            let vectors = isa.vectors().expect("they have just run");
            for other_registers in [false, true] {
                let shape = Shape { vectors, other_registers };
                tried.push(shape.run(HasManyRegisters));
                SHAPE.set(Some(shape));
                f();
                SHAPE.set(None);
            }
        }
        assert!(tried.contains(&false) && tried.contains(&true), "shapes for 16 and for 32 registers");
    }
}

/// The names of what this machine has.
struct Here;

impl fmt::Display for Here {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, isa) in Isa::of_this_machine().enumerate() {
            write!(f, "{}{}", if number > 0 { ", " } else { "" }, isa.name())?;
        }
        Ok(())
    }
}

/// Why no instructions serve.
struct Nothing;

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this machine has none of the vector instructions of this build (cargo feature portable)")
    }
}

/// Why a value of `CONVLOW_ISA` is none.
struct Refusal<'a>(&'a Word);

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CONVLOW_ISA = {}, but this machine has {Here}", self.0)
    }
}

/// Writes what is in use and what there is, for the library's `build_info`.
pub fn describe(to: &mut impl fmt::Write) -> fmt::Result {
    let choice = choice();
    match &choice.refused {
        None if choice.vectors.is_none() => write!(to, "kernels: none, {Nothing}"),
        None => write!(to, "kernels: {} (of {Here})", choice.isa.name()),
        Some(word) => write!(to, "kernels: none, {}", Refusal(word)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Number;
    use crate::vectors::Vectors;

    #[test]
    fn a_name_is_taken_and_none_is_the_best() {
        for isa in Isa::of_this_machine() {
            let choice = Choice::new(Some(Word::new(isa.name().as_bytes())));
            assert_eq!((choice.isa, choice.refused.is_some()), (isa, false));
        }
        let best = Choice::new(None);
        assert_eq!(Some(best.isa), Isa::of_this_machine().last());
        assert!(best.refused.is_none());
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let absent = Isa::ALL.into_iter().filter(|isa| isa.vectors().is_none()).map(Isa::name);
        for name in absent.chain(["AVX2", "sse", "avx", "avx2 "]) {
            let refused = Choice::new(Some(Word::new(name.as_bytes()))).refused.expect("it is no name here");
            let here: Vec<_> = Isa::of_this_machine().map(Isa::name).collect();
            assert_eq!(
                Refusal(&refused).to_string(),
                format!("CONVLOW_ISA = {name}, but this machine has {}", here.join(", "))
            );
        }
    }

    struct Sum;

    impl Kernel for Sum {
        type Output = ();

        fn run<S: Vectors>(self, simd: S) {
            let splat = |value| f32::splat(simd, value);
            let mut sum = [0.0];
            f32::store_part(simd, &mut sum, f32::multiply_add(simd, splat(3.0), splat(5.0), splat(-7.0)));
            assert_eq!(sum, [8.0]);
        }
    }

    #[test]
    fn all_instructions_multiply_and_add() {
        dispatch_each(|| Sum);
    }
}
