//! The place of a tensor's elements in memory: packed, or as a slice of a wider tensor.

use std::fmt;

use convlow_kernels::data_type::{DataType, Layout};

use convlow_base::error::{Error, Result, invalid, text};

/// How far apart the elements of a tensor lie that is a slice of a wider one, in elements; 0 where it is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Strides {
    /// With channels last from pixel to pixel, with channels first from plane to plane (a plane's rows are dense).
    pub channel: usize,
    /// From image to image.
    pub batch: usize,
}

impl Strides {
    /// No slice.
    pub const PACKED: Self = Self { channel: 0, batch: 0 };
}

/// The sizes of a tensor, and how it lies.
pub(super) struct Extent {
    pub batch: usize,
    pub channels: usize,
    pub pixels: usize,
    pub layout: Layout,
    pub strides: Strides,
}

impl Extent {
    /// What lies dense in each step of `strides.channel`, and how many such steps an image has.
    fn runs(&self) -> (usize, usize) {
        match self.layout {
            Layout::Nhwc => (self.channels, self.pixels),
            Layout::Nchw => (self.pixels, self.channels),
        }
    }

    pub fn channel_stride(&self) -> usize {
        if self.strides.channel == 0 { self.runs().0 } else { self.strides.channel }
    }

    pub fn batch_stride(&self) -> usize {
        if self.strides.batch == 0 { self.channel_stride() * self.runs().1 } else { self.strides.batch }
    }

    /// Elements of an image from the first to behind the last.
    pub fn image_len(&self) -> usize {
        let (run, runs) = self.runs();
        // There are channels, but not always pixels.
        if self.pixels == 0 { 0 } else { (runs - 1) * self.channel_stride() + run }
    }

    /// The same of all images.
    pub fn len(&self) -> usize {
        match (self.batch, self.image_len()) {
            (0, _) | (_, 0) => 0,
            (batch, image) => (batch - 1) * self.batch_stride() + image,
        }
    }

    /// The strides, checked; those that are as packed tensors have them are 0.
    pub fn checked(&self, name: &str, data_type: DataType) -> Result<Strides> {
        let (run, runs) = self.runs();
        let Strides { channel, batch } = self.strides;
        let (what, count) = match self.layout {
            Layout::Nhwc => ("channels of a pixel", self.channels),
            Layout::Nchw => ("pixels of a plane", self.pixels),
        };
        if channel != 0 && channel < run {
            return invalid!("{name}_channel_stride = {channel} is less than the {count} {what}");
        }
        let overflow = || {
            Error::Overflow(text!(
                "the bytes of {name} do not fit size_t ({name}_channel_stride = {channel}, {name}_batch_stride = {batch})"
            ))
        };
        let last_run = runs.saturating_sub(1).checked_mul(self.channel_stride());
        let image = match self.pixels {
            0 => 0,
            _ => last_run.and_then(|last| last.checked_add(run)).ok_or_else(overflow)?,
        };
        if batch != 0 && batch < image {
            return invalid!("{name}_batch_stride = {batch} is less than the {image} elements of an image");
        }
        let packed = self.channel_stride().checked_mul(runs).ok_or_else(overflow)?;
        let last = self.batch.saturating_sub(1).checked_mul(if batch == 0 { packed } else { batch });
        last.and_then(|last| last.checked_add(image))
            .filter(|&len| len <= isize::MAX as usize / data_type.bytes())
            .ok_or_else(overflow)?;
        let unless = |value: usize, packed: usize| if value == packed { 0 } else { value };
        Ok(Strides { channel: unless(channel, run), batch: unless(batch, packed) })
    }
}

/// Names and sizes, in several slices.
pub(super) type Named<'a> = &'a [&'a [(&'static str, usize)]];

/// Makes sure that the product of named sizes is at most `most`. A size of 0 counts as 1, so that the sizes beside it fit by
/// themselves, in whatever order they are multiplied.
pub(super) fn checked(what: &str, most: usize, sizes: Named<'_>) -> Result<()> {
    struct PrintedProduct<'a>(Named<'a>);
    impl fmt::Display for PrintedProduct<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for (index, (name, size)) in self.0.iter().copied().flatten().enumerate() {
                write!(f, "{}{name} = {size}", if index > 0 { ", " } else { "" })?;
            }
            Ok(())
        }
    }
    let product =
        sizes.iter().copied().flatten().try_fold(1usize, |all, (_, size)| all.checked_mul(*size.max(&1)));
    if product.is_none_or(|product| product > most) {
        return Err(Error::Overflow(text!("the {what} not fit size_t ({})", PrintedProduct(sizes))));
    }
    Ok(())
}
