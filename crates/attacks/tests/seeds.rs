//! Each input that is kept in `fuzz/seeds`, once: those that broke something, and those that reach far. The fuzzer
//! goes on from them.

use std::fs;
use std::path::Path;

use convlow_attacks::{ATTACKS, Attack};

/// All in one test: what is measured is known to the whole process, and one attack forgets it.
#[test]
fn every_seed_is_withstood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let mut seeds = 0;
    for Attack { name, run } in ATTACKS {
        let files = fs::read_dir(folder.join(name)).expect("a folder of seeds for each attack");
        let mut files: Vec<_> = files.map(|file| file.expect("a file of the folder").path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no seeds");
        for file in &files {
            println!("{}", file.display());
            assert!(run(&fs::read(file).expect("a seed")), "{} is no input to {name}", file.display());
        }
        seeds += files.len();
    }
    let folders = fs::read_dir(folder).expect("the seeds").count();
    assert_eq!(folders, ATTACKS.len(), "each folder of seeds belongs to an attack");
    println!("fuzz seeds: {seeds} inputs to {folders} attacks, none broke anything");
}
