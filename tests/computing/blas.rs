//! The BLAS that a build links, by itself or by the crate `openblas-src`.

use convlow::algorithms::Entry;
use convlow::gemm::{Backend, BackendChoice};
use convlow::{Pool, build_info};

use crate::common::{Data, backends, options, padded, plan_for, run};

/// What a plan says of its GEMM is what runs: OpenBLAS answers from its own code, and its sums are the definition's.
#[test]
fn a_plan_that_asks_for_the_blas_runs_on_openblas() {
    let info = build_info();
    assert!(info.contains("gemm blas: OpenBLAS "), "{info}");
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    assert!(!cfg!(target_os = "linux") || maps.contains("libopenblas"), "no OpenBLAS is loaded");

    let problem = padded([16, 24], [20, 20], [3, 3], 1);
    let data: Data = Data::integers(&problem, true, &mut fastrand::Rng::with_seed(17));
    let expected = data.expected(&problem);
    let entry = Entry::by_name(c"im2col-scan-ab-ki").expect("an algorithm of the feature gemm");
    for (choice, backend) in backends() {
        let plan =
            plan_for(&problem, &options(entry, choice, &Pool::SERIAL)).expect("it computes the problem");
        assert_eq!(plan.info().backend, Some(backend));
        assert_eq!(plan.info().gemm_name(), Some(backend.name()));
        assert!(plan.info().gemm_calls > 0);
        for (value, expected) in run(&plan, &data).iter().zip(&expected) {
            assert_eq!(f64::from(*value), expected.value, "{}", backend.name());
        }
    }
    assert_eq!(backends()[0], (BackendChoice::Blas, Backend::Blas));
    println!("blas: 1 of {} GEMMs, {}", backends().len(), info.split("; ").nth(1).expect("the first GEMM"));
}
