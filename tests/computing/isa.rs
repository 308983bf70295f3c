//! Weights that were packed under other vector instructions are refused or lie alike; they are never misread.

use std::path::PathBuf;

use convlow::algorithms::{Entry, Products, REGISTRY};
use convlow::gemm::BackendChoice;
use convlow::{Buffer, Error, Layout, Plan, Pool, Problem};

use crate::common::{self, Data, from_layout, padded, plan_for, weights_to_layout};

/// Channels in several blocks of any instructions.
fn problem() -> Problem {
    padded([5, 70], [6, 7], [3, 3], 1)
}

fn data() -> Data {
    Data::integers(&problem(), false, &mut fastrand::Rng::with_seed(11))
}

/// Every algorithm on kernels, in layouts that it takes.
fn plans() -> Vec<(&'static Entry, Plan)> {
    let mut plans = Vec::new();
    for entry in REGISTRY.iter().filter(|entry| entry.products == Products::Kernels) {
        for (src_layout, dst_layout) in Layout::PAIRS {
            let problem = Problem { src_layout, dst_layout, ..problem() };
            let options = common::options(entry, BackendChoice::Auto, &Pool::SERIAL);
            plans.extend(plan_for(&problem, &options).map(|plan| (entry, plan)));
        }
    }
    plans
}

fn pack(plan: &Plan) -> Vec<u8> {
    let mut packed = Buffer::new(plan.info().packed_weights_bytes).expect("small weights");
    let weights = weights_to_layout(&data().weights, plan.problem());
    plan.pack_weights(&weights, packed.bytes_mut()).expect("the lengths agree");
    packed.bytes().to_vec()
}

/// Where the weights packed under some instructions lie.
fn blob(isa: &str, number: usize) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("isa-{isa}-{number}.packed"))
}

#[test]
fn weights_are_packed() {
    let isa = common::instructions();
    for (number, (_, plan)) in plans().iter().enumerate() {
        std::fs::write(blob(isa, number), pack(plan)).expect("written");
    }
}

/// Promise 3: foreign weights are refused.
#[test]
fn weights_packed_under_other_instructions_are_never_misread() {
    let own = common::instructions();
    let expected: Vec<f64> = data().expected(&problem()).iter().map(|output| output.value).collect();
    for isa in common::instructions_to_try().into_iter().filter(|isa| isa.name() != own) {
        common::with_instructions(isa, module_path!(), &["weights_are_packed"]);
        let mut refused = 0;
        for (number, (entry, plan)) in plans().iter().enumerate() {
            let foreign = std::fs::read(blob(isa.name(), number)).expect("it was packed");
            let mut packed = Buffer::new(foreign.len()).expect("small weights");
            packed.bytes_mut().copy_from_slice(&foreign);
            let problem = plan.problem();
            let sizes = common::src_sizes(problem);
            let src = common::to_layout(&data().src, problem.src_layout, sizes);
            let mut dst = vec![0.5; problem.dst_len()];
            let mut workspace = Buffer::new(plan.info().workspace_bytes).expect("a small workspace");
            match plan.execute(&src, packed.bytes(), None, &mut dst, workspace.elements_mut::<f32>()) {
                Ok(()) => {
                    assert!(foreign == pack(plan), "{}: other weights were taken", entry.name());
                    let dst = from_layout(&dst, problem.dst_layout, common::dst_sizes(problem));
                    assert!(dst.iter().map(|&value| f64::from(value)).eq(expected.iter().copied()));
                }
                Err(Error::WeightsMismatch(text)) => {
                    assert!(text.contains("channels of a block"), "{text}");
                    assert!(dst.iter().all(|&value| value == 0.5), "a refused call writes nothing");
                    refused += 1;
                }
                Err(other) => panic!("{}: {other:?}", entry.name()),
            }
        }
        println!("{refused} packed under {} refused under {own}", isa.name());
        assert!(refused > 0, "some blocks differ between {} and {own}", isa.name());
    }
}
