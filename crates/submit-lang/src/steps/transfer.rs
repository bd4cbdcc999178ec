//! File transfer: what travels, when, and how much it is.

use crate::job::Job;
use crate::refusal::Refusal;
use crate::steps::universe::{GRID, JAVA};
use crate::values;

/// `should_transfer_files`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Should {
    Yes,
    No,
    IfNeeded,
}

impl Should {
    fn parse(text: &str) -> Option<Should> {
        match text.to_ascii_uppercase().as_str() {
            "YES" | "TRUE" => Some(Should::Yes),
            "NO" | "FALSE" => Some(Should::No),
            "IF_NEEDED" | "AUTO" | "AUTOMATIC" => Some(Should::IfNeeded),
            _ => None,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Should::Yes => "YES",
            Should::No => "NO",
            Should::IfNeeded => "IF_NEEDED",
        }
    }
}

/// `when_to_transfer_output`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Never,
    OnExit,
    OnExitOrEvict,
    OnSuccess,
}

impl When {
    fn parse(text: &str) -> Option<When> {
        match text.to_ascii_uppercase().as_str() {
            "NEVER" => Some(When::Never),
            "ON_EXIT" => Some(When::OnExit),
            "ON_EXIT_OR_EVICT" => Some(When::OnExitOrEvict),
            "ON_SUCCESS" => Some(When::OnSuccess),
            _ => None,
        }
    }

    fn text(self) -> &'static str {
        match self {
            When::Never => "NEVER",
            When::OnExit => "ON_EXIT",
            When::OnExitOrEvict => "ON_EXIT_OR_EVICT",
            When::OnSuccess => "ON_SUCCESS",
        }
    }
}

/// Both modes and their contradictions.
fn modes(job: &mut Job<'_, '_>, inputs: bool, outputs: bool) -> Result<(Should, When), Refusal> {
    let transfer = |text: String| Err(Refusal::Transfer { text });
    let mut given = job.param("ShouldTransferFiles", "should_transfer_files")?;
    if given.is_none() {
        given = job.ad.string("ShouldTransferFiles");
    }
    let default_should = given.is_none();
    let should_text = given.unwrap_or_else(|| "IF_NEEDED".to_owned());
    let Some(mut should) = Should::parse(&should_text) else {
        return transfer(format!(
            "invalid value ({should_text}) for ShouldTransferFiles.  Please either specify YES, NO, or IF_NEEDED and try \
             again."
        ));
    };
    if should == Should::No && (inputs || outputs) {
        let which = match (inputs, outputs) {
            (true, true) => "transfer_input_files\" and \"transfer_output_files\",",
            (true, false) => "transfer_input_files\",",
            _ => "transfer_output_files\",",
        };
        return transfer(format!(
            "you specified files you want Condor to transfer via \"{which} but you disabled should_transfer_files."
        ));
    }
    let mut given = job.param("WhenToTransferOutput", "when_to_transfer_output")?;
    if given.is_none() {
        given = job.ad.string("WhenToTransferOutput");
    }
    let default_when = given.is_none();
    let mut when_text = given.unwrap_or_else(|| "ON_EXIT".to_owned());
    let Some(mut when) = When::parse(&when_text) else {
        return transfer(format!(
            "invalid value ({when_text}) for WhenToTransferOutput.  Please either specify ON_EXIT, or ON_EXIT_OR_EVICT \
             and try again."
        ));
    };
    if should == Should::No && default_when {
        (when, when_text) = (When::Never, "NEVER".to_owned());
    }
    // 25.13 takes `never` for the default where files may be transferred.
    if when == When::Never && should != Should::No {
        when = When::OnExit;
    }
    if should == Should::No && when != When::Never {
        return transfer(format!(
            "WhenToTransferOutput specified as {when_text} yet ShouldTransferFiles defined as {should_text}.  Please \
             remove this contradiction from your submit file and try again."
        ));
    }
    if default_should && when == When::OnExitOrEvict {
        should = Should::Yes;
    }
    if when == When::OnExitOrEvict && should == Should::IfNeeded {
        return transfer(
            "\"when_to_transfer_output = ON_EXIT_OR_EVICT\" and \"should_transfer_files = IF_NEEDED\" are incompatible.  \
             The behavior of these two settings together would produce incorrect file access in some cases.  Please \
             decide which one of those two settings you're more interested in. If you really want \"IF_NEEDED\", set \
             \"when_to_transfer_output = ON_EXIT\".  If you really want \"ON_EXIT_OR_EVICT\", please set \
             \"should_transfer_files = YES\".  After you have corrected this incompatibility, please try running \
             condor_submit again.\n"
                .to_owned(),
        );
    }
    Ok((should, when))
}

/// `transfer_*`, `should_transfer_files`, `when_to_transfer_output`, and the sizes that follow.
pub(super) fn transfer(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    // Sizes are looked up, so numbers in the names must be the real ones.
    let list = job.param("transfer_input_files", "TransferInputFiles")?;
    let list = list.as_deref().map(values::unquoted).unwrap_or_default();
    let mut inputs: Vec<String> = values::comma_list(list).map(str::to_owned).collect();
    let mut size_kb: i64 = inputs.iter().map(|file| job.size_kb(file)).sum();
    let mut has_inputs = !inputs.is_empty();
    if job.universe.container {
        has_inputs |= container(job, &mut inputs, &mut size_kb)?;
    }
    if job.ad.truth("DockerSendCredentials") == Some(true) {
        docker_credentials(job)?;
    }
    if job.ad.truth("TransferIn").unwrap_or(true)
        && let Some(file) = job.ad.string("In").filter(|file| !file.is_empty())
    {
        size_kb += job.size_kb(&file);
    }
    let outputs = job.plain("transfer_output_files", "TransferOutputFiles")?;
    let (should, when) = modes(job, has_inputs, outputs.is_some())?;
    job.set_text("ShouldTransferFiles", should.text());
    if should != Should::No {
        job.set_text("WhenToTransferOutput", when.text());
    }
    if should != Should::Yes && !job.ad.has("FileSystemDomain") {
        let domain = job.macros.world.host().filesystem_domain.clone();
        job.set_text("FileSystemDomain", domain);
    }
    if should != Should::No {
        for attribute in ["ToolDaemonCmd", "ToolDaemonInput"] {
            match job.ad.string(attribute) {
                Some(file) => add_input(job, file, &mut inputs, &mut size_kb),
                None => break,
            }
        }
        if job.universe.number == JAVA {
            java_files(job, &mut inputs, &mut size_kb);
            has_inputs |= job.ad.has("JarFiles");
        }
    }
    sizes(job, size_kb)?;
    let mut remaps = if job.remote() { rename_streams(job) } else { Vec::new() };
    if should != Should::No {
        if has_inputs {
            job.set_text("TransferInput", inputs.join(","));
        }
        if let Some(list) = outputs {
            let files: Vec<&str> = values::comma_list(values::unquoted(&list)).collect();
            job.set_text("TransferOutput", files.join(","));
        }
    } else if ![GRID, JAVA].contains(&job.universe.number)
        && job.bool_param("transfer_executable", "TransferExecutable")? == Some(true)
    {
        return Err(Refusal::Transfer {
            text: "You explicitly requested that the executable be transfered, but for this to work, you must enable \
                   Condor's file transfer functionality.  You need to define either: \"when_to_transfer_output = \
                   ON_EXIT\" or \"when_to_transfer_output = ON_EXIT_OR_EVICT\".  Optionally, you can define \
                   \"should_transfer_files = IF_NEEDED\" if you do not want any files to be transfered if the job \
                   executes on a machine in the same FileSystemDomain.  See the Condor manual for more details."
                .to_owned(),
        });
    }
    if let Some(given) = job.plain("transfer_output_remaps", "TransferOutputRemaps")? {
        remaps.push(values::unquoted(&given).to_owned());
    }
    if !remaps.is_empty() {
        job.set_text("TransferOutputRemaps", remaps.join(";"));
    }
    Ok(())
}

fn add_input(job: &mut Job<'_, '_>, file: String, inputs: &mut Vec<String>, size_kb: &mut i64) {
    if !inputs.contains(&file) {
        *size_kb += job.size_kb(&file);
        inputs.push(file);
    }
}

/// In the Java universe the class file is an input and `java` is run.
fn java_files(job: &mut Job<'_, '_>, inputs: &mut Vec<String>, size_kb: &mut i64) {
    if let Some(class) = job.ad.string("Cmd").filter(|class| class != "java") {
        add_input(job, class, inputs, size_kb);
    }
    let jars = job.ad.string("JarFiles").unwrap_or_default();
    for jar in values::comma_list(&jars) {
        *size_kb += job.size_kb(jar);
        inputs.push(jar.to_owned());
    }
    job.set_text("Cmd", "java");
    job.set_bool("TransferExecutable", false);
}

/// `DiskUsage` (KiB) and `TransferInputSizeMB`.
fn sizes(job: &mut Job<'_, '_>, size_kb: i64) -> Result<(), Refusal> {
    if let Some(value) = job.param("disk_usage", "DiskUsage")? {
        return match values::size(&value, 1024, false) {
            Some(size) if size.amount >= 1 => {
                job.set_int("DiskUsage", size.amount);
                Ok(())
            }
            _ => Err(Refusal::DiskUsage { value }),
        };
    }
    let total = job.ad.int("ExecutableSize").unwrap_or(0).saturating_add(size_kb);
    job.set_int("TransferInputSizeMB", total.saturating_add(1023) / 1024);
    job.set_int("DiskUsage", total);
    Ok(())
}

/// The image of a container job travels as an input unless it lies where everybody sees it.
fn container(job: &mut Job<'_, '_>, inputs: &mut Vec<String>, size_kb: &mut i64) -> Result<bool, Refusal> {
    if job.ad.truth("TransferContainer") == Some(false) {
        job.set_text("ContainerImageSource", "local");
        return Ok(false);
    }
    let Some(image) = job.param("container_image", "ContainerImage")? else { return Ok(false) };
    if image.starts_with("/cvmfs") {
        job.set_text("ContainerImageSource", "local");
        return Ok(false);
    }
    for scheme in ["docker", "oras"] {
        if image.starts_with(&format!("{scheme}://")) {
            job.set_text("ContainerImageSource", scheme);
            return Ok(false);
        }
    }
    *size_kb += job.size_kb(&image);
    inputs.push(image.clone());
    let bare = image.strip_suffix('/').unwrap_or(&image);
    job.set_text("ContainerImage", values::base_name(bare));
    job.set_text("ContainerImageFullPath", image.clone());
    job.set_text("ContainerImageSource", bare.split_once(':').map_or("cedar", |(scheme, _)| scheme));
    Ok(true)
}

fn docker_credentials(job: &Job<'_, '_>) -> Result<(), Refusal> {
    let home = job.macros.world.env("HOME").unwrap_or_default();
    let path = format!("{home}/.docker/config.json");
    match job.macros.world.stat(&path) {
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal::DockerCredentials { path, problem: error.text }),
    }
}

/// Spooled jobs write their standard files under safe names and move them when the output is fetched.
fn rename_streams(job: &mut Job<'_, '_>) -> Vec<String> {
    const STDOUT: &str = "_condor_stdout";
    const STDERR: &str = "_condor_stderr";
    let output = job.ad.string("Out").unwrap_or_default();
    let error = job.ad.string("Err").unwrap_or_default();
    let mut remaps = Vec::new();
    let escaped = |name: &str| {
        let mut out = String::with_capacity(name.len());
        for c in name.chars() {
            if ";=\\".contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
        out
    };
    for (attribute, stream, file, working) in [
        ("Out", "StreamOut", &output, STDOUT),
        ("Err", "StreamErr", &error, if error == output { STDOUT } else { STDERR }),
    ] {
        let has_path = file.contains('/') && file != "/dev/null";
        if has_path && job.ad.truth(stream) != Some(true) {
            job.set_text(attribute, working);
            remaps.push(format!("{working}={}", escaped(file)));
        }
    }
    remaps
}
