//! What a pure crate must not mention: clock, files, sockets, threads, environment, processes, output, randomness.
//!
//! Works on paths, not on words: `use std::{fs, io::{self, Read}}` is two paths, `fs::read` behind it is
//! `std::fs::read`, and a field or a comment named `fs` is nothing.

use std::collections::BTreeMap;

/// Paths a pure crate must not use, with everything below them.
const FORBIDDEN: &[(&str, &str)] = &[
    ("std::fs", "files"),
    ("std::net", "sockets"),
    ("std::os", "the system"),
    ("std::thread", "threads"),
    ("std::env", "the environment"),
    ("std::process", "processes"),
    ("std::io::stdin", "standard input"),
    ("std::io::stdout", "standard output"),
    ("std::io::stderr", "standard error"),
    ("std::time::Instant", "a clock"),
    ("std::time::SystemTime", "a clock"),
    ("std::time::UNIX_EPOCH", "a clock"),
    ("std::hash::RandomState", "unseeded randomness"),
    ("std::collections::hash_map::RandomState", "unseeded randomness"),
    ("jiff::Timestamp::now", "a clock"),
    ("jiff::Zoned::now", "a clock"),
    ("jiff::tz::TimeZone::system", "the environment"),
    ("dashmap", "the shell's shared maps"),
    ("getrandom", "unseeded randomness"),
    ("libc", "the system"),
    ("nix", "the system"),
    ("rand", "unseeded randomness"),
    ("socket2", "sockets"),
    ("tempfile", "files"),
    ("tokio", "the shell's runtime"),
];

/// Below a forbidden path, but only data: addresses of peers are shown to users.
const ALLOWED: &[&str] = &[
    "std::net::AddrParseError",
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
    "std::net::SocketAddrV4",
    "std::net::SocketAddrV6",
];

/// Macros that write to standard output or error.
const FORBIDDEN_MACROS: &[&str] = &["dbg", "eprint", "eprintln", "print", "println"];

/// One forbidden use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Impurity {
    /// Line, from 1.
    pub(crate) line: usize,
    /// The full path, for example `std::fs::read`.
    pub(crate) path: String,
    /// What it reaches for.
    pub(crate) reaches: &'static str,
}

/// Forbidden uses in a source text from which literals, comments and tests were taken out already.
pub(crate) fn impurities(text: &str) -> Vec<Impurity> {
    let tokens = tokens(text);
    let mut imports = BTreeMap::new();
    let mut found = Vec::new();
    let mut at = 0;
    let mut in_use = false;
    while at < tokens.len() {
        let token = &tokens[at];
        match token.text {
            // Not the `use<'a>` of a return type.
            "use" => in_use = tokens.get(at + 1).is_some_and(|next| next.text != "<"),
            ";" => in_use = false,
            _ => {}
        }
        if token.is_word() && tokens.get(at + 1).is_some_and(|next| next.text == "!") {
            if FORBIDDEN_MACROS.contains(&token.text) {
                let path = format!("{}!", token.text);
                found.push(Impurity { line: token.line, path, reaches: "standard output or error" });
            }
        } else if begins_path(&tokens, at) {
            let mut paths = Vec::new();
            at = path_tree(&tokens, at, String::new(), &mut paths);
            for Path { line, path, alias } in paths {
                let path = resolved(&imports, path);
                if in_use {
                    imports.insert(alias, path.clone());
                }
                if let Some(reaches) = reaches(&path, in_use) {
                    found.push(Impurity { line, path, reaches });
                }
            }
            continue;
        }
        at += 1;
    }
    found
}

/// A path and the name under which an import makes it known.
struct Path {
    line: usize,
    path: String,
    alias: String,
}

struct Token<'a> {
    text: &'a str,
    line: usize,
}

impl Token<'_> {
    fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Words, `::`, `->` (its `>` closes no generics), and single other characters.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
            } else if rest.starts_with("::") || rest.starts_with("->") {
                2
            } else {
                first.len_utf8()
            };
            found.push(Token { text: &rest[..length], line: number + 1 });
            rest = rest[length..].trim_start();
        }
    }
    found
}

/// A word that nothing stands before which makes it a part of something else (`x.fs`, `a::fs`, `<T>::fs`).
fn begins_path(tokens: &[Token<'_>], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|place| &tokens[place]);
    let absolute = before(1).is_some_and(|token| token.text == "::")
        && before(2).is_none_or(|token| !token.is_word() && token.text != ">" && token.text != "{");
    let part = before(1).is_some_and(|token| matches!(token.text, "::" | "." | "'"));
    tokens[at].is_word() && (absolute || !part)
}

/// Reads a path, or a tree of paths in braces, from `at`; gives the place behind it.
fn path_tree(tokens: &[Token<'_>], mut at: usize, mut prefix: String, paths: &mut Vec<Path>) -> usize {
    loop {
        let Some(token) = tokens.get(at) else { return at };
        if token.text == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token.text != "}") {
                let before = at;
                if tokens[at].text != "," {
                    at = path_tree(tokens, at, prefix.clone(), paths);
                }
                // A character that belongs to no path is stepped over.
                at = at.max(before + 1);
            }
            return at + 1;
        }
        if !token.is_word() && token.text != "*" {
            return at;
        }
        if token.text != "self" || prefix.is_empty() {
            prefix = if prefix.is_empty() { token.text.to_owned() } else { format!("{prefix}::{}", token.text) };
        }
        at += 1;
        let goes_on = tokens.get(at).is_some_and(|next| next.text == "::")
            && tokens.get(at + 1).is_some_and(|next| next.is_word() || matches!(next.text, "{" | "*"));
        if goes_on {
            at += 1;
            continue;
        }
        let renamed = tokens.get(at).is_some_and(|next| next.text == "as");
        let alias = if renamed { tokens.get(at + 1).map(|name| name.text) } else { None };
        let alias = alias.unwrap_or_else(|| prefix.rsplit("::").next().expect("a split has a first part"));
        paths.push(Path { line: token.line, alias: alias.to_owned(), path: prefix.clone() });
        return if renamed { at + 2 } else { at };
    }
}

/// The path with an imported first part written out.
fn resolved(imports: &BTreeMap<String, String>, path: String) -> String {
    let (first, rest) = path.split_once("::").unwrap_or((&path, ""));
    match imports.get(first) {
        Some(full) if full != first && !rest.is_empty() => format!("{full}::{rest}"),
        _ => path.replacen("core::", "std::", usize::from(first == "core")),
    }
}

/// What a path reaches for that it must not; a glob import counts if something forbidden stands directly below it.
fn reaches(path: &str, in_use: bool) -> Option<&'static str> {
    let below =
        |path: &str, top: &str| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    if ALLOWED.iter().any(|allowed| below(path, allowed)) {
        return None;
    }
    let is_crate = |top: &str| !top.contains("::");
    FORBIDDEN
        .iter()
        .find(|(top, _)| {
            let glob = in_use && path.strip_suffix("*").is_some_and(|parent| top.starts_with(parent));
            // A crate's bare name is also a usual name of a variable; it reaches for something when a path follows.
            let named = below(path, top) && (!is_crate(top) || in_use || path != *top);
            glob || named
        })
        .map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rust_source::{without_literals, without_tests};

    fn check(source: &str, wanted: &[&str]) {
        let found: Vec<_> =
            impurities(&without_tests(&without_literals(source))).into_iter().map(|found| found.path).collect();
        assert_eq!(found, wanted, "{source}");
    }

    #[test]
    fn forbidden_paths_are_found_in_any_clothes() {
        check("use std::fs;", &["std::fs"]);
        check("use std::fs::{self, File};", &["std::fs", "std::fs::File"]);
        check("use std::{collections::BTreeMap, fs::File, io::{Read, stdin}};", &["std::fs::File", "std::io::stdin"]);
        check("fn f() { std::thread::spawn(g); }", &["std::thread::spawn"]);
        check("fn f() -> ::std::time::SystemTime { g() }", &["std::time::SystemTime"]);
        check("use std::time; fn f() { time::Instant::now(); }", &["std::time::Instant::now"]);
        check("use std::io as inout; fn f() { inout::stdout(); }", &["std::io::stdout"]);
        check("use std::time::*;", &["std::time::*"]);
        check("use std::*;", &["std::*"]);
        check("use core::net::TcpStream;", &["std::net::TcpStream"]);
        check("struct S(Vec<std::net::TcpStream>);", &["std::net::TcpStream"]);
        check("use tokio::sync::mpsc;", &["tokio::sync::mpsc"]);
        check("use jiff::Timestamp; fn f() { Timestamp::now() }", &["jiff::Timestamp::now"]);
        check("fn f() { nix::unistd::getpid(); println!(); }", &["nix::unistd::getpid", "println!"]);
        check("fn f() { std::env::var(X).ok(); }", &["std::env::var"]);
    }

    #[test]
    fn harmless_code_is_left_alone() {
        check("use std::time::Duration; use std::io::{self, Read}; fn f() -> io::Result<()> { g() }", &[]);
        check("use std::net::{IpAddr, SocketAddr}; fn f(a: std::net::SocketAddr) {}", &[]);
        check("// std::fs\n/// [`std::thread`]\nfn f() { g(\"std::env::var\"); }", &[]);
        check("fn f(s: S) { s.fs.thread(); let rand = 1; g(rand); s.nix::<u8>(); }", &[]);
        check("mod fs { pub fn read() {} } fn f() { self::fs::read(); crate::fs::read(); }", &[]);
        check("use jiff::Timestamp; fn f() { Timestamp::from_second(1); }", &[]);
        check("#[cfg(test)]\nmod tests { use std::fs; }", &[]);
        check("use std::collections::{BTreeMap, hash_map::Entry}; use super::*;", &[]);
        check("fn f<'a>(x: &'a X) -> impl Y + use<'a> { let nix = g(); nix }", &[]);
        check("let x = env!(\"CARGO_PKG_VERSION\");", &[]);
    }

    #[test]
    fn places_are_lines_of_the_file() {
        let found = impurities(&without_literals("//! doc\n\nuse std::{\n    fs,\n};\n"));
        assert_eq!(found, [Impurity { line: 4, path: "std::fs".into(), reaches: "files" }]);
    }
}
