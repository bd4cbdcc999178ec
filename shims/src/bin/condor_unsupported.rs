//! Whatever name it is linked to: `NAME: not supported by alien-workqueue`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let path = std::env::args_os().next().map(std::path::PathBuf::from).unwrap_or_default();
    let name = path.file_name().map_or_else(|| "condor".to_owned(), |name| name.to_string_lossy().into_owned());
    // The name lives as long as the process.
    shims::world::main(name.leak(), shims::unsupported::run)
}
