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

    /// The line of a node that combines a value with constants of one number a channel; none for other nodes.
    ///
    /// # Errors
    /// The host's.
    pub fn of(node: Node<'_>, value: Value<'_>, values: Channeled) -> Result<Option<Self>> {
        let Channeled { element, channels, .. } = values;
        let Some(inputs) = node.inputs()?.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
        let operator = node.operator()?;
        let own = value.name()?;
        let is_first = match inputs.first() {
            Some(first) => first.name()? == own,
            None => return Ok(None),
        };
        if operator == "BatchNormalization" {
            let norm = if is_first { Self::norm(node, &inputs, channels, element)? } else { None };
            return Ok(norm.filter(Self::is_finite));
        }
        let &[first, second] = inputs.as_slice() else { return Ok(None) };
        let Some(constant) = (if is_first { second } else { first }).constant()? else { return Ok(None) };
        if !values.is_by_channel(&constant) {
            return Ok(None);
        }
        let values = numbers(&constant)?;
        let none = Self::none(channels);
        let line = match operator.as_str() {
            "Add" | "Sum" => Some(Self { shifts: values, ..none }),
            "Sub" if is_first => Some(Self { shifts: values.iter().map(|value| -value).collect(), ..none }),
            "Mul" => Some(Self { factors: values, ..none }),
            "Div" if is_first => {
                Some(Self { factors: values.iter().map(|value| value.recip()).collect(), ..none })
            }
            _ => None,
        };
        Ok(line.filter(Self::is_finite))
    }

    /// Of products of weights, infinite factors would make something else than of their sum.
    fn is_finite(&self) -> bool {
        self.factors.iter().all(|factor| factor.is_finite())
    }

    /// A BatchNormalization; none if it trains.
    fn norm(node: Node<'_>, inputs: &[Value<'_>], channels: usize, element: i32) -> Result<Option<Self>> {
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
        let factors: Vec<f64> =
            scale.iter().zip(variance).map(|(scale, variance)| scale / (variance + epsilon).sqrt()).collect();
        let shifts = (0..channels).map(|channel| shift[channel] - mean[channel] * factors[channel]).collect();
        Ok(Some(Self { factors, shifts }))
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
        let (factor, shift) = match step {
            Step::Add(shift) => (1.0, shift),
            Step::Subtract(shift) => (1.0, -shift),
            Step::Multiply(factor) => (factor, 0.0),
            Step::Divide(divisor) => (divisor.recip(), 0.0),
            Step::Clamp(..) | Step::Steepen(_) | Step::Note | Step::MultiplyByNoted => return None,
        };
        let line = Self { factors: vec![factor; channels], shifts: vec![shift; channels] };
        line.is_finite().then_some(line)
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
        assert!(Line::of_step(Step::Divide(0.0), 2).is_none() && Line::of_step(Step::Note, 2).is_none());
    }
}
