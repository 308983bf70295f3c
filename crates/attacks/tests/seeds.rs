//! Each input that is kept in `fuzz/seeds`, once: those that broke something, and those that reach far. The fuzzer
//! goes on from them.

use std::fs;
use std::path::Path;

use convlow_attacks::{ATTACKS, Attack};

/// All in one test: what is measured is known to the whole process, and one attack forgets it.
#[test]
fn every_seed_is_withstood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let (mut seeds, mut inputs) = (0, 0);
    for Attack { name, run } in ATTACKS {
        let files = fs::read_dir(folder.join(name)).expect("a folder of seeds for each attack");
        let mut files: Vec<_> = files.map(|file| file.expect("a file of the folder").path()).collect();
        files.sort();
        let mut taken = 0;
        for file in &files {
            println!("{}", file.display());
            taken += usize::from(run(&fs::read(file).expect("a seed")));
        }
        assert!(taken > 0, "no seed of {name} is an input to it");
        (seeds, inputs) = (seeds + files.len(), inputs + taken);
    }
    let folders = fs::read_dir(folder).expect("the seeds").count();
    assert_eq!(folders, ATTACKS.len(), "each folder of seeds belongs to an attack");
    println!("fuzz seeds: {inputs} of {seeds} are inputs to {folders} attacks, none broke anything");
}
