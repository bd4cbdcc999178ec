//! Sizes for the attempts after an eviction: `request_memory = 1G, 2G, 4G` and the `retry_request_…` keys.
//!
//! HTCondor keeps them as small transformations of the ad, made of lines separated by U+001E.

use classad::Value;

use crate::ad::Assigned;
use crate::job::Job;
use crate::refusal::Refusal;
use crate::steps::resources::{KIB, MIB};
use crate::values;

/// A resource whose request may grow.
pub(super) struct Growing {
    attribute: &'static str,
    /// Bytes in its unit.
    base: i64,
    /// When the transformation applies: held or evicted for want of this resource.
    requirements: &'static str,
}

pub(super) const MEMORY: Growing = Growing {
    attribute: "RequestMemory",
    base: MIB,
    requirements: "(VacateReasonCode==21 || VacateReasonCode == 34) && VacateReasonSubCode == 102",
};

pub(super) const DISK: Growing = Growing {
    attribute: "RequestDisk",
    base: KIB,
    requirements: "(VacateReasonCode==21 || VacateReasonCode == 34) && VacateReasonSubCode == 104",
};

/// Assigns what a list of sizes, or a maximum and an increment, ask for.
pub(super) fn assign(
    job: &mut Job<'_, '_>,
    growing: &Growing,
    key: &'static str,
    list: Option<&str>,
    increase: Option<&str>,
) -> Result<(), Refusal> {
    let name = growing.attribute;
    let (mut sizes, last) = match list {
        Some(list) => sequence(list, growing.base, key)?,
        None => (Vec::new(), None),
    };
    if sizes.len() > 1 {
        for pair in std::iter::once(&0).chain(&sizes).zip(&sizes) {
            if pair.1 <= pair.0 {
                return Err(Refusal::RetryOrder { key, next: *pair.1, last: *pair.0 });
            }
        }
    }
    let is_expression = last.is_some();
    let end = match last {
        Some(text) => Some(text),
        None => sizes.pop().map(|size| size.to_string()),
    };
    let body = match (end, increase) {
        (None, None) => return Ok(()),
        (Some(end), _) if !sizes.is_empty() => {
            let mut items: Vec<String> = sizes.iter().map(i64::to_string).collect();
            items.push(end);
            job.set_expr(&format!("Retry{name}"), &format!("{{{}}}", items.join(",")))?;
            format!(
                "EVALSET {name} Retry{name}[Retry{name}Index?:0]\u{1e}EVALSET Retry{name}Index \
                 MIN({{size(Retry{name})-1, (Retry{name}Index?:0)+1}})"
            )
        }
        (end, Some(increase)) => increment(job, growing, increase, end)?,
        (Some(end), None) => format!("{} {name} {end}", if is_expression { "EVALSET" } else { "SET" }),
    };
    job.set_text(&format!("TransformBody_{name}"), format!("REQUIREMENTS {}\u{1e}{body}", growing.requirements));
    let names = job.ad.string("TransformOnEvict").unwrap_or_default();
    if !values::words(&names).any(|other| other.eq_ignore_ascii_case(name)) {
        let blank = if names.is_empty() { "" } else { " " };
        job.set_text("TransformOnEvict", format!("{names}{blank}{name}"));
    }
    Ok(())
}

/// Sizes between commas; the last item may be an expression.
fn sequence(list: &str, base: i64, key: &'static str) -> Result<(Vec<i64>, Option<String>), Refusal> {
    let mut sizes = Vec::new();
    let mut rest = list.trim();
    while let Some(size) = values::size(rest, base, true) {
        sizes.push(size.amount);
        rest = size.rest.strip_prefix(',').unwrap_or("").trim();
        if rest.is_empty() {
            return Ok((sizes, None));
        }
    }
    match values::normalised(rest) {
        Some(text) => Ok((sizes, Some(text))),
        None => Err(Refusal::RetrySize { key, value: rest.to_owned() }),
    }
}

/// The body for a request that grows by `increase`, up to `max`.
fn increment(job: &mut Job<'_, '_>, growing: &Growing, increase: &str, max: Option<String>) -> Result<String, Refusal> {
    let name = growing.attribute;
    let wrong = || Refusal::RetryIncrement { attribute: name };
    let step = match values::size(increase, growing.base, false) {
        Some(size) if size.amount > 0 => format!("{name} + {}", size.amount),
        Some(_) => return Err(wrong()),
        None => {
            let expr = classad::parse_expr(increase).map_err(|_| wrong())?;
            if !expr.references().unscoped.contains(name.to_ascii_lowercase().as_str()) {
                return Err(wrong());
            }
            expr.to_string()
        }
    };
    if let Some(max) = max {
        job.set_expr(&format!("Max{name}"), &max)?;
        job.set_expr(&format!("Next{name}"), &step)?;
        return Ok(format!("EVALSET {name} MIN({{Next{name}, Max{name}}})"));
    }
    let unknown = || Refusal::RetryIncrementValue { attribute: name, text: increase.to_owned() };
    let present = job.ad.get(name).map(Assigned::to_text).ok_or_else(unknown)?;
    let mut ad = classad::ClassAd::new();
    ad.insert(name, classad::parse_expr(&present).map_err(|_| unknown())?);
    let expr = classad::parse_expr(&step).map_err(|_| unknown())?;
    match classad::eval(&expr, &ad, None, &classad::Env::default()) {
        Value::Int(number) => Ok(format!("SET {name} {number}")),
        Value::Real(number) if number.is_finite() => Ok(format!("SET {name} {}", number as i64)),
        _ => Err(unknown()),
    }
}
