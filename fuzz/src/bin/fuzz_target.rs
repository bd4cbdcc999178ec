//! The process that libFuzzer lives in: one target, named by `FUZZ_TARGET`. Started by the driver.
#![no_main]

use std::sync::OnceLock;

use fuzz::targets::{self, Target};

static TARGET: OnceLock<&Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        targets::named(&name).expect("FUZZ_TARGET names a target")
    });
    (target.run)(bytes);
});
