//! What goes to a terminal: texts of jobs and workers must not steer it.
//!
//! Only there: what goes to a file or a program is what HTCondor's programs write, byte for byte.

use std::io::{self, Write};

/// Writes control characters as `\\x1b`, but for line ends and tabs.
#[derive(Debug)]
pub(crate) struct Screen<W> {
    to: W,
    /// The first byte of a control character of two (U+0080 to U+009F) may have come.
    held: bool,
}

/// First byte of U+0080 to U+00BF in UTF-8.
const LEAD: u8 = 0xC2;

impl<W: Write> Screen<W> {
    /// For this terminal.
    pub(crate) fn new(to: W) -> Screen<W> {
        Screen { to, held: false }
    }

    fn write_plain(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut out = Vec::with_capacity(bytes.len() + 16);
        for &byte in bytes {
            let held = std::mem::replace(&mut self.held, false);
            match byte {
                0x80..=0x9F if held => out.extend(format!("\\x{byte:02x}").bytes()),
                _ => {
                    out.extend(held.then_some(LEAD));
                    match byte {
                        LEAD => self.held = true,
                        b'\n' | b'\t' => out.push(byte),
                        ..=0x1F | 0x7F => out.extend(format!("\\x{byte:02x}").bytes()),
                        _ => out.push(byte),
                    }
                }
            }
        }
        self.to.write_all(&out)
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_plain(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal_wherever_it_is_cut() {
        let text = "a\tb\n\u{1b}]0;title\u{7}\r\u{9b}31m\u{7f}\u{0} ä€\u{a0}\u{c2}z";
        let wanted = "a\tb\n\\x1b]0;title\\x07\\x0d\\x9b31m\\x7f\\x00 ä€\u{a0}\u{c2}z";
        for cut in 0..=text.len() {
            let mut out = Vec::new();
            let mut screen = Screen::new(&mut out);
            screen.write_all(&text.as_bytes()[..cut]).unwrap();
            screen.write_all(&text.as_bytes()[cut..]).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), wanted, "cut at {cut}");
        }
    }
}
