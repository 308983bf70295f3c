//! A photograph as a network's input.

use std::path::Path;

use convlow::{Buffer, Layout, reference};
use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, RgbImage};

use crate::outcome::{Failure, Outcome};

/// What networks trained on ImageNet take: pixels a side.
pub(crate) const SIDE: usize = 224;
/// Red, green, blue.
pub(crate) const CHANNELS: usize = 3;

/// ImageNet's mean and standard deviation of each channel, of values from 0 to 1.
const MEAN: [f32; CHANNELS] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; CHANNELS] = [0.229, 0.224, 0.225];

const ASTRONAUT: &[u8] = include_bytes!("../../demo/astronaut.jpg");

/// The photograph in the file, or the one in this program.
pub(crate) fn load(file: Option<&Path>) -> Outcome<DynamicImage> {
    let decoded = match file {
        None => image::load_from_memory(ASTRONAUT),
        Some(file) => ImageReader::open(file)
            .and_then(ImageReader::with_guessed_format)
            .map_err(image::ImageError::from)
            .and_then(ImageReader::decode),
    };
    decoded.map_err(|error| {
        let name = file.map_or("the built-in photograph".into(), Path::to_string_lossy);
        Failure::Refused(format!("{name} cannot be read: {error}"))
    })
}

/// The middle of the photograph, scaled to the network's size.
pub(crate) fn scaled(photo: &DynamicImage) -> RgbImage {
    photo.resize_to_fill(SIDE as u32, SIDE as u32, FilterType::Triangle).to_rgb8()
}

/// The pixels as the network's normalised input tensor.
pub(crate) fn input(pixels: &RgbImage, layout: Layout) -> Outcome<Buffer> {
    let mut input = Buffer::new(CHANNELS * SIDE * SIDE * size_of::<f32>())?;
    for (x, y, pixel) in pixels.enumerate_pixels() {
        for (c, value) in pixel.0.into_iter().enumerate() {
            let place = reference::index(layout, &[0, c, y as usize, x as usize], &[CHANNELS, SIDE, SIDE]);
            input.elements_mut::<f32>()[place] = (f32::from(value) / 255.0 - MEAN[c]) / DEVIATION[c];
        }
    }
    Ok(input)
}
