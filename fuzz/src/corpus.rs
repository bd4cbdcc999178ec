//! Kept inputs: one file for each target, one input a line, sorted, bytes that are not plain text escaped as in Rust.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Where the inputs of a target are kept.
pub fn file(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(format!("{target}.txt"))
}

/// The kept inputs of a target.
///
/// # Errors
/// The file cannot be read, or a line is not one that [`write()`] writes.
pub fn read(target: &str) -> Result<Vec<Vec<u8>>> {
    let path = file(target);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines().map(|line| unescape(line).with_context(|| format!("{}: {line}", path.display()))).collect()
}

/// Replaces the kept inputs of a target.
///
/// # Errors
/// The file cannot be written.
pub fn write(target: &str, inputs: &[Vec<u8>]) -> Result<()> {
    let mut lines: Vec<String> = inputs.iter().map(|input| format!("{}\n", input.escape_ascii())).collect();
    lines.sort();
    lines.dedup();
    let path = file(target);
    std::fs::write(&path, lines.concat()).with_context(|| format!("cannot write {}", path.display()))
}

fn unescape(line: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'x') => {
                let digits = [rest.next().unwrap_or_default(), rest.next().unwrap_or_default()];
                let digits = std::str::from_utf8(&digits).context("two digits follow \\x")?;
                u8::from_str_radix(digits, 16).context("two digits follow \\x")?
            }
            Some(other @ (b'\\' | b'\'' | b'"')) => other,
            other => bail!("\\ before {:?}", other.map(char::from)),
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_survive(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(unescape(&bytes.escape_ascii().to_string()).unwrap(), bytes);
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for line in ["\\", "\\q", "\\x1", "\\xé"] {
            assert!(unescape(line).is_err(), "{line}");
        }
    }
}
