//! The job's directory, its standard files, and the sizes of its program.

use crate::job::Job;
use crate::refusal::Refusal;
use crate::values;

/// `initialdir`: must be there.
pub(super) fn directory(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    let mut name = job.param("initialdir", "Iwd")?;
    if name.is_none() {
        name = job.param("initial_dir", "job_iwd")?;
    }
    let cwd = job.macros.world.cwd();
    let path = name.map_or_else(|| values::compressed(cwd), |name| values::full_path(&name, cwd));
    if job.macros.world.stat(&path).is_ok_and(|facts| facts.executable) || path == cwd {
        job.set_text("Iwd", path.clone());
        if let Some(file_name) = job.macros.submit_file().map(str::to_owned) {
            job.set_text("JobSubmitFile", file_name);
        }
        let causes = job.macros.take_causes();
        job.macros.iwd = path;
        job.macros.iwd_causes = causes;
        job.macros.note(causes);
        Ok(())
    } else {
        Err(Refusal::NoDirectory { path })
    }
}

/// One of the standard files.
struct Stream {
    keys: [&'static str; 2],
    attribute: &'static str,
    transfer: [&'static str; 2],
    stream: [&'static str; 2],
}

pub(super) fn stdin(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    let stream = Stream {
        keys: ["input", "stdin"],
        attribute: "In",
        transfer: ["transfer_input", "TransferIn"],
        stream: ["stream_input", "StreamIn"],
    };
    // Its size is looked up, so a number in its name must be the real one.
    let value = job.param(stream.keys[0], stream.keys[1])?;
    standard(job, &stream, value)
}

pub(super) fn stdout(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    let stream = Stream {
        keys: ["output", "stdout"],
        attribute: "Out",
        transfer: ["transfer_output", "TransferOut"],
        stream: ["stream_output", "StreamOut"],
    };
    let value = job.plain(stream.keys[0], stream.keys[1])?;
    standard(job, &stream, value)
}

pub(super) fn stderr(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    let stream = Stream {
        keys: ["error", "stderr"],
        attribute: "Err",
        transfer: ["transfer_error", "TransferErr"],
        stream: ["stream_error", "StreamErr"],
    };
    let value = job.plain(stream.keys[0], stream.keys[1])?;
    standard(job, &stream, value)
}

fn standard(job: &mut Job<'_, '_>, stream: &Stream, value: Option<String>) -> Result<(), Refusal> {
    const NULL: &str = "/dev/null";
    let default = job.ad.truth(stream.transfer[1]).unwrap_or(true);
    let mut transfer = job.bool_param(stream.transfer[0], stream.transfer[1])?.unwrap_or(default);
    let set_transfer = transfer != default;
    let streamed = job.ad.truth(stream.stream[1]).unwrap_or(false);
    let mut streamed = job.bool_param(stream.stream[0], stream.stream[1])?.unwrap_or(streamed);
    if value.is_some() || !job.ad.has(stream.attribute) {
        let file = value.unwrap_or_else(|| NULL.to_owned());
        if file == NULL {
            (transfer, streamed) = (false, false);
        }
        job.set_text(stream.attribute, file);
    }
    if transfer {
        job.set_bool(stream.stream[1], streamed);
        if set_transfer {
            job.set_bool(stream.transfer[1], true);
        }
    } else {
        job.set_bool(stream.transfer[1], false);
    }
    Ok(())
}

/// `ExecutableSize` once for a cluster, `ImageSize`; both in KiB.
pub(super) fn image_size(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if job.first {
        let program = job.ad.string("Cmd").unwrap_or_default();
        let size = if program.is_empty() { 0 } else { job.size_kb(&program) };
        job.set_int("ExecutableSize", size);
    }
    if let Some(value) = job.param("image_size", "ImageSize")? {
        let size = values::size(&value, 1024, false).map(|size| size.amount);
        match size {
            Some(size) if size >= 1 => job.set_int("ImageSize", size),
            Some(_) => return Err(Refusal::ImageSize { unreadable: None }),
            None => return Err(Refusal::ImageSize { unreadable: Some(value) }),
        }
    } else if !job.ad.has("ImageSize") {
        let size = job.ad.int("ExecutableSize").unwrap_or(0);
        job.set_int("ImageSize", size);
    }
    Ok(())
}
