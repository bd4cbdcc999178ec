//! All inputs that are kept, given to their targets once more.

use fuzz::{corpus, targets};

#[test]
fn kept_inputs_break_nothing() {
    for target in targets::ALL {
        let inputs = corpus::read(target.name).unwrap();
        assert!(inputs.len() >= 20, "{}: only {} inputs", target.name, inputs.len());
        for input in inputs {
            assert!(input.len() <= target.bytes_max, "{}: {} bytes", target.name, input.len());
            println!("{}: {}", target.name, input.escape_ascii());
            (target.run)(&input);
        }
    }
}
