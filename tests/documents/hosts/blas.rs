use convlow::algorithms::Entry;
use convlow::gemm::BackendChoice;
use convlow::{AlgorithmChoice, Axis, Buffer, Options, Plan, Problem, Result};

pub fn main() -> Result<()> {
    println!("{}", convlow::build_info()); // names the OpenBLAS that runs

    // A 5×5 convolution of 16 channels of 28×28 to 32 channels.
    let axis = Axis { pad_before: 2, pad_after: 2, ..Axis::dense(28, 5) };
    let problem = Problem { in_channels: 16, out_channels: 32, rows: axis, cols: axis, ..Problem::UNIT };

    // AUTO calls no GEMM. A program that wants the BLAS asks for it, and for an algorithm that multiplies by a GEMM.
    let options = Options {
        algorithm: AlgorithmChoice::One(Entry::by_name(c"kn2row-aa-ab").expect("part of the feature gemm")),
        gemm: BackendChoice::Blas,
        ..Options::default()
    };
    let plan = Plan::new(&problem, &options)?;
    assert_eq!(plan.info().gemm_name(), Some("blas"));
    println!("{} calls of sgemm in one execute", plan.info().gemm_calls);

    let mut packed = Buffer::new(plan.info().packed_weights_bytes)?;
    let mut workspace = Buffer::new(plan.info().workspace_bytes)?;
    let problem = plan.problem();
    plan.pack_weights(&vec![1f32; problem.weights_len()], packed.bytes_mut())?;
    let (src, mut dst) = (vec![1f32; problem.src_len()], vec![0f32; problem.dst_len()]);
    plan.execute(&src, packed.bytes(), None, &mut dst, workspace.elements_mut())?;
    assert_eq!(dst[0], 16.0 * 9.0); // in the corner the kernel sees 3×3 pixels
    Ok(())
}
