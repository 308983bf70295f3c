//! AUTO takes the quickest of what fits: by the estimate, or by the clock once something was measured.

mod common;

use convlow::planner::{query, wisdom};
use convlow::{Effort, Options, Plan, Problem};

/// One test, because what is measured is known to the whole process.
#[test]
fn auto_takes_the_quickest_that_fits() {
    let problem = common::padded([16, 24], [20, 20], [3, 3], 1);
    let limits = [0, 20_000, 200_000, usize::MAX];
    for limit in limits {
        let options = Options { max_workspace_bytes: limit, ..Options::default() };
        check(&problem, &options, |info| info.estimated_seconds);
    }
    for limit in limits {
        let options = Options {
            max_workspace_bytes: limit,
            effort: Effort::Measure,
            measure_budget_seconds: 60.0,
            ..Options::default()
        };
        check(&problem, &options, |info| info.measured_seconds);
    }
    // What was measured serves plans that do not measure, in this process and, as text, in the next.
    let known = wisdom::export().expect("a small copy").to_string();
    let by_measure = Plan::new(&problem, &Options::default()).expect("a valid problem");
    assert!(by_measure.info().measured_seconds > 0.0);
    wisdom::forget();
    let by_estimate = Plan::new(&problem, &Options::default()).expect("a valid problem");
    assert_eq!(by_estimate.info().measured_seconds, 0.0);
    wisdom::import(&known).expect("its own text");
    let again = Plan::new(&problem, &Options::default()).expect("a valid problem");
    assert_eq!(again.info().entry.id, by_measure.info().entry.id);
    assert_eq!(again.info().measured_seconds, by_measure.info().measured_seconds);
}

fn check(problem: &Problem, options: &Options, time: fn(&convlow::Info) -> f64) {
    let infos = query(problem, options).expect("a valid problem");
    let chosen: Vec<_> = infos.iter().filter(|info| info.reason.is_none()).collect();
    let [chosen] = chosen[..] else { panic!("{} were chosen", chosen.len()) };
    let plan = Plan::new(problem, options).expect("a valid problem");
    assert_eq!(plan.info().entry.id, chosen.entry.id);
    let fitting: Vec<_> = infos
        .iter()
        .filter(|info| info.applicable && info.workspace_bytes <= options.max_workspace_bytes)
        .collect();
    assert!(fitting.iter().all(|info| time(info) > 0.0), "every one has a time");
    let quickest = fitting.iter().map(|info| time(info)).fold(f64::INFINITY, f64::min);
    assert_eq!(time(chosen), quickest, "{}", chosen.entry.name());
    assert!(chosen.workspace_bytes <= options.max_workspace_bytes);
}
