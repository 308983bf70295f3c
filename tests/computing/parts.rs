//! What a build has: AUTO serves every problem with any parts left out, and what is not there is refused by name.

use std::collections::BTreeMap;

use convlow::algorithms::{Products, REGISTRY};
use convlow::gemm::{Backend, BackendChoice};
use convlow::{
    Axis, DataType, Element, Error, Kind, Layout, Math, Operation, Options, Plan, Problem, Propagation,
    Strides,
};

use crate::common::{Data, plain, run};

/// Of every kind: one to three dimensions, transposed, strided, dilated, grouped, depthwise, padded unevenly, slices.
fn problems() -> Vec<Problem> {
    let with = |rows: Axis, cols: Axis, problem: Problem| Problem { rows, cols, ..problem };
    let axis = |input, kernel, stride, dilation, pad_before| Axis {
        stride,
        dilation,
        pad_before,
        pad_after: 1,
        ..Axis::dense(input, kernel)
    };
    let strided = |input, kernel, stride| Axis { stride, ..Axis::dense(input, kernel) };
    let square = plain([8, 24], [9, 11], [3, 3]);
    let transposed = Problem { operation: Operation::ConvTranspose, ..square };
    vec![
        square,
        plain([3, 5], [4, 4], [1, 1]),
        plain([6, 40], [12, 7], [5, 5]),
        plain([48, 1], [12, 23], [5, 5]),
        with(Axis::ONE, axis(40, 5, 2, 3, 4), square),
        with(axis(13, 3, 2, 1, 1), axis(10, 2, 3, 2, 0), square),
        Problem { planes: axis(5, 3, 1, 1, 1), batch: 2, ..square },
        with(strided(5, 3, 2), strided(6, 4, 3), transposed),
        Problem { planes: Axis::dense(3, 2), ..with(strided(5, 3, 2), strided(4, 2, 2), transposed) },
        Problem { groups: 4, accumulate: true, ..square },
        Problem { groups: 24, ..plain([24, 24], [9, 10], [3, 3]) },
        Problem { groups: 6, ..plain([6, 12], [9, 10], [5, 3]) },
    ]
}

/// How many plans computed the definition, by their algorithms, and by kind of problem and layouts.
type Served = BTreeMap<String, usize>;

/// Notes a plan that did.
fn note(served: &mut Served, plan: &Plan) {
    let problem = plan.problem();
    let layouts = [problem.src_layout, problem.dst_layout].map(Layout::name).join(" to ");
    let kinds = Kind::ALL.into_iter().filter(|&kind| problem.is(kind));
    let names =
        kinds.map(|kind| format!("{kind:?}, {layouts}")).chain([plan.info().entry.name().to_string()]);
    names.for_each(|name| *served.entry(name).or_default() += 1);
}

/// Every problem in one type.
fn check<T: Element>(served: &mut Served) -> usize {
    let half_epsilon = if T::TYPE == DataType::F32 { 2f64.powi(-24) } else { 2f64.powi(-53) };
    let mut rng = fastrand::Rng::with_seed(7);
    let mut plans = 0;
    for problem in problems() {
        let problem =
            Problem::new(Problem { data_type: T::TYPE, ..problem }).expect("the problems are valid");
        let data = Data::<T>::random(&problem, true, &mut rng);
        let expected = data.expected(&problem);
        for (src_layout, dst_layout) in Layout::PAIRS {
            let strides = Strides { channel: 1000, batch: 0 };
            for (src_strides, dst_strides) in [(Strides::PACKED, Strides::PACKED), (strides, strides)] {
                let problem = Problem { src_layout, dst_layout, src_strides, dst_strides, ..problem };
                for (math, bound) in
                    [(Math::Exact, (problem.depth() + 2) as f64 * half_epsilon), (Math::Fast, 1e-4)]
                {
                    for max_workspace_bytes in [0, usize::MAX] {
                        let options = Options { math, max_workspace_bytes, ..Options::default() };
                        let plan = Plan::new(&problem, &options)
                            .unwrap_or_else(|error| panic!("{problem}: {error:?}"));
                        for (value, expected) in run(&plan, &data).iter().zip(&expected) {
                            let value: f64 = (*value).into();
                            let error = (value - expected.value).abs();
                            assert!(
                                error <= bound * expected.magnitude,
                                "{} on {problem}",
                                plan.info().entry.name()
                            );
                        }
                        note(served, &plan);
                        plans += 1;
                    }
                }
            }
        }
    }
    plans
}

#[test]
fn auto_serves_every_problem() {
    let mut served = Served::new();
    let plans: usize = DataType::BUILT
        .iter()
        .map(|data_type| match data_type {
            DataType::F32 => check::<f32>(&mut served),
            DataType::F64 => check::<f64>(&mut served),
        })
        .sum();
    println!("parts: AUTO served {plans} plans: {served:?}");
    assert!(plans >= 350 * DataType::BUILT.len(), "{plans}");
    let count = |name: &str| served.get(name).copied().unwrap_or_default();
    // By all that it has, on every kind of problem in all layouts.
    let forward = REGISTRY.iter().filter(|entry| !entry.computes_weights());
    for entry in forward.filter(|entry| entry.products == Products::Kernels) {
        assert!(count(entry.name()) > 0, "{}", entry.name());
    }
    let winograd = REGISTRY.iter().filter(|entry| !entry.is_exact());
    assert_eq!(winograd.clone().any(|entry| count(entry.name()) > 0), winograd.count() > 0, "{served:?}");
    let built = |kind: &Kind| *kind != Kind::Float64 || DataType::BUILT.contains(&DataType::F64);
    for kind in Kind::ALL.into_iter().filter(built) {
        for (src, dst) in Layout::PAIRS {
            let name = format!("{kind:?}, {} to {}", src.name(), dst.name());
            assert!(count(&name) >= 4, "{name}: {}", count(&name));
        }
    }
}

#[test]
fn what_is_left_out_is_refused_by_name() {
    let refusal = |problem: &Problem, options: &Options| match Plan::new(problem, options) {
        Err(Error::Unsupported(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(plan) => panic!("{} serves", plan.info().entry.name()),
    };
    let problem = plain([2, 2], [4, 4], [3, 3]);
    for propagation in [Propagation::BackwardData, Propagation::BackwardWeights] {
        let gradient = Problem { propagation, ..problem };
        if cfg!(feature = "training") {
            assert!(Plan::new(&gradient, &Options::default()).is_ok(), "{gradient}");
        } else {
            let text = refusal(&gradient, &Options::default());
            assert!(text.starts_with("propagation = BACKWARD_"), "{text}");
            assert!(text.contains("cargo feature training"), "{text}");
        }
    }
    for (choice, name, feature) in
        [(BackendChoice::Blas, "blas", "openblas"), (BackendChoice::Embedded, "embedded", "gemm")]
    {
        if Backend::candidates(choice).is_err() {
            let text = refusal(&problem, &Options { gemm: choice, ..Options::default() });
            assert!(text.starts_with(&format!("gemm = {name}, ")), "{text}");
            assert!(text.contains(&format!("cargo feature {feature}")), "{text}");
        }
    }
    if !DataType::BUILT.contains(&DataType::F64) {
        let text = refusal(&Problem { data_type: DataType::F64, ..problem }, &Options::default());
        assert_eq!(text, "type = f64, but this build has none (cargo feature f64)");
    }
}
