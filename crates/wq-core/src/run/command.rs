//! The command line of a task (decisions D23, D27).

use super::files::{JobFiles, Stream, TransferMode};
use super::words::shell_quote;

/// Names in the sandbox, chosen so that they collide with no file of the job's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxNames {
    /// The executable, `agent.sh`.
    pub executable: String,
    /// The job wrapper, `wrapper.sh`.
    pub wrapper: String,
    /// stdout, `log`.
    pub stdout: String,
    /// stderr when it is apart, `err`.
    pub stderr: String,
    /// stdin.
    pub stdin: String,
    /// X.509 proxy.
    pub proxy: String,
    /// Bearer token.
    pub token: String,
    /// Folder that collects all new files.
    pub collected: String,
    /// Folder of large files as they come from the worker's cache.
    pub kept: String,
    /// Its time tells which inputs the job has changed.
    pub marker: String,
}

/// Prefix of names that are ours.
const OURS: &str = ".awq-";

impl SandboxNames {
    /// The original's names, with a prefix where the job has a file of that name.
    pub fn for_job(files: &JobFiles) -> SandboxNames {
        let free = |name: &str| {
            if files.top_names().any(|taken| taken == name) { format!("{OURS}{name}") } else { name.to_owned() }
        };
        SandboxNames {
            executable: free("agent.sh"),
            wrapper: free("wrapper.sh"),
            stdout: free("log"),
            stderr: free("err"),
            stdin: format!("{OURS}stdin"),
            proxy: format!("{OURS}proxy"),
            token: format!("{OURS}token"),
            collected: format!("{OURS}out"),
            kept: format!("{OURS}in"),
            marker: format!("{OURS}start"),
        }
    }
}

/// Closes what the worker left open: its tasks inherit its connection to us, and one that outlives a killed worker
/// would keep that connection up, so that the loss showed only when a `check` got no answer.
const CLOSE_INHERITED: &str = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; ";

/// A task is killed as a process group, and the worker makes that group only after the fork: if the task's shell was
/// faster, there is no such group, the job runs on, and the worker waits for its end. So a shell that leads no group
/// starts itself once more as the leader of one, under the same process id. It does so only with the whole line in its
/// hands, which old kernels cut off after a page; without `setsid`, `tr` or `tail` it goes on as it is.
const OWN_GROUP: &str = "read -r _ _ _ _ awq_group _ < /proc/$$/stat; [ \"${awq_group:-$$}\" = $$ ] || \
     ! command -v setsid > /dev/null || { awq_line=$(tr '\\0' '\\n' < /proc/$$/cmdline | tail -n +3); \
     case $awq_line in 'read -r '*'; exit $'?) exec setsid sh -c \"$awq_line\";; esac; }; ";

/// What the shell's redirection of a stream names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamName {
    /// `/dev/null`.
    Null,
    /// A file of its own.
    Own,
    /// stderr goes where stdout goes.
    Shared,
}

/// A file that the line copies to its place before the job starts: a task can change a file of the worker's cache
/// through its hard link, so a file that others may need is never the job's own (decision D29).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// From here, in the sandbox.
    pub from: String,
    /// To here.
    pub to: String,
    /// Permission bits of the copy.
    pub mode: u32,
}

/// What the worker's own text begins with when a copy could not be made, most often for want of disk.
pub const COPY_FAILED: &str = "alien-workqueue: cannot copy ";

/// The line.
#[derive(Debug)]
pub struct CommandLine;

impl CommandLine {
    /// What stdout and stderr are redirected to.
    pub fn streams(files: &JobFiles) -> (StreamName, StreamName) {
        let stdout = if files.stdout == Stream::Null { StreamName::Null } else { StreamName::Own };
        let stderr = match &files.stderr {
            Stream::Null => StreamName::Null,
            same if *same == files.stdout => StreamName::Shared,
            Stream::File(_) => StreamName::Own,
        };
        (stdout, stderr)
    }

    /// The text for `sh -c`.
    pub fn build(files: &JobFiles, names: &SandboxNames, with_wrapper: bool, copies: &[Copy]) -> String {
        let (stdout, stderr) = CommandLine::streams(files);
        let mut text = format!("{OWN_GROUP}{CLOSE_INHERITED}");
        if !files.bare {
            text.push_str("export _CONDOR_SCRATCH_DIR=\"$PWD\"; ");
        }
        if files.proxy.is_some() {
            text.push_str(&format!("export X509_USER_PROXY=\"$PWD/{}\"; ", names.proxy));
        }
        if files.token.is_some() {
            text.push_str(&format!("export BEARER_TOKEN_FILE=\"$PWD/{}\"; ", names.token));
        }
        // With a shared file system the job runs in its own folder, and only its streams go to the sandbox.
        let shared = files.mode == TransferMode::No;
        let place = |name: &str| if shared { format!("\"$D/{name}\"") } else { name.to_owned() };
        if shared {
            text.push_str(&format!("D=\"$PWD\"; cd {} || exit 1; ", shell_quote(&files.iwd)));
        }
        for copy in copies {
            text.push_str(&copied(copy));
        }
        if files.everything {
            text.push_str(&format!(": > {}; ", names.marker));
        }
        text.push_str(&unspeakable(&files.environment));
        if with_wrapper {
            text.push_str(&if shared { format!("\"$D/{}\" ", names.wrapper) } else { format!("./{} ", names.wrapper) });
        }
        match files.executable {
            Some(_) => text.push_str(&format!("./{}", names.executable)),
            None => text.push_str(&shell_quote(&files.cmd)),
        }
        for word in &files.arguments {
            text.push(' ');
            text.push_str(&shell_quote(word));
        }
        if files.stdin.is_some() {
            text.push_str(&format!(" < {}", names.stdin));
        }
        match stdout {
            StreamName::Null => text.push_str(" > /dev/null"),
            _ => text.push_str(&format!(" > {}", place(&names.stdout))),
        }
        match stderr {
            StreamName::Null => text.push_str(" 2> /dev/null"),
            StreamName::Shared => text.push_str(" 2>&1"),
            StreamName::Own => text.push_str(&format!(" 2> {}", place(&names.stderr))),
        }
        let unseen = stderr == StreamName::Null;
        if !unseen && !files.everything {
            text.push_str("; exit $?");
            return text;
        }
        text.push_str("; s=$?; ");
        if unseen {
            text.push_str(&look_why(files, names));
        }
        if files.everything {
            text.push_str(&collect(files, names));
        }
        text.push_str("exit $s");
        text
    }

    /// What the shell names when it cannot start the program.
    pub fn program(files: &JobFiles, names: &SandboxNames) -> String {
        match files.executable {
            Some(_) => format!("./{}", names.executable),
            None => files.cmd.clone(),
        }
    }
}

/// Puts one copy in its place, or ends with a word of why to the worker.
fn copied(copy: &Copy) -> String {
    let to = shell_quote(&format!("./{}", copy.to));
    let folder = match copy.to.rsplit_once('/') {
        Some((folder, _)) => format!("mkdir -p {} && ", shell_quote(&format!("./{folder}"))),
        None => String::new(),
    };
    format!(
        "{folder}cp {from} {to} && chmod {mode:o} {to} || {{ echo {COPY_FAILED:?}{to}; exit 127; }}; ",
        from = copy.from,
        mode = copy.mode,
    )
}

/// Variables whose names are none for a shell, which would drop them: `env` sets them behind its back.
fn unspeakable(environment: &[(String, String)]) -> String {
    let speakable = |name: &str| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let words: Vec<String> = environment
        .iter()
        .filter(|(name, _)| !speakable(name))
        .map(|(name, value)| shell_quote(&format!("{name}={value}")))
        .collect();
    if words.is_empty() { String::new() } else { format!("env {} ", words.join(" ")) }
}

/// The shell's own word on a program that it could not start went where the job's stderr goes: nowhere. So the line
/// looks for itself whether the program is there, and the interpreter that its first line names, and tells the worker.
///
/// Whether the loader that an ELF program names is there, only the kernel says: the program is executed once more, with no
/// memory to run in. The kernel opens the loader before it gives out any, so a missing one fails as before, and otherwise
/// the process ends before its first instruction.
fn look_why(files: &JobFiles, names: &SandboxNames) -> String {
    let name = shell_quote(&CommandLine::program(files, names));
    let find = match files.executable {
        Some(_) => format!("p={name}"),
        None => format!("p=$(command -v {name}) || echo {name}': not found'"),
    };
    format!(
        "case $s in 126|127) {find}; l=; [ ! -f \"$p\" ] || read -r l < \"$p\"; case $l in \
         '#!'*) set -- ${{l#??}}; [ -x \"$1\" ] || echo {name}\": $1: not found\";; \
         ?ELF*) (ulimit -c 0; ulimit -v 1 && exec \"$p\") < /dev/null > /dev/null 2>&1; \
         [ $? != 127 ] || echo {name}': its loader: not found';; esac;; esac; "
    )
}

/// Moves every new or changed file of the sandbox's top into one folder, which is fetched as a whole.
///
/// A file that was sent counts only when it is newer than the marker; everything else in the top is the job's.
fn collect(files: &JobFiles, names: &SandboxNames) -> String {
    let mut sent: Vec<&str> = files.inputs.iter().map(|i| i.sandbox.as_str()).filter(|name| !name.is_empty()).collect();
    sent.sort_unstable();
    let ours = [&names.executable, &names.wrapper, &names.stdout, &names.stderr];
    let mut cases = String::new();
    for name in ours {
        cases.push_str(&format!("{}) continue;; ", shell_quote(name)));
    }
    // `cctools-temp-*` is the worker's own; names of ours all begin with the prefix.
    cases.push_str(&format!("{OURS}*|cctools-temp-*) continue;; "));
    for name in sent.into_iter().filter(|name| !name.contains('/')) {
        cases.push_str(&format!("{}) [ \"$f\" -nt {} ] || continue;; ", shell_quote(name), names.marker));
    }
    format!(
        "mkdir {dir}; for f in * .[!.]*; do [ -f \"$f\" ] || continue; case \"$f\" in {cases}esac; \
         mv -- \"$f\" {dir}/; done; ",
        dir = names.collected,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BlobId;
    use crate::run::files::BlobUse;

    fn files() -> JobFiles {
        let blob = BlobUse { id: BlobId([1; 32]), size: 17, mode: 0o755 };
        JobFiles {
            iwd: "/home/u".into(),
            spool: None,
            cmd: "/home/u/agent.startup".into(),
            executable: Some(blob),
            proxy: None,
            token: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            mode: TransferMode::IfNeeded,
            stdin: None,
            stream_stdout: false,
            stream_stderr: false,
            stdout: Stream::File("/home/u/o".into()),
            stderr: Stream::File("/home/u/o".into()),
            inputs: Vec::new(),
            outputs: Vec::new(),
            remaps: Vec::new(),
            everything: false,
            bare: false,
            output_mode: 0o644,
            max_input_mb: None,
            max_output_mb: None,
        }
    }

    fn line(files: &JobFiles, wrapper: bool) -> String {
        let text = CommandLine::build(files, &SandboxNames::for_job(files), wrapper, &[]);
        let text = text.strip_prefix(OWN_GROUP).and_then(|text| text.strip_prefix(CLOSE_INHERITED));
        text.expect("each line begins alike").to_owned()
    }

    /// How a program is looked at that could not be started without a stderr.
    fn look(name: &str) -> String {
        format!(
            "l=; [ ! -f \"$p\" ] || read -r l < \"$p\"; case $l in '#!'*) set -- ${{l#??}}; [ -x \"$1\" ] || echo \
             {name}\": $1: not found\";; ?ELF*) (ulimit -c 0; ulimit -v 1 && exec \"$p\") < /dev/null > /dev/null 2>&1; \
             [ $? != 127 ] || echo {name}': its loader: not found';; esac;; esac; "
        )
    }

    const HEAD: &str = "export _CONDOR_SCRATCH_DIR=\"$PWD\"; ";

    #[test]
    fn every_line_ends_so_that_it_is_known_to_be_whole() {
        let mut f = files();
        for (everything, stderr) in
            [(false, &f.stdout), (true, &f.stdout), (false, &Stream::Null), (true, &Stream::Null)]
                .map(|(everything, stderr)| (everything, stderr.clone()))
        {
            (f.everything, f.stderr) = (everything, stderr);
            let text = line(&f, false);
            assert!(text.ends_with("; exit $?") || text.ends_with("; exit $s"), "{text}");
        }
    }

    #[test]
    fn the_originals_line() {
        assert_eq!(line(&files(), false), format!("{HEAD}./agent.sh > log 2>&1; exit $?"));
        assert_eq!(line(&files(), true), format!("{HEAD}./wrapper.sh ./agent.sh > log 2>&1; exit $?"));
    }

    #[test]
    fn a_job_from_the_spool_folder_gets_the_bare_line() {
        let f = JobFiles { bare: true, ..files() };
        assert_eq!(line(&f, false), "./agent.sh > log 2>&1; exit $?");
        assert_eq!(line(&f, true), "./wrapper.sh ./agent.sh > log 2>&1; exit $?");
    }

    #[test]
    fn arguments_streams_and_names() {
        let mut f = files();
        f.arguments = vec!["a b".into(), "it's".into()];
        f.stderr = Stream::File("/home/u/e".into());
        f.stdin = Some("/home/u/in".into());
        f.outputs = vec![("log".into(), "/home/u/log".into())];
        assert_eq!(
            line(&f, false),
            format!("{HEAD}./agent.sh 'a b' 'it'\\''s' < .awq-stdin > .awq-log 2> err; exit $?")
        );
        f.stdout = Stream::Null;
        f.stderr = Stream::Null;
        f.stdin = None;
        f.executable = None;
        assert_eq!(
            line(&f, false),
            format!(
                "{HEAD}'/home/u/agent.startup' 'a b' 'it'\\''s' > /dev/null 2> /dev/null; s=$?; case $s in 126|127) \
                 p=$(command -v '/home/u/agent.startup') || echo '/home/u/agent.startup'': not found'; {}exit $s",
                look("'/home/u/agent.startup'")
            )
        );
    }

    #[test]
    fn without_a_stderr_the_line_looks_why_nothing_started() {
        let mut f = files();
        f.stderr = Stream::Null;
        assert_eq!(
            line(&f, false),
            format!(
                "{HEAD}./agent.sh > log 2> /dev/null; s=$?; case $s in 126|127) p='./agent.sh'; {}exit $s",
                look("'./agent.sh'")
            )
        );
    }

    #[test]
    fn names_that_no_shell_keeps_are_set_by_env() {
        let mut f = files();
        f.environment = vec![("A".into(), "1".into()), ("a.b".into(), "it's".into()), ("9".into(), String::new())];
        assert_eq!(
            line(&f, true),
            format!("{HEAD}env 'a.b=it'\\''s' '9=' ./wrapper.sh ./agent.sh > log 2>&1; exit $?")
        );
    }

    #[test]
    fn what_others_may_need_is_copied_from_the_cache() {
        let f = files();
        let copy = |from: &str, to: &str, mode| Copy { from: from.into(), to: to.into(), mode };
        let copies = [copy(".awq-in/0", "agent.sh", 0o755), copy(".awq-in/1", "a/b c", 0o640)];
        let text = CommandLine::build(&f, &SandboxNames::for_job(&f), false, &copies);
        assert_eq!(
            &text[text.find(HEAD).unwrap() + HEAD.len()..],
            "cp .awq-in/0 './agent.sh' && chmod 755 './agent.sh' || \
             { echo \"alien-workqueue: cannot copy \"'./agent.sh'; exit 127; }; \
             mkdir -p './a' && cp .awq-in/1 './a/b c' && chmod 640 './a/b c' || \
             { echo \"alien-workqueue: cannot copy \"'./a/b c'; exit 127; }; \
             ./agent.sh > log 2>&1; exit $?"
        );
    }

    #[test]
    fn a_proxy_is_named_by_its_full_path_and_no_transfer_runs_in_the_own_folder() {
        let mut f = files();
        f.proxy = f.executable;
        assert!(line(&f, false).starts_with(&format!("{HEAD}export X509_USER_PROXY=\"$PWD/.awq-proxy\"; ")));
        f.proxy = None;
        f.executable = None;
        f.mode = TransferMode::No;
        assert_eq!(
            line(&f, false),
            format!("{HEAD}D=\"$PWD\"; cd '/home/u' || exit 1; '/home/u/agent.startup' > \"$D/log\" 2>&1; exit $?")
        );
    }
}
