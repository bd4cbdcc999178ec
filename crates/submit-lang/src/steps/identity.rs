//! Who submits: proxy, token, accounting group, limits shared with others.

use std::collections::BTreeSet;

use crate::job::Job;
use crate::refusal::Refusal;
use crate::values;

/// `x509userproxy`, `use_x509userproxy`. A proxy that is not there is left out: computing elements ask for one whether
/// they have it or not.
pub(super) fn proxy(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    let mut name = job.param("x509userproxy", None)?;
    let wanted = job.bool_param("use_x509userproxy", None)?.unwrap_or(false);
    if name.is_none() && wanted {
        let world = job.macros.world;
        let given = world.env("X509_USER_PROXY").filter(|name| !name.is_empty());
        name = Some(given.unwrap_or_else(|| format!("/tmp/x509up_u{}", world.uid())));
    }
    if let Some(name) = name {
        let path = job.full_path(&name);
        if job.macros.world.stat(&path).is_ok_and(|facts| !facts.is_dir) {
            job.set_text("x509userproxy", path);
        }
    }
    let key = "delegate_job_gsi_credentials_lifetime";
    if let Some(value) = job.param(key, "DelegateJobGSICredentialsLifetime")? {
        let Ok(lifetime) = value.parse() else { return Err(Refusal::IntegerSetting { key, value }) };
        job.set_int("DelegateJobGSICredentialsLifetime", lifetime);
    }
    Ok(())
}

/// `use_scitokens`, `scitokens_file`; left out when there is none, like the proxy.
pub(super) fn token(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    let wanted = job.param("use_scitokens", "use_scitoken")?;
    let named = job.param("scitokens_file", "ScitokensFile")?;
    let wanted = match wanted {
        None => named.is_some(),
        Some(word) if word.eq_ignore_ascii_case("auto") => true,
        Some(word) => values::boolean(&word).ok_or(Refusal::UseScitokens)?,
    };
    if !wanted {
        return Ok(());
    }
    let named = named.or_else(|| job.macros.world.env("BEARER_TOKEN_FILE").filter(|name| !name.is_empty()));
    if let Some(name) = named {
        let path = job.full_path(&name);
        if job.macros.world.stat(&path).is_ok_and(|facts| !facts.is_dir) {
            job.set_text("ScitokensFile", path);
        }
    }
    Ok(())
}

/// `accounting_group`, `accounting_group_user`, `nice_user`, `project_name`.
pub(super) fn accounting(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    const NICE: &str = "nice-user";
    if let Some(project) = job.plain("project_name", "ProjectName")? {
        job.set_text("ProjectName", project);
    }
    let mut group = job.param("accounting_group", "AccountingGroup")?;
    if job.bool_param("nice_user", "NiceUser")? == Some(true) {
        match &group {
            None => group = Some(NICE.to_owned()),
            Some(other) if other != NICE => {
                job.warn("nice_user conflicts with accounting_group. nice_user will be ignored");
            }
            Some(_) => {}
        }
        job.set_int("MaxJobRetirementTime", 0);
    }
    let user = job.param("accounting_group_user", "AcctGroupUser")?;
    if group.is_none() && user.is_none() {
        return Ok(());
    }
    let user = user.unwrap_or_else(|| job.macros.world.owner().to_owned());
    let valid = |name: &str| !name.is_empty() && !name.contains([' ', '\t', '\n', '\r']);
    if let Some(group) = group.as_ref().filter(|group| !valid(group)) {
        return Err(Refusal::AccountingName { key: "accounting_group", value: group.clone() });
    }
    if !valid(&user) {
        return Err(Refusal::AccountingName { key: "accounting_group_user", value: user });
    }
    job.set_text("AcctGroupUser", user.clone());
    match group {
        Some(group) => {
            job.set_text("AccountingGroup", format!("{group}.{user}"));
            job.set_text("AcctGroup", group);
        }
        None => job.set_text("AccountingGroup", user),
    }
    Ok(())
}

/// `concurrency_limits`: names with an optional `:` and amount, sorted, in lower case.
pub(super) fn concurrency(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    const NAME: &str = "ConcurrencyLimits";
    let list = job.param("concurrency_limits", None)?;
    let expression = job.param("concurrency_limits_expr", None)?;
    match (list, expression) {
        (Some(_), Some(_)) => Err(Refusal::ConcurrencyLimitsTwice),
        (None, None) => Ok(()),
        (None, Some(text)) => job.set_expr(NAME, &text),
        (Some(list), None) => {
            let list = list.to_ascii_lowercase();
            let mut limits: Vec<&str> = values::words(&list).collect();
            if let Some(limit) = limits.iter().find(|limit| !is_limit(limit)) {
                return Err(Refusal::ConcurrencyLimit { limit: (*limit).to_owned() });
            }
            limits.sort_unstable();
            job.set_text(NAME, limits.join(","));
            Ok(())
        }
    }
}

fn is_limit(limit: &str) -> bool {
    // An amount that is no number counts as 1 later.
    let name = limit.split(':').next().unwrap_or(limit);
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match name.split_once('.') {
        Some((before, after)) => is_name(before) && is_name(after),
        None => is_name(name),
    }
}

/// `use_oauth_services`: names of services, with `*handle` where keys like `box_oauth_permissions_handle` ask for it.
pub(super) fn oauth(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    let Some(list) = job.param("use_oauth_services", "UseOAuthServices")? else { return Ok(()) };
    let enabled: BTreeSet<String> = values::words(&list).map(str::to_ascii_lowercase).collect();
    let mut names = BTreeSet::new();
    let mut with_handle = BTreeSet::new();
    let keys: Vec<String> = job.macros.iter().map(|(key, _)| key.to_ascii_lowercase()).collect();
    for key in keys {
        let Some((service, handle)) = ["permissions", "resource", "options"].iter().find_map(|what| {
            let (service, rest) = key.split_once(&format!("_oauth_{what}"))?;
            Some((service.to_owned(), rest.strip_prefix('_').map(str::to_owned)))
        }) else {
            continue;
        };
        if !enabled.contains(&service) {
            continue;
        }
        let _ = job.plain(&key, None)?;
        match handle.filter(|handle| !handle.is_empty()) {
            Some(handle) => {
                names.insert(format!("{service}*{handle}"));
                with_handle.insert(service);
            }
            None => {
                names.insert(service);
            }
        }
    }
    names.extend(enabled.into_iter().filter(|service| !with_handle.contains(service)));
    if !names.is_empty() {
        let names: Vec<String> = names.into_iter().collect();
        job.set_text("OAuthServicesNeeded", names.join(","));
    }
    Ok(())
}
