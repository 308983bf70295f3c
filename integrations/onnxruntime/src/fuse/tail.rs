//! Nodes behind a value that do something with it alone.

use super::constants::{Channeled, bounds};
use super::headroom::is_ordinary;
use super::step::Step;
use super::term::{Curve, Term};
use crate::host::{Failure, Graph, Node, Result, Tensor, Value};

/// Nodes behind a value, and their terms. All of them but the last are read by each other alone.
#[derive(Clone)]
pub struct Tail<'a> {
    pub nodes: Vec<Node<'a>>,
    pub terms: Vec<Term>,
    /// Those of [`Term::Slopes`].
    pub slopes: Option<Tensor<'a>>,
    /// The output of the last one.
    pub dst: Value<'a>,
}

impl<'a> Tail<'a> {
    /// Nothing behind a value.
    pub fn none(dst: Value<'a>) -> Self {
        Self { nodes: Vec::new(), terms: Vec::new(), slopes: None, dst }
    }

    /// Does the other one behind this one.
    pub fn then(&mut self, behind: Self) {
        self.nodes.extend(behind.nodes);
        self.terms.extend(behind.terms);
        self.slopes = behind.slopes.or(self.slopes.take());
        self.dst = behind.dst;
    }

    /// The next nodes behind a value; none if they need more than the value and constants.
    ///
    /// # Errors
    /// The host's.
    pub fn of(value: Value<'a>, values: Channeled, graph: &Graph<'a>) -> Result<Option<Self>> {
        match *graph.readers(value)?.as_slice() {
            [only] => Self::one(only, value, values),
            [a, b] if a != b => Self::product(value, [a, b], values, graph),
            _ => Ok(None),
        }
    }

    /// A node that does something with the value and constants; none if it is something else.
    ///
    /// # Errors
    /// The host's.
    pub fn one(node: Node<'a>, value: Value<'a>, values: Channeled) -> Result<Option<Self>> {
        let Some(dst) = node.only_output()? else { return Ok(None) };
        let found = Reading::new(node, value, values)?.terms()?;
        Ok(found.map(|(terms, slopes)| Self { nodes: vec![node], terms, slopes, dst }))
    }

    /// Two branches of a value that are multiplied: the value itself, or a multiple of it, times any terms.
    fn product(
        value: Value<'a>,
        [a, b]: [Node<'a>; 2],
        values: Channeled,
        graph: &Graph<'a>,
    ) -> Result<Option<Self>> {
        let (a, b) = (Branch::of(value, a, values, graph)?, Branch::of(value, b, values, graph)?);
        if a.ends_at != b.ends_at {
            return Ok(None);
        }
        let product = a.ends_at;
        let (Some(dst), "Mul") = (product.only_output()?, product.operator()?.as_str()) else {
            return Ok(None);
        };
        let (scale, gate) = if a.scale().is_some() { (a, b) } else { (b, a) };
        let Some(steps) = scale.scale() else { return Ok(None) };
        // There is one place to note a value.
        if gate.tail.slopes.is_some() || gate.tail.terms.contains(&Step::Note.into()) {
            return Ok(None);
        }
        let mut tail = Self::none(value);
        tail.terms.push(Step::Note.into());
        tail.then(gate.tail);
        tail.nodes.extend(scale.tail.nodes);
        tail.nodes.push(product);
        tail.terms.push(Step::MultiplyByNoted.into());
        tail.terms.extend(steps);
        tail.dst = dst;
        Ok(Some(tail))
    }
}

/// The nodes behind a value on one way.
struct Branch<'a> {
    tail: Tail<'a>,
    /// The first node on it that does something with other values, too.
    ends_at: Node<'a>,
}

impl<'a> Branch<'a> {
    fn of(value: Value<'a>, first: Node<'a>, values: Channeled, graph: &Graph<'a>) -> Result<Self> {
        let mut branch = Self { tail: Tail::none(value), ends_at: first };
        while let Some(one) = Tail::one(branch.ends_at, branch.tail.dst, values)?
            && let Some(next) = graph.only_reader(one.dst)?
        {
            branch.tail.then(one);
            branch.ends_at = next;
        }
        Ok(branch)
    }

    /// Its terms, if they do nothing but multiply by ordinary numbers: these may be multiplied by behind the product, too.
    fn scale(&self) -> Option<Vec<Term>> {
        let is_scale = |term: &Term| match *term {
            Term::Step(Step::Multiply(by) | Step::Divide(by)) => is_ordinary(by),
            _ => false,
        };
        self.tail.terms.iter().all(is_scale).then(|| self.tail.terms.clone())
    }
}

/// A node that is read as terms of one of its inputs, all others being constants.
struct Reading<'a> {
    node: Node<'a>,
    operator: String,
    inputs: Vec<Value<'a>>,
    /// Whether the value is its first input.
    is_first: bool,
    values: Channeled,
}

/// Terms, and the slopes of [`Term::Slopes`].
type TermsFound<'a> = (Vec<Term>, Option<Tensor<'a>>);

impl<'a> Reading<'a> {
    fn new(node: Node<'a>, value: Value<'a>, values: Channeled) -> Result<Self> {
        let inputs: Vec<_> = node.inputs()?.into_iter().flatten().collect();
        let is_first = match inputs.first() {
            Some(first) => first.name()? == value.name()?,
            None => false,
        };
        Ok(Self { node, operator: node.operator()?, inputs, is_first, values })
    }

    /// The node's terms; none if it has none.
    fn terms(&self) -> Result<Option<TermsFound<'a>>> {
        let found = match (self.operator.as_str(), self.inputs.as_slice()) {
            ("Add" | "Sub" | "Mul" | "Div", &[first, second]) => {
                self.arithmetic(if self.is_first { second } else { first })?.map(|step| vec![step.into()])
            }
            _ if !self.is_first => None,
            ("PRelu", &[_, slopes]) => return self.slopes(slopes),
            ("Relu" | "Clip", _) => bounds(self.node)?.map(|[min, max]| vec![Step::Clamp(min, max).into()]),
            (_, [_]) => self.function()?,
            _ => None,
        };
        Ok(found.map(|terms| (terms, None)))
    }

    /// Arithmetic with a constant of one element.
    fn arithmetic(&self, constant: Value<'a>) -> Result<Option<Step<f64>>> {
        let Some(constant) = self.values.scalar(constant)? else { return Ok(None) };
        Ok(match self.operator.as_str() {
            "Add" => Some(Step::Add(constant)),
            "Mul" => Some(Step::Multiply(constant)),
            "Sub" if self.is_first => Some(Step::Subtract(constant)),
            "Div" if self.is_first => Some(Step::Divide(constant)),
            _ => None,
        })
    }

    /// One slope for all channels, or one for each.
    fn slopes(&self, slopes: Value<'a>) -> Result<Option<TermsFound<'a>>> {
        if let Some(slope) = self.values.scalar(slopes)? {
            return Ok(Some((vec![Step::Steepen(slope).into()], None)));
        }
        let slopes = slopes.constant()?.filter(|slopes| self.values.is_by_channel(slopes));
        Ok(slopes.map(|slopes| (vec![Term::Slopes], Some(slopes))))
    }

    /// A function of the value alone.
    fn function(&self) -> Result<Option<Vec<Term>>> {
        let attribute =
            |name, otherwise: f32| Ok::<_, Failure>(f64::from(self.node.float(name)?.unwrap_or(otherwise)));
        let steps = |steps: &[Step<f64>]| steps.iter().map(|&step| step.into()).collect();
        let curve = |curve| vec![Term::Curve(curve)];
        Ok(Some(match self.operator.as_str() {
            "LeakyRelu" => steps(&[Step::Steepen(attribute(c"alpha", 0.01)?)]),
            "HardSigmoid" => {
                let (alpha, beta) = (attribute(c"alpha", 0.2)?, attribute(c"beta", 0.5)?);
                steps(&[Step::Multiply(alpha), Step::Add(beta), Step::Clamp(0.0, 1.0)])
            }
            "HardSwish" => steps(&[
                Step::Note,
                Step::Multiply(1.0 / 6.0),
                Step::Add(0.5),
                Step::Clamp(0.0, 1.0),
                Step::MultiplyByNoted,
            ]),
            "Sigmoid" => curve(Curve::Sigmoid),
            "Tanh" => curve(Curve::Tanh),
            "Erf" => curve(Curve::Erf),
            "Gelu" if self.node.string(c"approximate")?.as_deref() == Some("tanh") => curve(Curve::GeluTanh),
            "Gelu" | "com.microsoft.Gelu" => curve(Curve::Gelu),
            "com.microsoft.FastGelu" => curve(Curve::GeluTanh),
            "Swish" => self.swish(attribute(c"alpha", 1.0)?),
            "com.microsoft.QuickGelu" => self.swish(attribute(c"alpha", 1.702)?),
            _ => return Ok(None),
        }))
    }

    /// A value times the sigmoid of a multiple of it.
    fn swish(&self, alpha: f64) -> Vec<Term> {
        let scale = Term::Step(Step::Multiply(alpha));
        vec![Step::Note.into(), scale, Term::Curve(Curve::Sigmoid), Step::MultiplyByNoted.into()]
    }
}
