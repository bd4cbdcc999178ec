//! Every reason for which a submit text is refused, with HTCondor's own words.
//!
//! Texts are those of HTCondor 25.13 (recorded in `tests/data/submit/submit.jsonl`, else read in its source); the last
//! group is ours, for input on which the real program loops or which our ads cannot carry.

/// Why a text gives no job. `Display` is the text after `ERROR: `, without its line end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the parts of the text shown above each variant")]
pub enum Refusal {
    // Reading the file.
    /// A line that cannot be read; `detail` may be empty, `trace` comes from included files.
    #[error("on Line {line} of {file}: {detail}")]
    Line { line: u32, file: String, detail: String, trace: String },
    /// An `-append` line that cannot be read; `number` counts from 1.
    #[error("on Line {line} of {file}: ")]
    AppendedLine { line: u32, file: String, number: u32 },
    /// A file of the `condor_submit_dag` language.
    #[error("A DAG file was provided. Please provide a submit file or use condor_submit_dag.")]
    DagFile { line: u32, file: String },

    // Values in general.
    /// A number was wanted.
    #[error("{key}={value} is invalid, must eval to an integer.")]
    NotInteger { key: String, value: String },
    /// A number from 0 on was wanted.
    #[error("{key}={value} is invalid, must eval to a non-negative integer.")]
    NotUnsigned { key: String, value: String },
    /// A moment or a number of seconds was wanted.
    #[error("{key} = {value} is invalid, must eval to a non-negative integer.")]
    NotSeconds { key: &'static str, attribute: &'static str, value: String, is_expression: bool },
    /// A truth value was wanted.
    #[error("{key}={value} is invalid, must eval to a boolean.")]
    NotBoolean { key: String, value: String },
    /// Not an expression of the ClassAd language.
    #[error("Parse error in expression: \n\t{attribute} = {text}\n\t")]
    Expression { attribute: String, text: String },
    /// A macro function got what it cannot use; nobody knows yet for which key.
    #[error("{problem}")]
    Macro { problem: String },
    /// As [`Refusal::Macro`], while the file is read or a `queue` statement is taken apart.
    #[error("{problem}")]
    MacroAt { problem: String, place: String },
    /// A macro function got what it cannot use.
    #[error("{problem}")]
    MacroIn { problem: String, line: u32, step: u32, item: u32, key: String, raw: String },

    // Program, arguments, environment.
    /// Neither `executable` nor `shell`.
    #[error("No 'executable' parameter was provided")]
    NoExecutable,
    /// The program is not there.
    #[error("Can't access executable file {path}: {problem}")]
    ExecutableMissing { path: String, problem: String },
    /// The program has no bytes.
    #[error("Executable file {path} has zero length")]
    ExecutableEmpty { path: String },
    /// A script whose first line ends in CR LF.
    #[error(
        "Executable file {path} is a script with CRLF (DOS/Windows) line endings.\nThis generally doesn't work, and \
         you should probably run 'dos2unix {path}' -- or a similar tool -- before you resubmit."
    )]
    ExecutableCrlf { path: String },
    /// Words in quotes that do not fit.
    #[error("{problem}\nThe full arguments you specified were: {text}")]
    Arguments { problem: String, text: String },
    /// As [`Refusal::Arguments`], for the Java machine.
    #[error("failed to parse java VM arguments: {problem}\nThe full arguments you specified were {text}")]
    JavaArguments { problem: String, text: String },
    /// As [`Refusal::Arguments`], for the tool daemon.
    #[error("failed to parse tool daemon arguments: {problem}\nThe arguments you specified were: {text}")]
    ToolArguments { problem: String, text: String },
    /// Two names of one key of the tool daemon.
    #[error("you specified both tdp_daemon_args and tdp_daemon_arguments")]
    ToolArgumentsTwice,
    /// Both syntaxes at once.
    #[error(
        "If you wish to specify both '{old}' and\n'{new}' for maximal compatibility with different\nversions of Condor, \
         then you must also specify\n{allow}=true."
    )]
    BothSyntaxes { old: &'static str, new: &'static str, allow: &'static str },
    /// Two names of one key.
    #[error("you specified a value for both {one} and {other}.")]
    BothNames { one: &'static str, other: &'static str },
    /// A Java job without its class.
    #[error("In Java universe, you must specify the class name to run.\nExample:\n\narguments = MyClass\n")]
    NoJavaClass,
    /// Entries that do not fit.
    #[error("{problem}\nThe environment you specified was: '{text}'")]
    Environment { problem: String, text: String },
    /// An entry that the old syntax cannot carry.
    #[error(
        "failed to insert environment into job ad: Environment entry is not compatible with V1 syntax: {name}={value}"
    )]
    EnvironmentV1 { name: String, value: String },

    // Universe and its companions.
    /// No such universe.
    #[error("I don't know about the '{name}' universe.")]
    UnknownUniverse { name: String },
    /// One that HTCondor once had.
    #[error("'{name}' is not a supported universe.")]
    UnsupportedUniverse { name: &'static str },
    /// `Remote_Universe` and `Remote_Remote_Universe`.
    #[error("Unknown {key} of '{name}' specified")]
    UnknownRemoteUniverse { key: &'static str, name: String },
    /// A grid job that does not say where.
    #[error("grid_resource attribute not defined for grid universe job")]
    NoGridResource,
    /// A grid that HTCondor does not know.
    #[error("Invalid value '{name}' for grid type\nMust be one of: condor, batch, arc, ec2, gce, or azure")]
    GridType { name: String },
    /// `ec2` alone.
    #[error("EC2 grid jobs require a service URL")]
    Ec2Url,
    /// An image of the other kind.
    #[error("docker universe does not allow use of container_image.")]
    ContainerImageInDocker,
    /// Two images.
    #[error("cannot declare both docker_image and container_image")]
    TwoImages,
    /// A docker job without an image.
    #[error("docker jobs require a docker_image")]
    NoDockerImage,
    /// A container job without an image.
    #[error("container jobs require a container_image or docker_image")]
    NoContainerImage,
    /// An image name of no use.
    #[error("'{image}' is not a valid docker_image")]
    DockerImage { image: String },
    /// An image name of no use.
    #[error("'{image}' is not a valid container image")]
    ContainerImage { image: String },
    /// A service of a container without its port.
    #[error("Requested container service '{service}' was not assigned a port, or the assigned port was not valid.")]
    ServicePort { service: String },
    /// A parallel job that does not say how many machines.
    #[error("No machine_count specified!")]
    NoMachineCount,

    // Single keys.
    /// `hold = true` for spooled jobs.
    #[error("Cannot set hold to 'true' when using -remote or -spool")]
    HoldAndSpool,
    /// `initialdir` is not there.
    #[error("No such directory: {path}")]
    NoDirectory { path: String },
    /// `notification`.
    #[error("Notification must be 'Never', 'Always', 'Complete', 'Start', or 'Error'")]
    Notification,
    /// A signal by an unknown name or number.
    #[error("invalid signal {name}")]
    Signal { name: String },
    /// `retry_until`.
    #[error("{key}={value} is invalid, it must be an integer or boolean expression.")]
    RetryUntil { key: &'static str, value: String },
    /// `on_exit_remove` beside retries.
    #[error("{key}={value} is invalid, it must be a boolean expression.")]
    NotBooleanExpression { key: &'static str, value: String },
    /// A list of sizes for retries.
    #[error("{key}={value} is invalid. must be an expression or number")]
    RetrySize { key: &'static str, value: String },
    /// A list of sizes that does not grow.
    #[error("{key} must have an increasing sequence of values, but {next} is not greater than {last}")]
    RetryOrder { key: &'static str, next: i64, last: i64 },
    /// An increment for retries.
    #[error("{attribute} retry increment must be a positive number or an expression that references {attribute}")]
    RetryIncrement { attribute: &'static str },
    /// An increment for retries that has no value yet.
    #[error("{attribute} retry increment ({text}) must evaluate to an integer at submit time")]
    RetryIncrementValue { attribute: &'static str, text: String },
    /// `image_size`.
    #[error("Image Size must be positive")]
    ImageSize { unreadable: Option<String> },
    /// `disk_usage`.
    #[error("'{value}' is not valid for disk_usage. It must be >= 1")]
    DiskUsage { value: String },
    /// `concurrency_limits`.
    #[error("Invalid concurrency limit '{limit}'")]
    ConcurrencyLimit { limit: String },
    /// Both forms of limits.
    #[error("concurrency_limits and concurrency_limits_expr can't be used together")]
    ConcurrencyLimitsTwice,
    /// `accounting_group` and `accounting_group_user`.
    #[error("Invalid {key}: {value}")]
    AccountingName { key: &'static str, value: String },
    /// `skip_filechecks`.
    #[error("SUBMIT_CMD_skip_filechecks={value} is invalid, must be 'warn' or a boolean")]
    SkipFileChecks { value: String },
    /// `use_scitokens`.
    #[error("use_scitokens error. Value should be true, false, or auto.")]
    UseScitokens,
    /// `delegate_job_gsi_credentials_lifetime`.
    #[error("invalid integer setting {key} = {value}")]
    IntegerSetting { key: &'static str, value: String },
    /// `job_machine_attrs_history_length`.
    #[error("job_machine_attrs_history_length={value} is out of bounds 0 to 2147483647")]
    HistoryLength { value: i64 },
    /// Deferral and the scheduler universe.
    #[error(
        "{attribute} does not work for scheduler universe jobs.\nConsider submitting this job using the local \
         universe, instead"
    )]
    DeferralInScheduler { attribute: &'static str },
    /// Two places for the output.
    #[error("You cannot use both output_destination and output_directory in the same submit file")]
    TwoDestinations,
    /// `cuda_version`.
    #[error("cuda_version must be of the form 'x' or 'x.y', where x and y are positive integers.")]
    CudaVersion,
    /// Requirements that name themselves.
    #[error("Requirements = {text}\nIs Circular. Did you intend to use $(Requirements) ?")]
    CircularRequirements { text: String },
    /// Signed URLs without their keys.
    #[error(
        "[s3|gs]:// {} to be set.",
        if *secret { "URLS require [s3|aws|gs]_secret_access_key_file" } else { "URLs require [s3|aws|gs]_access_key_id_file" }
    )]
    SignedUrl { secret: bool, id: bool },
    /// `docker_send_credentials` without credentials.
    #[error("ERROR: Cannot locate docker credentials file {path}: {problem}")]
    DockerCredentials { path: String, problem: String },
    /// Contradictions of the file transfer keys; the text is broken into lines of 78 characters.
    #[error("{text}")]
    Transfer { text: String },

    // The whole.
    /// `-maxjobs`.
    #[error("Number of submitted jobs would exceed -maxjobs ({limit})")]
    TooManyJobs { limit: u64 },

    // Ours.
    /// The bytes of the marks.
    #[error("the submit description contains the control character U+000{code}, which cannot be used here")]
    ControlCharacter { code: u8 },
    /// Definitions that lead back to themselves.
    #[error("the definition of $({name}) leads back to itself")]
    Recursion { name: String },
    /// An expansion without measure, or jobs that differ without measure.
    #[error("a value, or what differs between the jobs, grows beyond {limit} bytes when its macros are expanded")]
    TooLong { limit: usize },
    /// More jobs than a cluster may have.
    #[error("Failed to create proc\nNumber of submitted jobs would exceed MAX_JOBS_PER_SUBMISSION")]
    TooManyProcs,
    /// A universe that no worker can offer.
    #[error("the vm universe cannot be served: workers offer no virtual machines")]
    VmUniverse,
}

/// How a refusal is framed on standard error.
pub(crate) fn frame(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Line { line, file, detail, trace } => format!(
            "\nERROR: on Line {line} of {file}: {detail}\n{trace}\nERROR: Failed to parse command file (line {line}).\n"
        ),
        Refusal::AppendedLine { line, file, number } => {
            format!("\nERROR: on Line {line} of {file}: \n\nERROR: Failed to parse -a argument line (#{number}).\n")
        }
        Refusal::DagFile { line, file } => {
            format!("\nERROR: on Line {line} of {file}: \n\nERROR: {refusal}\n")
        }
        // These are printed at once by the real program, not collected.
        Refusal::ExecutableMissing { .. }
        | Refusal::ExecutableEmpty { .. }
        | Refusal::ExecutableCrlf { .. }
        | Refusal::TooManyJobs { .. }
        | Refusal::TooManyProcs => format!("\nERROR: {refusal}\n"),
        Refusal::MacroAt { problem, place } => format!("ERROR {place}: {problem}\n"),
        Refusal::MacroIn { problem, line, step, item, key, raw } => format!(
            "ERROR at Queue statement on Line {line}: {problem}\n\t at Step {step}, ItemIndex {item} while expanding \
             {key}={raw}\n"
        ),
        Refusal::Transfer { text } => wrapped(&format!("\nERROR: {text}")),
        // Where two things are said, the later one stands first.
        Refusal::NotSeconds { attribute, value, is_expression: false, .. } => {
            format!("ERROR: {refusal}\nERROR: Parse error in expression: \n\t{attribute} = {value}\n\t\n")
        }
        Refusal::SignedUrl { secret: true, id: true } => {
            format!("ERROR: {refusal}\nERROR: {}\n", Refusal::SignedUrl { secret: false, id: true })
        }
        Refusal::ImageSize { unreadable: Some(value) } => {
            format!("ERROR: {refusal}\nERROR: '{value}' is not valid for Image Size\n")
        }
        other => format!("ERROR: {other}\n"),
    }
}

/// Breaks a text into lines of at most 78 characters the way HTCondor does: every word is followed by a blank unless
/// it ends at the limit.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 78;
    let mut out = String::with_capacity(text.len() + 8);
    let mut column = 0;
    for word in text.split([' ', '\t']).filter(|word| !word.is_empty()) {
        if word.len() >= WIDTH - column {
            out.push('\n');
            column = 0;
        }
        out.push_str(word);
        column += word.len();
        if column < WIDTH {
            out.push(' ');
            column += 1;
        } else {
            column = WIDTH;
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_errors_are_wrapped() {
        let text = "invalid value (maybe) for ShouldTransferFiles.  Please either specify YES, NO, or IF_NEEDED and \
                    try again.";
        assert_eq!(
            frame(&Refusal::Transfer { text: text.to_owned() }),
            "\nERROR: invalid value (maybe) for ShouldTransferFiles. Please either specify \nYES, NO, or IF_NEEDED \
             and try again. \n"
        );
    }
}
