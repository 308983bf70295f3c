//! A picture as a list of shapes, in pixels from its top left, and its way into an SVG or PNG file.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, register_font};

/// The page's own background, so that the dark of a page around it cannot swallow what is drawn.
const CARD: RGBColor = RGBColor(250, 250, 248);
pub(super) const INK: RGBColor = RGBColor(34, 34, 34);
pub(super) const FAINT: RGBColor = RGBColor(96, 96, 96);
pub(super) const GRID: RGBColor = RGBColor(222, 222, 218);

/// Pixels of a PNG for one of the picture, so that text stays sharp.
const PNG_SCALE: f64 = 2.0;
/// plotters' font sizes for one pixel of text height.
const FONT_UNIT: f64 = 1.24;
/// How far plotters draws text above its place in pixels, as a share of the size; in SVG it does not.
const RAISED: f64 = 0.16;
const FONT: &str = "sans-serif";

/// Which end of a text stands at its place.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

enum Shape {
    Rectangle([f64; 4], RGBColor),
    Line(Vec<(f64, f64)>, RGBColor, u32),
    /// Filled, or the outline alone.
    Polygon(Vec<(f64, f64)>, RGBColor, bool),
    Circle((f64, f64), f64, RGBColor, bool),
    Text {
        at: (f64, f64),
        text: String,
        size: f64,
        color: RGBColor,
        anchor: Anchor,
        upwards: bool,
    },
}

/// A picture in the making.
pub(super) struct Canvas {
    size: (f64, f64),
    shapes: Vec<Shape>,
}

impl Canvas {
    pub(super) fn new(width: f64, height: f64) -> Self {
        // The embedded font measures text for both kinds of files, and draws it in PNG. It is a valid one, and a
        // second registration changes nothing.
        let _ = register_font(FONT, FontStyle::Normal, dejavu::sans::regular());
        Self { size: (width, height), shapes: Vec::new() }
    }

    pub(super) fn rectangle(&mut self, [x0, y0, x1, y1]: [f64; 4], color: RGBColor) {
        self.shapes.push(Shape::Rectangle([x0, y0, x1, y1], color));
    }

    pub(super) fn line(&mut self, points: &[(f64, f64)], color: RGBColor, width: u32) {
        self.shapes.push(Shape::Line(points.to_vec(), color, width));
    }

    pub(super) fn polygon(&mut self, points: &[(f64, f64)], color: RGBColor, filled: bool) {
        self.shapes.push(Shape::Polygon(points.to_vec(), color, filled));
    }

    pub(super) fn circle(&mut self, at: (f64, f64), radius: f64, color: RGBColor, filled: bool) {
        self.shapes.push(Shape::Circle(at, radius, color, filled));
    }

    /// Text centred on the height `at.1`.
    pub(super) fn text(
        &mut self,
        at: (f64, f64),
        text: impl Into<String>,
        size: f64,
        color: RGBColor,
        anchor: Anchor,
    ) {
        self.shapes.push(Shape::Text { at, text: text.into(), size, color, anchor, upwards: false });
    }

    /// Text that runs upwards, centred on the column `at.0`.
    pub(super) fn text_upwards(
        &mut self,
        at: (f64, f64),
        text: impl Into<String>,
        size: f64,
        color: RGBColor,
        anchor: Anchor,
    ) {
        self.shapes.push(Shape::Text { at, text: text.into(), size, color, anchor, upwards: true });
    }

    pub(super) fn svg(&self) -> Result<String, Box<dyn Error>> {
        let mut text = String::new();
        let size = (self.size.0.ceil() as u32, self.size.1.ceil() as u32);
        self.render(&SVGBackend::with_string(&mut text, size).into_drawing_area(), 1.0, 0.0)?;
        Ok(text)
    }

    pub(super) fn png(&self) -> Result<image::RgbImage, Box<dyn Error>> {
        let [width, height] = [self.size.0, self.size.1].map(|side| (side * PNG_SCALE).ceil() as u32);
        let mut pixels = vec![0; 3 * width as usize * height as usize];
        let backend = BitMapBackend::with_buffer(&mut pixels, (width, height));
        self.render(&backend.into_drawing_area(), PNG_SCALE, RAISED)?;
        image::RgbImage::from_raw(width, height, pixels).ok_or_else(|| "the picture has no size".into())
    }

    fn render<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        scale: f64,
        raised: f64,
    ) -> Result<(), Box<dyn Error>>
    where
        DB::ErrorType: 'static,
    {
        let place = |(x, y): (f64, f64)| ((x * scale).round() as i32, (y * scale).round() as i32);
        let stroke = |color: &RGBColor, width: u32| color.stroke_width((f64::from(width) * scale) as u32);
        area.fill(&CARD)?;
        for shape in &self.shapes {
            match shape {
                Shape::Rectangle([x0, y0, x1, y1], color) => {
                    area.draw(&Rectangle::new([place((*x0, *y0)), place((*x1, *y1))], color.filled()))?;
                }
                Shape::Line(points, color, width) => {
                    let points: Vec<_> = points.iter().copied().map(place).collect();
                    area.draw(&PathElement::new(points, stroke(color, *width)))?;
                }
                Shape::Polygon(points, color, filled) => {
                    let mut points: Vec<_> = points.iter().copied().map(place).collect();
                    let inside = if *filled { color } else { &CARD };
                    area.draw(&Polygon::new(points.clone(), inside.filled()))?;
                    points.extend(points.first().copied());
                    area.draw(&PathElement::new(points, stroke(color, 2)))?;
                }
                Shape::Circle(at, radius, color, filled) => {
                    let radius = (radius * scale).round() as i32;
                    let inside = if *filled { color } else { &CARD };
                    area.draw(&Circle::new(place(*at), radius, inside.filled()))?;
                    area.draw(&Circle::new(place(*at), radius, stroke(color, 2)))?;
                }
                Shape::Text { at, text, size, color, anchor, upwards } => {
                    let along = match anchor {
                        Anchor::Start => HPos::Left,
                        Anchor::Middle => HPos::Center,
                        Anchor::End => HPos::Right,
                    };
                    let turn = if *upwards { FontTransform::Rotate270 } else { FontTransform::None };
                    let font = (FONT, size * scale * FONT_UNIT).into_font().transform(turn);
                    let style = font.color(color).pos(Pos::new(along, VPos::Center));
                    let (x, y) = *at;
                    let at = if *upwards { (x + raised * size, y) } else { (x, y + raised * size) };
                    area.draw(&Text::new(text.as_str(), place(at), style))?;
                }
            }
        }
        area.present()?;
        Ok(())
    }
}

/// How wide a text is, or would be in a font as wide as the embedded one.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let measured = (FONT, size * FONT_UNIT).into_font().box_size(text);
    measured.map_or(0.62 * size * text.chars().count() as f64, |(width, _)| f64::from(width))
}
