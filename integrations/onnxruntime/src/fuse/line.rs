//! Constants of a whole channel: its values times a factor, plus a shift.

use super::constants::{Channeled, numbers};
use super::step::Step;
use crate::host::{Node, Result, Value};

/// A factor and a shift for each channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub factors: Vec<f64>,
    pub shifts: Vec<f64>,
}

impl Line {
    /// The line that leaves values as they are.
    pub fn none(channels: usize) -> Self {
        Self { factors: vec![1.0; channels], shifts: vec![0.0; channels] }
    }

    /// The lines of a node that combines a value with constants of one number a channel, one behind the other; none for
    /// other nodes.
    ///
    /// # Errors
    /// The host's.
    pub fn of(node: Node<'_>, value: Value<'_>, values: Channeled) -> Result<Option<Vec<Self>>> {
        let Channeled { element, channels, .. } = values;
        let Some(inputs) = node.inputs()?.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
        let operator = node.operator()?;
        let own = value.name()?;
        let is_first = match inputs.first() {
            Some(first) => first.name()? == own,
            None => return Ok(None),
        };
        if operator == "BatchNormalization" {
            return if is_first { Self::norm(node, &inputs, channels, element) } else { Ok(None) };
        }
        let &[first, second] = inputs.as_slice() else { return Ok(None) };
        let Some(constant) = (if is_first { second } else { first }).constant()? else { return Ok(None) };
        if !values.is_by_channel(&constant) {
            return Ok(None);
        }
        let values = numbers(&constant)?;
        let line = match operator.as_str() {
            "Add" | "Sum" => Self::of_shifts(values),
            "Sub" if is_first => Self::of_shifts(values.iter().map(|value| -value).collect()),
            "Mul" => Self::of_factors(values),
            "Div" if is_first => Self::of_factors(values.iter().map(|value| value.recip()).collect()),
            _ => return Ok(None),
        };
        Ok(Some(vec![line]))
    }

    fn of_factors(factors: Vec<f64>) -> Self {
        Self { shifts: vec![0.0; factors.len()], factors }
    }

    fn of_shifts(shifts: Vec<f64>) -> Self {
        Self { factors: vec![1.0; shifts.len()], shifts }
    }

    /// A BatchNormalization; none if it trains.
    fn norm(
        node: Node<'_>,
        inputs: &[Value<'_>],
        channels: usize,
        element: i32,
    ) -> Result<Option<Vec<Self>>> {
        let alone = node.outputs()?.iter().flatten().count() == 1;
        if !alone || node.int(c"training_mode")?.unwrap_or(0) != 0 || inputs.len() != 5 {
            return Ok(None);
        }
        let mut constants = Vec::new();
        for value in &inputs[1..] {
            match value.constant()? {
                Some(tensor) if tensor.element == element && tensor.sizes == [channels] => {
                    constants.push(numbers(&tensor)?);
                }
                _ => return Ok(None),
            }
        }
        let [scale, shift, mean, variance] = constants.as_slice() else { return Ok(None) };
        let epsilon = f64::from(node.float(c"epsilon")?.unwrap_or(1e-5));
        let factors =
            scale.iter().zip(variance).map(|(scale, variance)| scale / (variance + epsilon).sqrt()).collect();
        let centred = Self::of_shifts(mean.iter().map(|mean| -mean).collect());
        Ok(Some(vec![centred, Self::of_factors(factors), Self::of_shifts(shift.clone())]))
    }

    /// Does the other one behind this one.
    pub fn then(&mut self, behind: &Self) {
        for ((factor, shift), (by, more)) in
            self.factors.iter_mut().zip(&mut self.shifts).zip(behind.factors.iter().zip(&behind.shifts))
        {
            *factor *= by;
            *shift = *shift * by + more;
        }
    }

    /// The line of a step, the same for so many channels; none for other steps.
    pub fn of_step(step: Step<f64>, channels: usize) -> Option<Self> {
        Some(match step {
            Step::Add(shift) => Self::of_shifts(vec![shift; channels]),
            Step::Subtract(shift) => Self::of_shifts(vec![-shift; channels]),
            Step::Multiply(factor) => Self::of_factors(vec![factor; channels]),
            Step::Divide(divisor) => Self::of_factors(vec![divisor.recip(); channels]),
            Step::Clamp(..) | Step::Steepen(_) | Step::Note | Step::MultiplyByNoted => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_behind_is_done_behind() {
        let mut line = Line { factors: vec![2.0, 3.0], shifts: vec![1.0, -1.0] };
        line.then(&Line { factors: vec![10.0, 100.0], shifts: vec![5.0, 6.0] });
        assert_eq!(line, Line { factors: vec![20.0, 300.0], shifts: vec![15.0, -94.0] });
        for step in [Step::Subtract(1.0), Step::Divide(2.0)] {
            line.then(&Line::of_step(step, 2).expect("it is a line"));
        }
        assert_eq!(line, Line { factors: vec![10.0, 150.0], shifts: vec![7.0, -47.5] });
        assert!(Line::of_step(Step::Note, 2).is_none());
    }
}
