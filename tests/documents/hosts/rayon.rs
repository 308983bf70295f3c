use convlow::{Axis, Buffer, Options, Plan, Pool, Problem, Result};

/// A layer, as an engine has it: its plan and its weights.
struct Layer {
    plan: Plan,
    packed: Buffer,
}

impl Layer {
    /// A 1×1 convolution of 64 channels of 56×56 to 64 channels, all of whose weights are the same.
    fn new(pool: &Pool, weight: f32) -> Result<Self> {
        let axis = Axis::dense(56, 1);
        let problem = Problem { in_channels: 64, out_channels: 64, rows: axis, cols: axis, ..Problem::UNIT };
        let plan = Plan::new(&problem, &Options { pool: pool.clone(), ..Options::default() })?;
        let mut packed = Buffer::new(plan.info().packed_weights_bytes)?;
        plan.pack_weights(&vec![weight; plan.problem().weights_len()], packed.bytes_mut())?;
        Ok(Self { plan, packed })
    }

    fn run(&self, src: &[f32]) -> Result<Vec<f32>> {
        let mut dst = vec![0f32; self.plan.problem().dst_len()];
        let mut workspace = Buffer::new(self.plan.info().workspace_bytes)?;
        self.plan.execute(src, self.packed.bytes(), None, &mut dst, workspace.elements_mut())?;
        Ok(dst)
    }
}

pub fn main() -> Result<()> {
    let engine = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
    engine.install(|| {
        let pool = Pool::rayon()?;
        let (left, right) = (Layer::new(&pool, 1.0)?, Layer::new(&pool, 2.0)?);
        let src = vec![1f32; left.plan.problem().src_len()];
        // Two branches of a network. Their tiles share the engine's two threads.
        let (left, right) = rayon::join(|| left.run(&src), || right.run(&src));
        assert_eq!((left?[0], right?[0]), (64.0, 128.0));
        Ok(())
    })
}
