//! As much of a shell as the recorded commands need: words with quotes, `$(…)`, `;`, `printf … |`, `<`, `>`, variables.

use crate::bench::{Bench, PROGRAMS};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(char),
}

/// Exit code of the last command, both streams of all; `None` for what this shell cannot do.
pub(crate) fn run(bench: &mut Bench, line: &str) -> Option<(i32, String, String)> {
    let (mut code, mut out, mut err) = (0, String::new(), String::new());
    for pipeline in sequence(line) {
        let mut piped: Vec<u8> = Vec::new();
        let tokens = tokens(&substituted(bench, pipeline)?)?;
        let commands: Vec<&[Token]> = tokens.split(|token| *token == Token::Sign('|')).collect();
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

/// Characters outside of quotes with their places and the depth of parentheses around them.
fn bare(line: &str) -> impl Iterator<Item = (usize, char, u32)> {
    let (mut open, mut depth) = (None, 0u32);
    line.char_indices().filter_map(move |(at, c)| {
        match (open, c) {
            (Some(quote), _) => {
                open = (quote != c).then_some(quote);
                return None;
            }
            (None, '\'' | '"') => {
                open = Some(c);
                return None;
            }
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        Some((at, c, depth))
    })
}

/// What `;` separates.
fn sequence(line: &str) -> Vec<&str> {
    let mut begin = 0;
    let mut parts = Vec::new();
    for (at, _, _) in bare(line).filter(|&(_, c, depth)| c == ';' && depth == 0) {
        parts.push(&line[begin..at]);
        begin = at + 1;
    }
    parts.push(&line[begin..]);
    parts
}

/// The command with what the one in `$(…)` prints in its place.
fn substituted(bench: &mut Bench, command: &str) -> Option<String> {
    let Some((begin, _, _)) = bare(command).find(|&(at, _, depth)| depth == 0 && command[at..].starts_with("$("))
    else {
        return Some(command.to_owned());
    };
    let end = bare(command).find(|&(at, c, depth)| at > begin && c == ')' && depth == 0)?.0;
    let (_, printed, _) = run(bench, &command[begin + 2..end])?;
    Some(format!("{}{}{}", &command[..begin], printed.trim_end(), &command[end + 1..]))
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
        "touch" => {
            std::fs::File::options().create(true).append(true).open(bench.path(arguments[0])).ok()?;
            (0, Vec::new(), String::new())
        }
        "cut" => {
            let (delimiter, field) = (arguments[0].strip_prefix("-d")?, arguments[1].strip_prefix("-f")?);
            let text = std::fs::read_to_string(bench.path(arguments[2])).ok()?;
            let field = field.parse::<usize>().ok()?.checked_sub(1)?;
            let line = |line: &str| line.split(delimiter).nth(field).unwrap_or_default().to_owned() + "\n";
            (0, text.lines().map(line).collect::<String>().into_bytes(), String::new())
        }
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
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '$' | '`' | '\\' => return None,
                        other => word.push(other),
                    }
                }
            }
            '$' | '`' | '&' => return None,
            ' ' => tokens.extend(word.take().map(Token::Word)),
            '|' | '<' | '>' => {
                tokens.extend(word.take().map(Token::Word));
                tokens.push(Token::Sign(c));
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    tokens.extend(word.map(Token::Word));
    Some(tokens)
}
