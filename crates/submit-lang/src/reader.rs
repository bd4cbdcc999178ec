//! Statements up to the next `queue`: assignments, conditions, includes.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while1};
use nom::character::complete::{anychar, char, one_of};
use nom::combinator::{eof, opt, peek, value, verify};
use nom::sequence::preceded;
use nom::{IResult, Parser};

use crate::arguments;
use crate::condition::Conditions;
use crate::expand::{check_marks, expand, expand_self};
use crate::lines::{Lines, is_space};
use crate::macros::{Macros, Numbers};
use crate::refusal::Refusal;
use crate::world::FileError;

/// Files included by included files, and so on.
const INCLUDE_DEPTH_MAX: u32 = 19;

/// Why reading stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A line or a file that cannot be read; the place is added by the caller.
    Fault(Fault),
    /// A value that cannot be expanded.
    Refusal(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refusal(refusal)
    }
}

/// What is said about a line: behind its number, and in the lines after it.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    pub(crate) detail: String,
    /// Messages, newest first, each with its code.
    pub(crate) trace: Vec<(i32, String)>,
    /// The line belongs to the language of `condor_submit_dag`.
    pub(crate) dag: bool,
    code: i32,
}

impl Fault {
    fn detail(detail: impl Into<String>) -> Stop {
        Stop::Fault(Fault { detail: detail.into(), code: -1, ..Fault::default() })
    }

    fn traced(message: String) -> Stop {
        Stop::Fault(Fault { trace: vec![(-1, message)], code: -1, ..Fault::default() })
    }

    /// The messages as they are printed.
    pub(crate) fn trace_text(&self) -> String {
        let messages: Vec<String> = self.trace.iter().map(|(code, text)| format!("Submit:{code}:{text}")).collect();
        messages.join("|")
    }
}

/// Words with which lines of a DAG description begin.
const DAG_COMMANDS: [&str; 24] = [
    "JOB",
    "PROVISIONER",
    "FINAL",
    "SERVICE",
    "SPLICE",
    "SUBDAG",
    "PARENT",
    "SUBMIT-DESCRIPTION",
    "DONE",
    "PRE_SKIP",
    "SCRIPT",
    "PRIORITY",
    "VARS",
    "CATEGORY",
    "MAXJOBS",
    "ABORT-DAG-ON",
    "CONFIG",
    "ENV",
    "SET_JOB_ATTR",
    "DOT",
    "JOBSTATE_LOG",
    "NODE_STATUS_FILE",
    "SAVE_POINT_FILE",
    "REJECT",
];

/// What follows `queue` if the line is such a statement. `iterate` is another word for it.
pub(crate) fn queue_arguments(line: &str) -> Option<&str> {
    let end = line.find(is_space).unwrap_or(line.len());
    let word = line[..end].to_ascii_lowercase();
    let is_queue = word == "queue" || (word.len() >= 4 && "iterate".starts_with(&word));
    is_queue.then(|| line[end..].trim_start_matches(is_space))
}

/// One file being read, with its messages.
pub(crate) struct Reader<'n> {
    /// As messages call the file.
    name: &'n str,
    depth: u32,
    warnings: Vec<String>,
}

/// What stands between name and value of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// `=`
    Assign,
    /// `:`
    Colon,
    /// `@=`: the value follows on the next lines.
    Here,
    /// `+=`, perhaps with a sign between the two, once or twice.
    Extend(Option<(char, bool)>),
    /// Something else, or nothing.
    None,
}

/// The parts of a line around its operator.
#[derive(Debug, PartialEq, Eq)]
struct Statement<'a> {
    name: &'a str,
    /// Words between the name and the operator.
    between: &'a str,
    operator: Operator,
    value: &'a str,
}

fn is_operator(c: char) -> bool {
    c == '=' || c == ':'
}

/// `,=` `;=` `|=` `&=` `*=` and their doubles, behind a `+`.
fn extension(input: &str) -> IResult<&str, Operator> {
    let (input, sign) = opt(one_of(",;|&*")).parse_complete(input)?;
    let (input, again) = opt(verify(anychar, |c| Some(*c) == sign)).parse_complete(input)?;
    value(Operator::Extend(sign.map(|sign| (sign, again.is_some()))), char('=')).parse_complete(input)
}

fn operator(input: &str) -> IResult<&str, Operator> {
    let here = value(Operator::Here, tag("@="));
    let extend = preceded(char('+'), extension);
    let other = value(Operator::None, one_of("@+"));
    let end = value(Operator::None, eof);
    alt((value(Operator::Assign, char('=')), value(Operator::Colon, char(':')), here, extend, other, end))
        .parse_complete(input)
}

/// `None`: a single word.
fn parse(line: &str) -> Option<Statement<'_>> {
    let name = take_till(|c| is_space(c) || is_operator(c));
    // Only blanks let `@=` and `+=` begin; directly behind a name their first signs belong to it.
    let between = preceded(take_while1(is_space), take_till(|c| is_operator(c) || c == '@' || c == '+'));
    let parts: IResult<&str, _> = (name, peek(anychar), opt(between), operator).parse_complete(line);
    let (value, (name, _, between, operator)) = parts.ok()?;
    let between = between.unwrap_or_default().trim_end_matches(is_space);
    Some(Statement { name, between, operator, value: value.trim_start_matches(is_space) })
}

impl<'n> Reader<'n> {
    pub(crate) fn new(name: &'n str) -> Reader<'n> {
        Reader { name, depth: 0, warnings: Vec::new() }
    }

    /// Texts of `warning :` lines.
    pub(crate) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Reads statements; returns what follows `queue`, or `None` at the end of the text.
    pub(crate) fn read(&mut self, lines: &mut Lines<'_>, macros: &mut Macros<'_>) -> Result<Option<String>, Stop> {
        let mut conditions = Conditions::default();
        let mut here: Option<(String, String, Vec<String>)> = None;
        while let Some(line) = lines.next_line() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some((key, tag, text)) = &mut here {
                if line.strip_prefix('@') == Some(tag.as_str()) {
                    let value = expand_self(&text.join("\n"), key, macros)?;
                    macros.set(key, value);
                    here = None;
                } else {
                    text.push(line);
                }
                continue;
            }
            let line = match line.strip_prefix(':') {
                Some(rest) if conditions.inside() || queue_word(rest) == "if" => rest,
                _ => &line,
            };
            match conditions.take(line, macros)? {
                Err(detail) => return Err(Fault::detail(detail)),
                Ok(true) => continue,
                Ok(false) if !conditions.enabled() => continue,
                Ok(false) => {}
            }
            match self.statement(line, lines.line, macros)? {
                Done::Read => {}
                Done::Here(key, tag) => here = Some((key, tag, Vec::new())),
                Done::Queue(arguments) => return Ok(Some(arguments)),
            }
        }
        if let Some((_, tag, _)) = here {
            let message = format!("Found end-of-file while scanning for '@{tag}' in {}\n", self.name);
            return Err(Fault::traced(message));
        }
        if conditions.inside() {
            let message = format!("Error \"{}\", Line {}: \n", self.name, lines.line);
            return Err(Stop::Fault(Fault {
                detail: "endif(s) not found before end-of-file".to_owned(),
                trace: vec![(-1, message)],
                code: -1,
                dag: false,
            }));
        }
        Ok(None)
    }

    /// One line of `-append`: an assignment.
    pub(crate) fn append(&mut self, line: &str, macros: &mut Macros<'_>) -> Result<(), Stop> {
        let line = line.trim_matches(is_space);
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        match self.statement(line, 0, macros)? {
            Done::Read => Ok(()),
            Done::Here(..) | Done::Queue(_) => Err(Fault::detail("")),
        }
    }

    fn queue(&self, line: &str) -> Result<Done, Stop> {
        match queue_arguments(line) {
            None => {
                let first = line.split([' ', '\t']).find(|word| !word.is_empty()).unwrap_or_default();
                let dag = DAG_COMMANDS.iter().any(|command| command.eq_ignore_ascii_case(first));
                Err(Stop::Fault(Fault { dag, code: -1, ..Fault::default() }))
            }
            Some(_) if self.depth > 0 => Err(Stop::Fault(Fault {
                detail: "Queue statement not allowed in include file or command".to_owned(),
                code: -5,
                ..Fault::default()
            })),
            Some(arguments) => Ok(Done::Queue(arguments.to_owned())),
        }
    }

    fn statement(&mut self, line: &str, number: u32, macros: &mut Macros<'_>) -> Result<Done, Stop> {
        let Some(statement) = parse(line) else { return self.queue(line) };
        let keyword = statement.name.strip_prefix('@').unwrap_or(statement.name).to_ascii_lowercase();
        let at = |kind: &str, text: &str| format!("{kind} \"{}\", Line {number}: {text}\n", self.name);
        if statement.operator == Operator::Colon {
            match keyword.as_str() {
                "include" => {
                    self.include(&statement, number, macros)?;
                    return Ok(Done::Read);
                }
                "use" => {
                    let message = at("Error", &format!("at use {}:{}", statement.between, statement.value));
                    return Err(Fault::traced(message));
                }
                "error" => {
                    let text = expand(statement.value, macros, Numbers::Digits)?;
                    return Err(Fault::traced(at("Error", &text)));
                }
                "warning" => {
                    let text = expand(statement.value, macros, Numbers::Digits)?;
                    self.warnings.push(format!("WARNING: {}", at("Warning", &text)));
                    return Ok(Done::Read);
                }
                _ => {}
            }
        }
        if !statement.between.is_empty() {
            return self.queue(line);
        }
        let name = expand(statement.name, macros, Numbers::Digits)?;
        let sign = name.chars().next().filter(|c| "+-".contains(*c));
        if let (Operator::Assign, Some(sign)) = (statement.operator, sign) {
            let key = format!("MY.{}", &name[1..]);
            let value = if sign == '+' { expand_self(statement.value, &key, macros)? } else { String::new() };
            macros.set(&key, value);
            return Ok(Done::Read);
        }
        if matches!(statement.operator, Operator::Colon | Operator::None) || name.eq_ignore_ascii_case("queue") {
            return self.queue(line).map_err(|stop| match stop {
                Stop::Fault(Fault { code: -1, dag: false, .. }) => Stop::Fault(Fault {
                    detail: "invalid queue statement.".to_owned(),
                    trace: vec![(-1, at("Error", &format!("cannot parse: {line}")))],
                    code: -1,
                    dag: false,
                }),
                other => other,
            });
        }
        if !name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_./".contains(&c)) || name.is_empty() {
            return Err(Fault::traced(at("Error", &format!("Illegal Identifier: <{name}>"))));
        }
        match statement.operator {
            Operator::Here => return Ok(Done::Here(name, statement.value.to_owned())),
            Operator::Extend(separator) => {
                let earlier =
                    macros.lookup(&name.to_ascii_lowercase(), Numbers::Marks).filter(|value| !value.is_empty());
                let value = match (earlier, separator) {
                    (None, _) => statement.value.to_owned(),
                    (Some(earlier), None) => format!("{earlier} {}", statement.value),
                    (Some(earlier), Some((sign, false))) => format!("{earlier}{sign}{}", statement.value),
                    (Some(earlier), Some((sign, true))) => format!("{earlier} {sign}{sign} {}", statement.value),
                };
                let value = expand_self(&value, &name, macros)?;
                macros.set(&name, value);
            }
            _ => {
                let value = expand_self(statement.value, &name, macros)?;
                macros.set(&name, value);
            }
        }
        Ok(Done::Read)
    }

    fn include(&mut self, statement: &Statement<'_>, number: u32, macros: &mut Macros<'_>) -> Result<(), Stop> {
        let (mut if_exists, mut command) = (false, false);
        for word in statement.between.split(is_space).filter(|word| !word.is_empty()) {
            match word.to_ascii_lowercase().as_str() {
                "ifexist" | "ifexists" => if_exists = true,
                "command" => command = true,
                _ => {
                    return Err(Fault::traced(format!(
                        "Error \"{}\", Line {number}: unexpected keyword(s) '{}' after include \n",
                        self.name, statement.between
                    )));
                }
            }
        }
        let source = expand(statement.value, macros, Numbers::Digits)?;
        let text = match read_source(&source, command, macros) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(_) if if_exists => return Ok(()),
            Err(problem) => {
                return Err(self.included(&source, 0, Fault { detail: problem, code: -1, ..Fault::default() }));
            }
        };
        if self.depth >= INCLUDE_DEPTH_MAX {
            let fault = Fault { detail: "includes nested too deep".to_owned(), code: -2, ..Fault::default() };
            return Err(self.included(&source, 0, fault));
        }
        let mut lines = Lines::new(&text);
        let mut inner = Reader { name: &source, depth: self.depth + 1, warnings: Vec::new() };
        let result = inner.read(&mut lines, macros);
        self.warnings.append(&mut inner.warnings);
        match result {
            Ok(_) => Ok(()),
            Err(Stop::Fault(fault)) => Err(self.included(&source, lines.line, fault)),
            Err(refusal) => Err(refusal),
        }
    }

    /// A fault inside an included file, as the including one reports it.
    fn included(&self, source: &str, line: u32, mut fault: Fault) -> Stop {
        let depth = self.depth + 1;
        let message = format!("Error \"{source}\", Line {line}, Include Depth {depth}: {}\n", fault.detail);
        fault.trace.insert(0, (fault.code, message));
        fault.detail.clear();
        Stop::Fault(fault)
    }
}

fn queue_word(rest: &str) -> &str {
    rest.split(is_space).next().unwrap_or_default()
}

/// The bytes of a file, or with `command` or a `|` at its end of what a command writes. The error is the detail.
pub(crate) fn read_source(source: &str, command: bool, macros: &Macros<'_>) -> Result<Vec<u8>, String> {
    let bytes = read_bytes(source, command, macros)?;
    check_marks(&String::from_utf8_lossy(&bytes)).map_err(|refusal| refusal.to_string())?;
    Ok(bytes)
}

fn read_bytes(source: &str, command: bool, macros: &Macros<'_>) -> Result<Vec<u8>, String> {
    let piped = source.trim_end_matches(is_space).strip_suffix('|');
    let Some(words) = piped.or_else(|| command.then_some(source)) else {
        return macros.world.read(source).map_err(|FileError { text, .. }| format!("can't open file {source}: {text}"));
    };
    let arguments = if arguments::is_quoted(words) {
        arguments::parse_quoted(words).map_err(|problem| format!("Can't append args, {problem}"))?.words
    } else {
        words.split(is_space).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    if arguments.is_empty() {
        return Err("not a valid command, | must be at the end\n".to_owned());
    }
    macros
        .world
        .command_output(&arguments)
        .map_err(|FileError { errno, text }| format!("not a valid command, errno={errno} : {text}"))
}

/// What a line was.
enum Done {
    Read,
    /// The begin of a value over several lines: key and end mark.
    Here(String, String),
    Queue(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_taken_apart() {
        let check = |line, want: Option<(&str, &str, Operator, &str)>| {
            let got = parse(line).map(|s| (s.name, s.between, s.operator, s.value));
            assert_eq!(got, want, "{line}");
        };
        check("queue", None);
        check("a=b", Some(("a", "", Operator::Assign, "b")));
        check("a  =  b = c", Some(("a", "", Operator::Assign, "b = c")));
        check("+a =", Some(("+a", "", Operator::Assign, "")));
        check("a b = c", Some(("a", "b", Operator::Assign, "c")));
        check("include ifexist : x", Some(("include", "ifexist", Operator::Colon, "x")));
        check("a @=end", Some(("a", "", Operator::Here, "end")));
        check("a += b", Some(("a", "", Operator::Extend(None), "b")));
        check("a +,= b", Some(("a", "", Operator::Extend(Some((',', false))), "b")));
        check("a +&&= b", Some(("a", "", Operator::Extend(Some(('&', true))), "b")));
        check("a +b", Some(("a", "", Operator::None, "b")));
        check("queue 2 x", Some(("queue", "2 x", Operator::None, "")));
    }
}
