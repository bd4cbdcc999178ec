//! Each recorded expression: how it is printed, what it evaluates to, how that is printed.

use std::collections::BTreeMap;
use std::sync::Arc;

use classad::{ClassAd, Env, Expr, Value, eval, parse_expr, parse_expr_new};
use serde_json::Value as Json;

#[test]
fn corpus_of_expressions() {
    let accepted = accepted();
    let mut used = BTreeMap::new();
    let (mut total, mut agree, mut quirks_agree, mut quirks) = (0, 0, 0, 0);
    let mut surprises = Vec::new();
    let rows = super::data("expressions.jsonl") + &super::data("more.jsonl");
    for line in rows.lines() {
        let row: Json = serde_json::from_str(line).expect("recorded rows are JSON");
        let id = row["id"].as_u64().expect("every row has a number");
        let differences = differences(&row);
        if row["quirk"] == true {
            quirks += 1;
            quirks_agree += usize::from(differences.is_empty());
            continue;
        }
        total += 1;
        if differences.is_empty() {
            agree += 1;
        } else if accepted.contains_key(&id) {
            used.insert(id, ());
        } else {
            surprises.push(format!("{id}: {}\n    {}", row["expr"], differences.join("\n    ")));
        }
    }
    println!("oracle: expressions {agree}/{total} accepted {} missing 0", used.len());
    println!("{quirks_agree}/{quirks} of the library's accidents agree too");
    assert!(surprises.is_empty(), "{} surprises:\n{}", surprises.len(), surprises.join("\n"));
    let stale: Vec<_> = accepted.keys().filter(|id| !used.contains_key(id)).collect();
    assert!(stale.is_empty(), "accepted.txt lists rows that agree: {stale:?}");
}

/// `accepted.txt`: a row's number, a colon and why it differs.
fn accepted() -> BTreeMap<u64, String> {
    let text = super::data("accepted.txt");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (id, reason) = line.split_once(':').expect("a number, a colon, a reason");
            assert!(reason.trim().len() > 20, "{line}: say why");
            (id.parse().expect("a row's number"), reason.trim().to_owned())
        })
        .collect()
}

fn differences(row: &Json) -> Vec<String> {
    let text = row["expr"].as_str().expect("every row has an expression");
    let parse = if row["lang"] == "old" { parse_expr } else { parse_expr_new };
    let parsed = parse(text);
    if row["type"] == "parse_error" {
        return parsed.map_or(Vec::new(), |expr| vec![format!("parsed as {expr}")]);
    }
    let expr = match parsed {
        Ok(expr) => expr,
        Err(error) => return vec![format!("not parsed: {error}")],
    };
    let mut found = Vec::new();
    let mut same = |what: &str, ours: &str| {
        if let Some(theirs) = row[what].as_str()
            && theirs != ours
        {
            found.push(format!("{what}: {ours:?}, recorded {theirs:?}"));
        }
    };
    same("unparsed_old", &expr.to_string());
    same("unparsed_new", expr.to_pretty_string().trim_start());

    // The recorder put the expression into the ad under this name.
    let ad = |key: &str| row[key].as_str().map(read_ad);
    let mut my = ad("ad").unwrap_or_default();
    my.insert("OracleExpr__", expr);
    let target = ad("target");
    let result = evaluate(Expr::attribute("OracleExpr__"), &my, target.as_ref());
    same("type", type_name(&result));
    // Where the type is not recorded, spans were recorded as plain seconds.
    let printed = match result {
        Value::RelTime(secs) if row["type"].is_null() => Value::Real(secs).to_string(),
        _ => result.to_string(),
    };
    same("result_printed", &printed);
    same("result_new", result.print_pretty().trim_start());
    if !matches!(result, Value::Undefined | Value::Error | Value::List(_) | Value::Ad(_)) {
        let text = evaluate(parse_expr("string(OracleExpr__)").expect("it parses"), &my, target.as_ref());
        same("as_string", text.as_str().unwrap_or("no string"));
    }
    found
}

/// An ad in the old or, in brackets, in the new syntax.
fn read_ad(text: &str) -> ClassAd {
    if !text.starts_with('[') {
        return ClassAd::from_old_text(text).expect("a recorded ad parses");
    }
    let expr = parse_expr_new(text).expect("a recorded ad parses");
    ClassAd::clone(expr.ad().expect("brackets make an ad"))
}

fn evaluate(expr: Expr, my: &ClassAd, target: Option<&ClassAd>) -> Value {
    let env = Env {
        random_seed: Some(1),
        home_of: Some(Arc::new(|user| (user == "root").then(|| "/root".to_owned()))),
        ..Env::at_utc(1_795_290_000)
    };
    eval(&expr, my, target.map(|target| target as _), &env)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Undefined => "undefined",
        Value::Error => "error",
        Value::Bool(_) => "boolean",
        Value::Int(_) => "integer",
        Value::Real(_) => "real",
        Value::Str(_) => "string",
        Value::AbsTime(_) => "abstime",
        Value::RelTime(_) => "reltime",
        Value::List(_) => "list",
        Value::Ad(_) => "classad",
    }
}
