//! [`DataType`] and [`Layout`]: the type of the elements of a tensor, and their order in memory.

use std::fmt;

/// Writes [`DataType`] from a table: variant, element, its name in lists, and its description.
macro_rules! data_types {
    ($($type:ident $element:ident $name:literal $what:literal)+) => {
        /// What the elements of all tensors are. The values are those of the C constants.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        #[repr(i32)]
        pub enum DataType {
            #[default]
            $(
                #[doc = $what]
                $type,
            )+
        }

        impl DataType {
            /// All of them, whether this build computes with them or not.
            pub const ALL: &[Self] = &[$(DataType::$type),+];

            /// The word of problem lists, `f32` or `f64`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(DataType::$type => $name,)+
                }
            }

            /// Bytes of an element.
            pub const fn bytes(self) -> usize {
                match self {
                    $(DataType::$type => size_of::<$element>(),)+
                }
            }
        }
    };
}

data_types! {
    F32 f32 "f32" "Float32."
    F64 f64 "f64" "Float64."
}

/// `for_type!(data_type, T => expression)`: the expression where `T` is the element of a [`DataType`].
#[macro_export]
macro_rules! for_type {
    ($data_type:expr, $element:ident => $body:expr) => {
        match $data_type {
            $crate::data_type::DataType::F32 => {
                type $element = f32;
                $body
            }
            $crate::data_type::DataType::F64 => {
                type $element = f64;
                $body
            }
        }
    };
}

pub use for_type;

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl DataType {
    /// Those that this build computes with.
    pub const BUILT: &[Self] = &[
        DataType::F32,
        #[cfg(feature = "f64")]
        DataType::F64,
    ];

    /// The type of this C constant.
    pub fn from_constant(constant: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|&data_type| data_type as i32 == constant)
    }

    /// The type of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|data_type| data_type.name() == name)
    }
}

/// The order in which a tensor's elements lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layout {
    /// Batch, channel, row, column: planes of one channel.
    Nchw,
    /// Batch, row, column, channel: pixels with all their channels.
    Nhwc,
}

impl Layout {
    /// Every pair of an input's and an output's layout.
    pub const PAIRS: [(Layout, Layout); 4] = [
        (Layout::Nchw, Layout::Nchw),
        (Layout::Nchw, Layout::Nhwc),
        (Layout::Nhwc, Layout::Nchw),
        (Layout::Nhwc, Layout::Nhwc),
    ];

    /// `nchw` or `nhwc`.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Nchw => "nchw",
            Layout::Nhwc => "nhwc",
        }
    }

    /// The layout of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Layout::Nchw, Layout::Nhwc].into_iter().find(|layout| layout.name() == name)
    }
}
