//! As much of a shell as the recorded commands need: words with quotes, `;`, `printf … |`, `<`, `>`, variables.

use crate::bench::{Bench, PROGRAMS};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(char),
}

/// Exit code of the last command, both streams of all; `None` for what this shell cannot do.
pub(crate) fn run(bench: &mut Bench, line: &str) -> Option<(i32, String, String)> {
    let tokens = tokens(line)?;
    let (mut code, mut out, mut err) = (0, String::new(), String::new());
    for pipeline in tokens.split(|token| *token == Token::Sign(';')) {
        let mut piped: Vec<u8> = Vec::new();
        let commands: Vec<&[Token]> = pipeline.split(|token| *token == Token::Sign('|')).collect();
        for (index, command) in commands.iter().enumerate() {
            let last = index + 1 == commands.len();
            let (result, printed, complaint) = simple(bench, command, &piped)?;
            err.push_str(&complaint);
            if last {
                code = result;
                out.push_str(&String::from_utf8(printed).unwrap());
            } else {
                piped = printed;
            }
        }
    }
    Some((code, out, err))
}

fn simple(bench: &mut Bench, command: &[Token], piped: &[u8]) -> Option<(i32, Vec<u8>, String)> {
    let mut words: Vec<&str> = Vec::new();
    let mut variables: Vec<(String, String)> = Vec::new();
    let (mut input, mut output) = (piped.to_vec(), None);
    let mut tokens = command.iter();
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) => match word.split_once('=') {
                Some((name, value)) if words.is_empty() => variables.push((name.into(), value.into())),
                _ => words.push(word),
            },
            Token::Sign(sign) => {
                let Some(Token::Word(file)) = tokens.next() else { return None };
                match sign {
                    '<' => input = std::fs::read(bench.path(file)).ok()?,
                    _ => output = Some(file),
                }
            }
        }
    }
    let (program, arguments) = words.split_first()?;
    let (code, mut out, err) = match *program {
        "printf" => (0, arguments[0].replace("\\n", "\n").into_bytes(), String::new()),
        "echo" => (0, format!("{}\n", arguments.join(" ")).into_bytes(), String::new()),
        "sleep" => (0, Vec::new(), String::new()),
        "cat" => (0, std::fs::read(bench.path(arguments[0])).ok()?, String::new()),
        "tail" => {
            let count: usize = arguments[0].strip_prefix('-')?.parse().ok()?;
            let text = String::from_utf8(input).unwrap();
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            (0, lines[lines.len().saturating_sub(count)..].concat().into_bytes(), String::new())
        }
        program if PROGRAMS.iter().any(|(name, _)| *name == program) => {
            bench.world.variables = variables;
            let outcome = bench.run_with(program, arguments, &mut input.as_slice());
            bench.world.variables = Vec::new();
            (outcome.code, outcome.out, String::from_utf8(outcome.err).unwrap())
        }
        _ => return None,
    };
    if let Some(file) = output {
        std::fs::write(bench.path(file), &out).unwrap();
        out.clear();
    }
    Some((code, out, err))
}

fn tokens(line: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '$' | '`' | '&' => return None,
            '"' => return None,
            ' ' => tokens.extend(word.take().map(Token::Word)),
            ';' | '|' | '<' | '>' => {
                tokens.extend(word.take().map(Token::Word));
                tokens.push(Token::Sign(c));
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    tokens.extend(word.map(Token::Word));
    Some(tokens)
}
