//! Bars, a group a layer: time and share of the peak.

use plotters::style::RGBColor;

use super::axis::{Scale, plain};
use super::canvas::{Anchor, Canvas, FAINT, GRID, INK, text_width};

/// The widest picture before its layers continue below.
const WIDEST: f64 = 1180.0;
const NARROWEST: f64 = 620.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 20.0;
const PLOT: f64 = 190.0;
const LABEL: f64 = 11.0;

/// A chart.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) notes: Vec<String>,
    pub(super) axis: &'static str,
    pub(super) scale: Scale,
    /// A value with a line of its own.
    pub(super) limit: Option<f64>,
    pub(super) series: Vec<(String, RGBColor)>,
    pub(super) panels: Vec<Panel>,
}

/// One network on one number of threads.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) groups: Vec<Group>,
}

/// One layer.
#[derive(Clone)]
pub(super) struct Group {
    pub(super) label: String,
    /// A value for each series that has one.
    pub(super) bars: Vec<Option<f64>>,
    /// The series with AUTO's choice.
    pub(super) marked: Option<usize>,
}

/// Part of a panel that stands side by side.
struct Strip<'a> {
    title: String,
    groups: &'a [Group],
}

impl Chart {
    pub(super) fn draw(&self) -> Canvas {
        let largest = self.panels.iter().map(|panel| panel.groups.len()).max().unwrap_or(0);
        let bar = match largest {
            0..4 => 22.0,
            4..9 => 13.0,
            _ => 6.0,
        };
        let group = bar * self.series.len() as f64 + 2.0 * bar;
        let fitting = (((WIDEST - LEFT - RIGHT) / group) as usize).max(1);
        let strips: Vec<_> = self.panels.iter().flat_map(|panel| panel.strips(fitting)).collect();
        let longest = strips.iter().map(|strip| strip.groups.len()).max().unwrap_or(0);
        let width = (LEFT + RIGHT + group * longest as f64).max(NARROWEST);
        let labels = self.panels.iter().flat_map(|panel| &panel.groups).map(|group| group.label.as_str());
        let longest_label = labels.map(|label| text_width(label, LABEL)).fold(0.0, f64::max);
        let upwards = longest_label > group - 6.0;
        let below = if upwards { longest_label + 12.0 } else { 24.0 };

        let legend = self.legend(width);
        let notes: Vec<_> = self.notes.iter().flat_map(|note| wrapped(note, width - 48.0, 12.0)).collect();
        let top = 50.0 + 17.0 * notes.len() as f64 + 22.0 * legend.len() as f64 + 6.0;
        let strip_height = 30.0 + PLOT + below + 14.0;
        let mut canvas = Canvas::new(width, top + strip_height * strips.len() as f64 + 6.0);
        heading(&mut canvas, self.title, &notes);
        let first_row = 50.0 + 17.0 * notes.len() as f64;
        for (row, line) in legend.iter().enumerate() {
            for &(x, series) in line {
                let y = first_row + 22.0 * row as f64;
                let (name, color) = &self.series[series];
                canvas.rectangle([x, y - 5.0, x + 11.0, y + 6.0], *color);
                canvas.text((x + 16.0, y), name.as_str(), 12.0, INK, Anchor::Start);
            }
        }
        for (number, strip) in strips.iter().enumerate() {
            let y = top + strip_height * number as f64;
            canvas.text((LEFT, y + 12.0), strip.title.as_str(), 13.0, INK, Anchor::Start);
            let frame = [LEFT, y + 28.0, width - RIGHT, y + 28.0 + PLOT];
            self.axis(&mut canvas, frame);
            // A few groups stand in the middle of a wide frame; parts of a long panel begin alike.
            let slack = frame[2] - frame[0] - group * longest as f64;
            for (place, layer) in strip.groups.iter().enumerate() {
                let x = frame[0] + slack / 2.0 + group * place as f64;
                self.bars(&mut canvas, frame, (x + bar, bar), layer);
                let middle = x + group / 2.0;
                if upwards {
                    canvas.text_upwards(
                        (middle, frame[3] + 7.0),
                        layer.label.as_str(),
                        LABEL,
                        INK,
                        Anchor::End,
                    );
                } else {
                    canvas.text((middle, frame[3] + 13.0), layer.label.as_str(), LABEL, INK, Anchor::Middle);
                }
            }
        }
        canvas
    }

    fn axis(&self, canvas: &mut Canvas, [x0, y0, x1, y1]: [f64; 4]) {
        let height = |value: f64| y1 - (y1 - y0) * self.scale.share(value);
        for value in self.scale.fine_ticks() {
            canvas.line(&[(x0 - 3.0, height(value)), (x0, height(value))], FAINT, 1);
        }
        for value in self.scale.ticks() {
            canvas.line(&[(x0, height(value)), (x1, height(value))], GRID, 1);
            canvas.text((x0 - 7.0, height(value)), plain(value), 11.0, INK, Anchor::End);
        }
        if let Some(limit) = self.limit {
            canvas.line(&[(x0, height(limit)), (x1, height(limit))], FAINT, 1);
        }
        canvas.line(&[(x0, y0), (x0, y1), (x1, y1)], FAINT, 1);
        canvas.text_upwards((16.0, (y0 + y1) / 2.0), self.axis, 12.0, INK, Anchor::Middle);
    }

    fn bars(&self, canvas: &mut Canvas, [_, y0, _, y1]: [f64; 4], (x, bar): (f64, f64), group: &Group) {
        for (series, value) in group.bars.iter().enumerate() {
            let left = x + bar * series as f64;
            let Some(value) = value else { continue };
            let top = y1 - (y1 - y0) * self.scale.share(*value);
            canvas.rectangle([left, top, left + bar - 1.0, y1], self.series[series].1);
            if group.marked == Some(series) {
                let (middle, top) = (left + (bar - 1.0) / 2.0, top - 3.0);
                let half = (bar / 2.0).min(5.0);
                let corners =
                    [(middle - half, top - 1.5 * half), (middle + half, top - 1.5 * half), (middle, top)];
                canvas.polygon(&corners, INK, true);
            }
        }
    }

    /// Where each series' name stands, row by row.
    fn legend(&self, width: f64) -> Vec<Vec<(f64, usize)>> {
        let mut rows = vec![Vec::new()];
        let mut x = 24.0;
        for (series, (name, _)) in self.series.iter().enumerate() {
            let needed = 16.0 + text_width(name, 12.0) + 18.0;
            if x + needed > width && x > 24.0 {
                rows.push(Vec::new());
                x = 24.0;
            }
            rows.last_mut().expect("there is a row").push((x, series));
            x += needed;
        }
        rows
    }
}

impl Panel {
    /// The panel in parts of about equal length.
    fn strips(&self, fitting: usize) -> Vec<Strip<'_>> {
        let parts = self.groups.len().div_ceil(fitting).max(1);
        let length = self.groups.len().div_ceil(parts).max(1);
        let strips = self.groups.chunks(length).enumerate().map(|(number, groups)| {
            let first = number * length;
            let title = if parts == 1 {
                self.title.clone()
            } else {
                format!(
                    "{}, problems {} to {} of {}",
                    self.title,
                    first + 1,
                    first + groups.len(),
                    self.groups.len()
                )
            };
            Strip { title, groups }
        });
        strips.collect()
    }
}

/// A picture's title and what has to be said below it.
pub(super) fn heading(canvas: &mut Canvas, title: &str, notes: &[String]) {
    canvas.text((24.0, 24.0), title, 17.0, INK, Anchor::Start);
    for (row, note) in notes.iter().enumerate() {
        canvas.text((24.0, 46.0 + 17.0 * row as f64), note.as_str(), 12.0, FAINT, Anchor::Start);
    }
}

/// The text in lines of at most this width.
pub(super) fn wrapped(text: &str, width: f64, size: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), size) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}
