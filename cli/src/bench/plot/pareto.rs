//! Time against memory: a point an algorithm, and the front that none of the others beats in both.

use plotters::style::RGBColor;

use super::axis::{Scale, bytes, plain};
use super::bars::{heading, wrapped};
use super::canvas::{Anchor, Canvas, FAINT, GRID, INK, text_width};

const PANEL: (f64, f64) = (600.0, 440.0);
const LEFT: f64 = 74.0;
/// Between the axis and the place of 0 bytes, and from there to the first decade.
const ZERO: f64 = 34.0;
const GAP: f64 = 58.0;
const LABEL: f64 = 11.0;
const RADIUS: f64 = 5.0;

/// One network on one number of threads.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) points: Vec<Point>,
}

pub(super) struct Point {
    pub(super) label: String,
    pub(super) milliseconds: f64,
    pub(super) bytes: f64,
    pub(super) color: RGBColor,
    /// Of other engines' points, which stand as diamonds.
    pub(super) peer: bool,
    /// Computed by this algorithm alone.
    pub(super) whole: bool,
}

pub(super) fn draw(title: &str, notes: &[String], panels: &[Panel]) -> Canvas {
    let columns = panels.len().clamp(1, 2);
    let width = PANEL.0 * columns as f64 + 20.0;
    let notes: Vec<_> = notes.iter().flat_map(|note| wrapped(note, width - 48.0, 12.0)).collect();
    let top = 52.0 + 17.0 * notes.len() as f64;
    let rows = panels.len().div_ceil(columns);
    let mut canvas = Canvas::new(width, top + PANEL.1 * rows as f64 + 8.0);
    heading(&mut canvas, title, &notes);
    for (number, panel) in panels.iter().enumerate() {
        let (column, row) = (number % columns, number / columns);
        panel.draw(&mut canvas, (PANEL.0 * column as f64, top + PANEL.1 * row as f64));
    }
    canvas
}

/// Where values stand in a panel.
struct Frame {
    corners: [f64; 4],
    bytes: Scale,
    milliseconds: Scale,
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        let [x0, _, x1, _] = self.corners;
        if value < 1.0 {
            return x0 + ZERO;
        }
        let first = x0 + ZERO + GAP;
        first + (x1 - first) * self.bytes.share(value)
    }

    fn y(&self, value: f64) -> f64 {
        let [_, y0, _, y1] = self.corners;
        y1 - (y1 - y0) * self.milliseconds.share(value)
    }

    fn at(&self, point: &Point) -> (f64, f64) {
        (self.x(point.bytes), self.y(point.milliseconds))
    }
}

impl Panel {
    fn draw(&self, canvas: &mut Canvas, (left, top): (f64, f64)) {
        canvas.text((left + LEFT, top + 12.0), self.title.as_str(), 13.0, INK, Anchor::Start);
        let corners = [left + LEFT, top + 28.0, left + PANEL.0 - 14.0, top + PANEL.1 - 58.0];
        let positive = self.points.iter().map(|point| point.bytes).filter(|&bytes| bytes >= 1.0);
        let frame = Frame {
            corners,
            bytes: Scale::log(positive).unwrap_or(Scale::Log { low: 3.0, high: 6.0 }),
            milliseconds: Scale::log(self.points.iter().map(|point| point.milliseconds))
                .unwrap_or(Scale::Log { low: 0.0, high: 1.0 }),
        };
        axes(canvas, &frame);
        let line = self.front(&frame);
        canvas.line(&line, FAINT, 2);
        for point in &self.points {
            let at @ (x, y) = frame.at(point);
            if point.peer {
                let reach = RADIUS + 1.5;
                let corners = [(x - reach, y), (x, y - reach), (x + reach, y), (x, y + reach)];
                canvas.polygon(&corners, point.color, true);
            } else {
                canvas.circle(at, RADIUS, point.color, point.whole);
            }
        }
        self.labels(canvas, &frame, &line);
    }

    /// Steps along the points that none beats in both time and memory.
    fn front(&self, frame: &Frame) -> Vec<(f64, f64)> {
        let front = front(&self.points);
        let (Some(first), Some(last)) = (front.first(), front.last()) else { return Vec::new() };
        let [_, y0, x1, _] = frame.corners;
        let mut line = vec![(frame.at(first).0, y0)];
        for pair in front.windows(2) {
            line.push(frame.at(pair[0]));
            line.push((frame.at(pair[1]).0, frame.at(pair[0]).1));
        }
        line.push(frame.at(last));
        line.push((x1, frame.at(last).1));
        line
    }

    /// Each name beside its point, where it covers neither points nor the front nor other names.
    fn labels(&self, canvas: &mut Canvas, frame: &Frame, front: &[(f64, f64)]) {
        let around = |(x, y): (f64, f64)| [x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS];
        let mut taken: Vec<_> = self.points.iter().map(|point| around(frame.at(point))).collect();
        taken.extend(front.windows(2).map(|ends| {
            let [(x0, y0), (x1, y1)] = [ends[0], ends[1]];
            [x0.min(x1) - 1.5, y0.min(y1) - 1.5, x0.max(x1) + 1.5, y0.max(y1) + 1.5]
        }));
        for point in &self.points {
            let (x, y) = frame.at(point);
            let (width, height) = (text_width(&point.label, LABEL), LABEL + 2.0);
            // To the right, to the left, above, below, then farther off in rows.
            let beside = [(x + 10.0, y), (x - 10.0 - width, y)];
            let rows = (1..12).flat_map(|row| {
                let far = 7.0 + 13.0 * f64::from(row) - 6.0;
                let columns = [x - width / 2.0, x + 10.0, x - 10.0 - width];
                columns.into_iter().flat_map(move |left| [(left, y - far), (left, y + far)])
            });
            let boxed = |(left, middle): (f64, f64)| {
                [left, middle - height / 2.0, left + width, middle + height / 2.0]
            };
            let free = beside.into_iter().chain(rows).find(|&place| {
                let [x0, y0, x1, y1] = boxed(place);
                let [left, top, right, bottom] = frame.corners;
                let inside = x0 > left + 2.0 && y0 > top && x1 < right && y1 < bottom;
                inside && !taken.iter().any(|other| overlap(&[x0, y0, x1, y1], other))
            });
            let place = free.unwrap_or(beside[0]);
            taken.push(boxed(place));
            if (place.1 - y).abs() > 20.0 {
                let end = if place.1 < y { place.1 + height / 2.0 } else { place.1 - height / 2.0 };
                let middle = (place.0 + width / 2.0).clamp(x - 30.0, x + 30.0);
                canvas.line(&[(x, y + RADIUS.copysign(end - y)), (middle, end)], FAINT, 1);
            }
            canvas.text(place, point.label.as_str(), LABEL, INK, Anchor::Start);
        }
    }
}

fn overlap(a: &[f64; 4], b: &[f64; 4]) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

fn axes(canvas: &mut Canvas, frame: &Frame) {
    let [x0, y0, x1, y1] = frame.corners;
    for value in frame.milliseconds.ticks() {
        canvas.line(&[(x0, frame.y(value)), (x1, frame.y(value))], GRID, 1);
        canvas.text((x0 - 7.0, frame.y(value)), plain(value), 11.0, INK, Anchor::End);
    }
    for value in frame.milliseconds.fine_ticks() {
        canvas.line(&[(x0 - 3.0, frame.y(value)), (x0, frame.y(value))], FAINT, 1);
    }
    let zero = frame.x(0.0);
    canvas.line(&[(zero, y0), (zero, y1)], GRID, 1);
    canvas.text((zero, y1 + 14.0), "0", 11.0, INK, Anchor::Middle);
    let ticks = frame.bytes.ticks();
    // Over many decades only every other one has room for its name.
    let every = ticks.len().div_ceil(8);
    for (number, value) in ticks.into_iter().enumerate() {
        canvas.line(&[(frame.x(value), y0), (frame.x(value), y1)], GRID, 1);
        if number % every == 0 {
            canvas.text((frame.x(value), y1 + 14.0), bytes(value), 11.0, INK, Anchor::Middle);
        }
    }
    canvas.line(&[(x0, y0), (x0, y1), (x1, y1)], FAINT, 1);
    // The axis is broken between 0 and its first decade.
    let broken = zero + GAP / 2.0;
    for x in [broken - 3.0, broken + 3.0] {
        canvas.line(&[(x - 3.0, y1 + 5.0), (x + 3.0, y1 - 5.0)], FAINT, 1);
    }
    let middle = ((x0 + x1) / 2.0, y1 + 36.0);
    canvas.text(middle, "workspace, largest of the layers (bytes, log)", 12.0, INK, Anchor::Middle);
    canvas.text_upwards(
        (x0 - 58.0, (y0 + y1) / 2.0),
        "time of all layers (ms, log)",
        12.0,
        INK,
        Anchor::Middle,
    );
}

/// From the least memory to the least time.
fn front(points: &[Point]) -> Vec<&Point> {
    let mut sorted: Vec<_> = points.iter().collect();
    sorted.sort_by(|a, b| a.bytes.total_cmp(&b.bytes).then(a.milliseconds.total_cmp(&b.milliseconds)));
    let mut front: Vec<&Point> = Vec::new();
    for point in sorted {
        if front.last().is_none_or(|last| point.milliseconds < last.milliseconds) {
            front.push(point);
        }
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_holds_what_nothing_beats_in_both() {
        let point = |label: &str, milliseconds: f64, bytes: f64| Point {
            label: label.to_string(),
            milliseconds,
            bytes,
            color: INK,
            peer: false,
            whole: true,
        };
        let points = [
            point("slow", 9.0, 0.0),
            point("lean", 5.0, 0.0),
            point("middle", 3.0, 100.0),
            point("beaten", 4.0, 200.0),
            point("same", 3.0, 300.0),
            point("fast", 1.0, 1e6),
        ];
        let labels: Vec<_> = front(&points).into_iter().map(|point| point.label.as_str()).collect();
        assert_eq!(labels, ["lean", "middle", "fast"]);
    }
}
