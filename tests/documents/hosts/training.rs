use convlow::{
    Arguments, Axis, Buffer, GradientArguments, Options, Plan, Problem, Propagation, Result, WeightsFrom,
};

/// The forward pass, or the gradient of the data: from the caller's own weights, which change in each step.
fn run(
    plan: &Plan,
    read: &[f32],
    weights: &[f32],
    written: &mut [f32],
    workspace: &mut Buffer,
) -> Result<()> {
    plan.execute_with(Arguments {
        src: read,
        packed: &[],
        weights: Some(weights),
        bias: None,
        slopes: None,
        residual: None,
        dst: written,
        workspace: workspace.elements_mut(),
        pool: None,
    })
}

pub fn main() -> Result<()> {
    // A 3×3 convolution of 16 channels of 28×28 to 32 channels, four images at a time.
    let axis = Axis { pad_before: 1, pad_after: 1, ..Axis::dense(28, 3) };
    let sizes = Problem { batch: 4, in_channels: 16, out_channels: 32, ..Problem::UNIT };
    let problem = Problem::new(Problem { rows: axis, cols: axis, ..sizes })?;
    let options = Options { weights: WeightsFrom::Plain, ..Options::default() };
    let plan = |propagation| Plan::new(&Problem { propagation, ..problem }, &options);
    let forward = plan(Propagation::Forward)?;
    let of_data = plan(Propagation::BackwardData)?;
    let of_weights = plan(Propagation::BackwardWeights)?;

    let bytes = [&forward, &of_data, &of_weights].map(|plan| plan.info().workspace_bytes);
    let mut workspace = Buffer::new(bytes.into_iter().max().unwrap_or(0))?;
    let (src, weights) = (vec![1f32; problem.src_len()], vec![1f32; problem.weights_len()]);
    let (mut dst, mut diff_src) = (vec![0f32; problem.dst_len()], vec![0f32; problem.src_len()]);
    let (mut diff_weights, mut diff_bias) = (vec![0f32; problem.weights_len()], vec![0f32; 32]);

    run(&forward, &src, &weights, &mut dst, &mut workspace)?;
    // The loss is half the sum of dst's squares: its gradient is dst.
    run(&of_data, &dst, &weights, &mut diff_src, &mut workspace)?;
    of_weights.execute_gradient(GradientArguments {
        src: &src,
        diff_dst: &dst,
        diff_weights: Some(&mut diff_weights),
        diff_bias: Some(&mut diff_bias),
        workspace: workspace.elements_mut(),
        pool: None,
    })?;
    // All inputs are 1: the tap in the middle sums what the bias sums.
    assert_eq!(diff_weights[4], diff_bias[0]);
    Ok(())
}
