//! The `Requirements` of the ad: the user's own, and one clause for everything else the job needs of a machine.
//!
//! A clause is left out when the user's expression speaks of the machine's attribute itself.

use std::collections::BTreeSet;

use crate::ad::Assigned;
use crate::job::Job;
use crate::refusal::Refusal;
use crate::steps::base::once;
use crate::steps::grid::grid_type;
use crate::steps::policy::deferral_cause;
use crate::steps::universe::{GRID, ImageKind, JAVA, LOCAL, VANILLA, image_kind, might_transfer};
use crate::values;

/// The text so far, and the machine's attributes that the user's part names.
struct Builder {
    text: String,
    named: BTreeSet<String>,
}

impl Builder {
    fn names(&self, attribute: &str) -> bool {
        self.named.contains(&attribute.to_ascii_lowercase())
    }

    fn and(&mut self, clause: &str) {
        if !self.text.is_empty() {
            self.text.push_str(" && ");
        }
        self.text.push_str(clause);
    }
}

pub(super) fn requirements(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    let own = job.param("requirements", None)?;
    if job.plain("MY.Requirements", None)?.is_some() {
        if own.is_some() {
            job.warn(
                "Use of MY.Requirements or +Requirements  overrides requirements. You should remove one of these \
                 statements from your submit file.\n",
            );
        }
        return Ok(());
    }
    let text = own.map(|own| format!("({own})")).unwrap_or_default();
    let resource = job.ad.string("GridResource").unwrap_or_default();
    if job.universe.number == GRID && !grid_type(&resource).eq_ignore_ascii_case("condor") {
        let text = if text.is_empty() { "TRUE" } else { &text };
        return job.set_expr("Requirements", text);
    }
    let mut builder = Builder { named: references(job, &text)?, text };
    platform(job, &mut builder)?;
    resources(job, &mut builder);
    if !builder.names("HasTDP") && job.ad.has("ToolDaemonCmd") {
        builder.and("TARGET.HasTDP");
    }
    if !builder.names("EncryptExecuteDirectory") && job.ad.truth("EncryptExecuteDirectory") == Some(true) {
        builder.and("TARGET.HasEncryptExecuteDirectory");
    }
    if might_transfer(&job.universe) {
        transfer(job, &mut builder)?;
    }
    deferral(job, &mut builder);
    if job.ad.truth("WantFTOnCheckpoint") == Some(true) && !builder.names("HasSelfCheckpointTransfers") {
        builder.and("TARGET.HasSelfCheckpointTransfers");
    }
    cuda(job, &mut builder)?;
    if job.ad.truth("OCUWanted") == Some(true) {
        builder.and("TARGET.OCU =?= true");
    }
    job.set_expr("Requirements", &builder.text)
}

/// Attributes of the machine that the user's expression names, in lower case.
fn references(job: &mut Job<'_, '_>, text: &str) -> Result<BTreeSet<String>, Refusal> {
    if text.is_empty() {
        return Ok(BTreeSet::new());
    }
    let Ok(expr) = classad::parse_expr(text) else {
        job.warn(format!("Could not get attribute references from Requirements: {text}\n"));
        return Ok(BTreeSet::new());
    };
    let found = expr.references();
    if [&found.unscoped, &found.my, &found.target].iter().any(|set| set.contains("requirements")) {
        return Err(Refusal::CircularRequirements { text: text.to_owned() });
    }
    // What the job has itself is not asked of the machine.
    let machine = found.unscoped.iter().filter(|name| !["requestmemory", "vm_ckptmac"].contains(&&***name));
    Ok(machine.chain(&found.target).map(|name| name.to_string()).collect())
}

fn platform(job: &mut Job<'_, '_>, builder: &mut Builder) -> Result<(), Refusal> {
    if job.universe.number == JAVA {
        builder.and("TARGET.HasJava");
        return Ok(());
    }
    let host = job.macros.world.host();
    if !builder.names("Arch") {
        builder.and(&format!("(TARGET.Arch == \"{}\")", host.arch));
    }
    if job.universe.docker {
        builder.and("TARGET.HasDocker");
        let network = job.ad.string("DockerNetworkType").unwrap_or_default();
        if !["", "host", "none", "nat"].contains(&network.as_str()) {
            builder.and("StringListMember(My.DockerNetworkType, TARGET.DockerNetworks)");
        }
    } else if job.universe.container {
        builder.and("TARGET.HasContainer");
        if job.ad.has("DockerImage") {
            builder.and("TARGET.HasDockerURL");
        } else if let Some(image) = job.ad.string("ContainerImage") {
            builder.and(match image_kind(&image) {
                ImageKind::Docker => "TARGET.HasDockerURL",
                ImageKind::Sif => "TARGET.HasSIF",
                ImageKind::Sandbox => "TARGET.HasSandboxImage",
            });
        }
    } else {
        const OPSYS: [&str; 6] =
            ["OpSys", "OpSysAndVer", "OpSysLongName", "OpSysShortName", "OpSysName", "OpSysLegacy"];
        if !OPSYS.iter().any(|name| builder.names(name)) {
            builder.and(&format!("(TARGET.OpSys == \"{}\")", host.opsys));
        }
    }
    Ok(())
}

/// The request is not a literal number at or below `limit`.
fn exceeds(job: &mut Job<'_, '_>, attribute: &str, limit: f64) -> bool {
    job.ad.literal_number(attribute).is_none_or(|number| number > limit)
}

fn resources(job: &mut Job<'_, '_>, builder: &mut Builder) {
    let has_disk = job.ad.has("RequestDisk");
    if builder.names("Disk") {
        if has_disk {
            builder.and("(TARGET.Disk >= RequestDisk)");
        }
        obsolete(job, "requirements_disk", "Your Requirements expression refers to TARGET.Disk. ", "request_disk");
    } else if !has_disk {
        builder.and("(TARGET.Disk >= DiskUsage)");
    } else if exceeds(job, "RequestDisk", 0.0) {
        builder.and(if job.universe.number == VANILLA {
            "(versionGE(split(TARGET.CondorVersion)[1], \"25.12.0\") || (TARGET.Disk >= RequestDisk))"
        } else {
            "(TARGET.Disk >= RequestDisk)"
        });
    }
    if job.ad.has("RequestMemory") && exceeds(job, "RequestMemory", 1.0) {
        builder.and("(TARGET.Memory >= RequestMemory)");
    }
    if builder.names("Memory") {
        obsolete(job, "requirements_mem", "your Requirements expression refers to TARGET.Memory. ", "request_memory");
    }
    if job.universe.number != GRID
        && !builder.names("Cpus")
        && job.ad.has("RequestCpus")
        && exceeds(job, "RequestCpus", 1.0)
    {
        builder.and("(TARGET.Cpus >= RequestCpus)");
    }
    for request in job.ad.names_with("Request") {
        let name = &request["Request".len()..];
        let known = ["cpus", "disk", "memory"].contains(&name.to_ascii_lowercase().as_str());
        if known || name.len() < 2 || name.starts_with('_') || builder.names(name) {
            continue;
        }
        let value = match job.ad.get(&request).cloned() {
            Some(Assigned::Expr(text)) => job.ad.evaluate(&text),
            Some(Assigned::Int(number)) => Some(classad::Value::Int(number)),
            Some(Assigned::Text(text)) => Some(text.as_str().into()),
            _ => None,
        };
        match value {
            Some(classad::Value::Str(text)) if text.is_empty() => {}
            Some(classad::Value::Str(_)) => builder.and(&format!("regexp({request}, TARGET.{name})")),
            Some(classad::Value::Int(number)) if number <= 0 => {}
            Some(classad::Value::Real(number)) if number <= 0.0 => {}
            Some(classad::Value::Int(_) | classad::Value::Real(_) | classad::Value::Undefined) => {
                let require = format!("Require{name}");
                builder.and(&if job.ad.has(&require) {
                    format!("(countMatches(MY.{require},TARGET.Available{name}) >= {request})")
                } else {
                    format!("(TARGET.{name} >= {request})")
                });
            }
            _ => {}
        }
    }
}

fn obsolete(job: &mut Job<'_, '_>, what: &'static str, begin: &str, key: &str) {
    if once(job, what) {
        job.warn(format!(
            "{begin}This is obsolete. Set {key} and condor_submit will modify the Requirements expression as needed.\n"
        ));
    }
}

fn transfer(job: &mut Job<'_, '_>, builder: &mut Builder) -> Result<(), Refusal> {
    const DOMAIN: &str = "(TARGET.FileSystemDomain == MY.FileSystemDomain)";
    let should = job.ad.string("ShouldTransferFiles").unwrap_or_default();
    let names_domain = builder.names("FileSystemDomain");
    if should == "NO" {
        if !names_domain {
            builder.and(DOMAIN);
        }
        return Ok(());
    }
    if builder.names("HasFileTransfer") || builder.names("HasJobTransferPlugins") {
        return Ok(());
    }
    let plugins = job.ad.string("TransferPlugins").unwrap_or_default();
    let mut clause = Builder { text: String::new(), named: BTreeSet::new() };
    clause.and(if plugins.is_empty() { "TARGET.HasFileTransfer" } else { "TARGET.HasJobTransferPlugins" });
    let encrypts = ["EncryptInputFiles", "EncryptOutputFiles", "DontEncryptInputFiles", "DontEncryptOutputFiles"];
    if !builder.names("HasPerFileEncryption") && encrypts.iter().any(|name| job.ad.has(name)) {
        clause.and("TARGET.HasPerFileEncryption");
    }
    if job.ad.string("TransferCheckpoint").is_some()
        || job.ad.truth("PreserveRelativePaths") == Some(true)
        || job.ad.string("WhenToTransferOutput").is_some_and(|when| when == "ON_SUCCESS")
    {
        clause.and("versioncmp( split(TARGET.CondorVersion)[1], \"8.9.7\" ) >= 0");
    }
    if job.ad.truth("RequireCommonFilesTransfer") == Some(true) {
        clause.and("TARGET.HasCommonFilesTransfer >= 2");
    }
    let methods = url_methods(job, &plugins)?;
    if !builder.names("HasFileTransferPluginMethods") {
        for method in &methods {
            clause.and(&format!("stringListIMember(\"{method}\",TARGET.HasFileTransferPluginMethods)"));
        }
    }
    if !methods.is_empty() {
        job.set_text("WantTransferPluginMethods", methods.join(","));
    }
    let clause = clause.text;
    builder.and(&if should == "IF_NEEDED" && !names_domain {
        format!("({DOMAIN} || ({clause}))")
    } else {
        format!("({clause})")
    });
    Ok(())
}

/// Schemes of URLs in the job's files that the job brings no plug-in for, sorted ignoring case.
fn url_methods(job: &mut Job<'_, '_>, plugins: &str) -> Result<Vec<String>, Refusal> {
    let brought: Vec<String> = plugins
        .split(';')
        .filter_map(|plugin| plugin.split_once('='))
        .flat_map(|(methods, _)| values::words(methods).map(str::to_ascii_lowercase).collect::<Vec<_>>())
        .collect();
    let mut urls: Vec<String> = Vec::new();
    let inputs = job.ad.string("TransferInput").unwrap_or_default();
    urls.extend(values::comma_list(&inputs).filter_map(values::url_method).map(str::to_owned));
    if let Some(destination) = job.ad.string("OutputDestination") {
        match values::url_method(&destination) {
            Some(method) => urls.push(method.to_owned()),
            None => job.warn("output_destination must be a URL, did you mean output_directory ?\n"),
        }
    }
    let remaps = job.ad.string("TransferOutputRemaps").unwrap_or_default();
    let targets = remaps.split(';').filter_map(|remap| remap.split_once('='));
    urls.extend(targets.filter_map(|(_, target)| values::url_method(target.trim())).map(str::to_owned));
    let mut methods: Vec<String> = Vec::new();
    for method in urls {
        let known = methods.iter().any(|other| other.eq_ignore_ascii_case(&method));
        if !known && !brought.contains(&method.to_ascii_lowercase()) {
            methods.push(method);
        }
    }
    methods.sort_by_cached_key(|method| method.to_ascii_lowercase());
    if methods.iter().any(|method| ["s3", "gs"].contains(&method.to_ascii_lowercase().as_str())) {
        let (secret, id) = (!job.ad.has("EC2SecretAccessKey"), !job.ad.has("EC2AccessKeyId"));
        if secret || id {
            return Err(Refusal::SignedUrl { secret, id });
        }
    }
    Ok(methods)
}

fn deferral(job: &mut Job<'_, '_>, builder: &mut Builder) {
    if deferral_cause(job).is_none() {
        return;
    }
    if job.universe.number != LOCAL {
        builder.and("TARGET.HasJobDeferral");
    }
    if !job.ad.has("ScheddInterval") {
        job.set_int("ScheddInterval", 5);
    }
    builder.and(
        "(((time() + ScheddInterval) >= (DeferralTime - DeferralPrepTime)) && (time() < (DeferralTime + \
         DeferralWindow)))",
    );
}

/// `12.1` and `12` become 12001 and 12000; a whole number from 1000 on stays.
fn cuda(job: &mut Job<'_, '_>, builder: &mut Builder) -> Result<(), Refusal> {
    let Some(wanted) = job.ad.string("CUDAVersion") else { return Ok(()) };
    let number = |text: &str| text.parse::<i64>().ok().filter(|number| (0..=i64::from(u32::MAX)).contains(number));
    let version = match wanted.split_once('.') {
        Some((major, minor)) => number(major).zip(number(minor)).map(|(major, minor)| major * 1000 + minor % 100),
        None => number(&wanted).map(|major| if major < 1000 { major * 1000 } else { major }),
    };
    let Some(version) = version else { return Err(Refusal::CudaVersion) };
    job.set_int("CUDAVersion", version);
    builder.and("CUDAVersion <= TARGET.CUDAMaxSupportedVersion");
    Ok(())
}
