use convlow::{Activation, Axis, Buffer, Options, Plan, Pool, Problem, Result};

pub fn main() -> Result<()> {
    // A 3×3 convolution of 64 channels of 56×56 to 64 channels, with ReLU.
    let axis = Axis { pad_before: 1, pad_after: 1, ..Axis::dense(56, 3) };
    let problem = Problem::new(Problem {
        in_channels: 64,
        out_channels: 64,
        rows: axis,
        cols: axis,
        activation: Activation::Clamp { min: 0.0, max: f64::INFINITY },
        ..Problem::UNIT
    })?;

    // At most 512 KiB of workspace. The pool has two threads: the calling one, and one that convlow starts.
    let options = Options { max_workspace_bytes: 512 << 10, pool: Pool::new(2)?, ..Options::default() };
    let plan = Plan::new(&problem, &options)?;
    println!("{}, {} bytes of workspace", plan.info().entry.name(), plan.info().workspace_bytes);

    // All memory is the program's.
    let mut packed = Buffer::new(plan.info().packed_weights_bytes)?;
    let mut workspace = Buffer::new(plan.info().workspace_bytes)?;
    let (weights, src) = (vec![1f32; problem.weights_len()], vec![1f32; problem.src_len()]);
    let mut dst = vec![0f32; problem.dst_len()];

    plan.pack_weights(&weights, packed.bytes_mut())?; // once
    plan.execute(&src, packed.bytes(), None, &mut dst, workspace.elements_mut())?; // often
    assert_eq!(dst[57], 64.0 * 9.0); // 64 channels of 3×3 ones
    Ok(())
}
