//! Constants, and what some nodes make of constants alone: Identity, Reshape and its kin, Transpose, DequantizeLinear.

use crate::host::{Graph, Listed, Node, Result, Tensor, Value};

/// Nodes that a constant may be made by, one behind the other.
const MOST_NODES: usize = 8;

/// A value that is the same in every run.
pub struct Fixed<'a> {
    pub tensor: Tensor<'a>,
    /// The nodes that make it of constants.
    pub nodes: Vec<Node<'a>>,
    /// Whether nobody else reads what they write.
    pub is_own: bool,
}

impl<'a> Fixed<'a> {
    /// None for a value that is computed of something else.
    ///
    /// # Errors
    /// The host's, or that there is no memory for the constant.
    pub fn of(value: Value<'a>, graph: &Graph<'a>) -> Result<Option<Self>> {
        Self::behind(value, graph, MOST_NODES)
    }

    fn behind(value: Value<'a>, graph: &Graph<'a>, most: usize) -> Result<Option<Self>> {
        if let Some(tensor) = graph.constant(value)? {
            return Ok(Some(Self { tensor, nodes: Vec::new(), is_own: true }));
        }
        let Some(node) = graph.writer(value)? else { return Ok(None) };
        let Some(&Some(first)) = node.inputs()?.first() else { return Ok(None) };
        if most == 0 || node.only_output()?.is_none() {
            return Ok(None);
        }
        let operator = node.operator()?;
        if !["Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "DequantizeLinear"]
            .contains(&operator.as_str())
        {
            return Ok(None);
        }
        let Some(Self { tensor, mut nodes, is_own }) = Self::behind(first, graph, most - 1)? else {
            return Ok(None);
        };
        let made = match operator.as_str() {
            "Identity" => Some(tensor),
            "Transpose" => transposed(&tensor, node)?,
            "DequantizeLinear" => dequantized(&tensor, node)?,
            // The elements stay where they are, under sizes that the graph has found out.
            _ => value.shape()?.and_then(|shape| shape.known()).and_then(|sizes| tensor.with_sizes(sizes)),
        };
        nodes.push(node);
        let is_own = is_own && graph.only_reader(value)?.is_some();
        Ok(made.map(|tensor| Self { tensor, nodes, is_own }))
    }
}

/// The tensor with its axes in the order that a Transpose says; none for elements of other types than weights have.
fn transposed<'a>(tensor: &Tensor<'a>, node: Node<'_>) -> Result<Option<Tensor<'a>>> {
    let rank = tensor.sizes.len();
    let order: Vec<usize> = match node.ints(c"perm")? {
        None => (0..rank).rev().collect(),
        Some(order) => order.into_iter().map(usize::try_from).collect::<std::result::Result<_, _>>()?,
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        return Ok(None);
    }
    match tensor.element {
        f32::ELEMENT => in_order::<f32>(tensor, &order).map(Some),
        f64::ELEMENT => in_order::<f64>(tensor, &order).map(Some),
        i8::ELEMENT => in_order::<i8>(tensor, &order).map(Some),
        u8::ELEMENT => in_order::<u8>(tensor, &order).map(Some),
        _ => Ok(None),
    }
}

/// The tensor whose axis `at` is the other one's axis `order[at]`.
fn in_order<'a, T: Listed>(tensor: &Tensor<'_>, order: &[usize]) -> Result<Tensor<'a>> {
    let from = tensor.elements::<T>()?;
    let stride = |axis: usize| tensor.sizes[axis + 1..].iter().product::<usize>();
    let sizes: Vec<usize> = order.iter().map(|&axis| tensor.sizes[axis]).collect();
    let strides: Vec<usize> = order.iter().map(|&axis| stride(axis)).collect();
    let mut index = vec![0; sizes.len()];
    let mut at = 0;
    Tensor::made(
        sizes.clone(),
        (0..from.len()).map(|_| {
            let element = from[at];
            for axis in (0..sizes.len()).rev() {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < sizes[axis] {
                    break;
                }
                at -= strides[axis] * sizes[axis];
                index[axis] = 0;
            }
            element
        }),
    )
}

/// (x − zero point) · scale, one of each for all or one for each place of an axis; none for what is read otherwise.
fn dequantized<'a>(tensor: &Tensor<'a>, node: Node<'_>) -> Result<Option<Tensor<'a>>> {
    let is_plain = node.int(c"block_size")?.unwrap_or(0) == 0 && node.int(c"output_dtype")?.unwrap_or(0) == 0;
    let inputs = node.inputs()?;
    let constant = |at: usize| match inputs.get(at).copied().flatten() {
        Some(value) => value.constant(),
        None => Ok(None),
    };
    let Some(scales) = constant(1)?.filter(|scales| is_plain && scales.element == f32::ELEMENT) else {
        return Ok(None);
    };
    let zero_points = constant(2)?;
    if inputs.get(2).copied().flatten().is_some() && zero_points.is_none() {
        return Ok(None);
    }
    let zeros = match &zero_points {
        None => vec![0; scales.len()],
        Some(zeros) => match integers(zeros)? {
            Some(zeros) => zeros,
            None => return Ok(None),
        },
    };
    let (Some(given), scales) = (integers(tensor)?, scales.elements::<f32>()?) else { return Ok(None) };
    let rank = tensor.sizes.len();
    let axis = node.int(c"axis")?.unwrap_or(1);
    let axis = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis })?;
    // Elements that lie behind one another under one scale.
    let run = match scales.len() {
        1 => given.len().max(1),
        count if axis < rank && tensor.sizes[axis] == count => tensor.sizes[axis + 1..].iter().product(),
        _ => return Ok(None),
    };
    if zeros.len() != scales.len() {
        return Ok(None);
    }
    let value = |(at, &given): (usize, &i32)| {
        let of = at / run % scales.len();
        given.wrapping_sub(zeros[of]) as f32 * scales[of]
    };
    Tensor::made(tensor.sizes.clone(), given.iter().enumerate().map(value)).map(Some)
}

/// The elements of a tensor of integers; none if it is of others, or of wider ones than 32 bits.
fn integers(tensor: &Tensor<'_>) -> Result<Option<Vec<i32>>> {
    Ok(match tensor.element {
        u8::ELEMENT => Some(tensor.elements::<u8>()?.iter().map(|&value| value.into()).collect()),
        i8::ELEMENT => Some(tensor.elements::<i8>()?.iter().map(|&value| value.into()).collect()),
        i32::ELEMENT => Some(tensor.elements::<i32>()?.to_vec()),
        _ => None,
    })
}
