//! Statements up to the next `queue`: assignments, conditions, includes.

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

/// The parts of a line around its operator.
struct Statement<'a> {
    name: &'a str,
    /// Words between the name and the operator.
    between: &'a str,
    /// `=`, `:`, `@` for `@=`, `+` for `+=`.
    operator: Option<char>,
    /// The sign between `+` and `=`, and whether it stood twice.
    separator: Option<(char, bool)>,
    value: &'a str,
}

fn parse(line: &str) -> Option<Statement<'_>> {
    let is_operator = |c: char| c == '=' || c == ':';
    let end = line.find(|c| is_space(c) || is_operator(c))?;
    let (name, mut rest) = (&line[..end], &line[end..]);
    let mut between = "";
    if !rest.starts_with(is_operator) {
        rest = rest.trim_start_matches(is_space);
        let at = rest.find(|c| is_operator(c) || c == '@' || c == '+').unwrap_or(rest.len());
        between = rest[..at].trim_end_matches(is_space);
        rest = &rest[at..];
    }
    let mut separator = None;
    let mut operator = rest.chars().next();
    rest = rest.get(1..).unwrap_or_default();
    match operator {
        Some('@') => match rest.strip_prefix('=') {
            Some(after) => rest = after,
            None => operator = None,
        },
        Some('+') => {
            if let Some(sign) = rest.chars().next().filter(|c| ",;|&*".contains(*c)) {
                let double = rest[1..].starts_with(sign);
                separator = Some((sign, double));
                rest = &rest[1 + usize::from(double)..];
            }
            match rest.strip_prefix('=') {
                Some(after) => rest = after,
                None => operator = None,
            }
        }
        _ => {}
    }
    Some(Statement { name, between, operator, separator, value: rest.trim_start_matches(is_space) })
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
        if statement.operator == Some(':') {
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
        if let (Some('='), Some(sign)) = (statement.operator, name.chars().next().filter(|c| "+-".contains(*c))) {
            let key = format!("MY.{}", &name[1..]);
            let value = if sign == '+' { expand_self(statement.value, &key, macros)? } else { String::new() };
            macros.set(&key, value);
            return Ok(Done::Read);
        }
        let Some(operator) = statement.operator.filter(|c| *c != ':' && !name.eq_ignore_ascii_case("queue")) else {
            return self.queue(line).map_err(|stop| match stop {
                Stop::Fault(Fault { code: -1, dag: false, .. }) => Stop::Fault(Fault {
                    detail: "invalid queue statement.".to_owned(),
                    trace: vec![(-1, at("Error", &format!("cannot parse: {line}")))],
                    code: -1,
                    dag: false,
                }),
                other => other,
            });
        };
        if !name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_./".contains(&c)) || name.is_empty() {
            return Err(Fault::traced(at("Error", &format!("Illegal Identifier: <{name}>"))));
        }
        match operator {
            '@' => return Ok(Done::Here(name, statement.value.to_owned())),
            '+' => {
                let earlier =
                    macros.lookup(&name.to_ascii_lowercase(), Numbers::Marks).filter(|value| !value.is_empty());
                let value = match (earlier, statement.separator) {
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
