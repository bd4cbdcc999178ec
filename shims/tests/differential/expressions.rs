//! Four thousand generated expressions: printed and evaluated alike.

use classad::{ClassAd, Env, Value, eval, parse_expr_new};
use serde_json::json;

use crate::dice::{Dice, SEED};
use crate::python;

const COUNT: usize = 4_000;

/// What names in expressions find.
const AD: &str = "a = 7\nb = 2.5\nc = \"condor pool\"\nd = true\nl = { 1,\"x\",a + 1,undefined }\nn = [ a = 1; z = a ]\n\
                  u = undefined\ne = a + b\ns = \"one, two ,three\"";

const NAMES: &[&str] =
    &["a", "a", "a", "b", "b", "c", "d", "e", "e", "s", "l", "n", "u", "nosuch", "n.z", "l[2]", "MY.a", ".a"];

const OPERATORS: &[&str] = &[
    "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "=?=", "=!=", "&&", "||", "&", "|", "^", "<<", ">>",
    ">>>", "is", "isnt",
];

/// Functions, with how many arguments they take.
const FUNCTIONS: &[(&str, usize)] = &[
    ("abs", 1),
    ("anyCompare", 3),
    ("allCompare", 3),
    ("ceiling", 1),
    ("floor", 1),
    ("round", 1),
    ("int", 1),
    ("real", 1),
    ("bool", 1),
    ("string", 1),
    ("ifThenElse", 3),
    ("isBoolean", 1),
    ("isError", 1),
    ("isInteger", 1),
    ("isList", 1),
    ("isReal", 1),
    ("isString", 1),
    ("isUndefined", 1),
    ("max", 1),
    ("min", 1),
    ("sum", 1),
    ("avg", 1),
    ("member", 2),
    ("identicalMember", 2),
    ("join", 2),
    ("pow", 2),
    ("quantize", 2),
    ("regexp", 2),
    ("size", 1),
    ("split", 1),
    ("strcat", 2),
    ("strcmp", 2),
    ("stricmp", 2),
    ("stringListMember", 2),
    ("stringListSize", 1),
    ("stringListSum", 1),
    ("stringListAvg", 1),
    ("stringListsIntersect", 2),
    ("substr", 2),
    ("substr", 3),
    ("toLower", 1),
    ("toUpper", 1),
    ("versioncmp", 2),
    ("versionGE", 2),
    ("eval", 1),
    ("regexps", 3),
    ("replace", 3),
    ("replaceAll", 3),
    ("regexpMember", 2),
    ("splitUserName", 1),
    ("stringListMin", 1),
    ("stringListMax", 1),
    ("stringListSubsetMatch", 2),
    ("stringList_regexpMember", 2),
    ("versionEQ", 2),
    ("version_in_range", 3),
    ("unparse", 1),
    ("countMatches", 2),
    ("interval", 1),
    ("envV1ToV2", 1),
    ("listToArgs", 1),
    ("argsToList", 1),
];

fn literal(dice: &mut Dice) -> String {
    const TEXTS: &[&str] =
        &["\"\"", "\"a\"", "\"Condor\"", "\"10\"", "\"2.5\"", "\"a, b,c\"", "\"x y\"", "\"1.2.10\"", "\"a + 1\""];
    match dice.below(6) {
        0 | 1 => dice.below(20).to_string(),
        2 => format!("{}.{}", dice.below(9), dice.pick(&["0", "5", "25"])),
        3 => dice.pick(TEXTS).to_owned(),
        4 => dice.pick(&["true", "false", "true", "false", "undefined", "error"]).to_owned(),
        _ => dice.pick(NAMES).to_owned(),
    }
}

fn expression(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 {
        return literal(dice);
    }
    let mut inner = || expression(dice, depth - 1);
    let (x, y, z) = (inner(), inner(), inner());
    match dice.below(12) {
        0..=4 => format!("({x}) {} ({y})", dice.pick(OPERATORS)),
        5 => format!("{}({x})", dice.pick(&["!", "-", "~", "+"])),
        6 => format!("({x}) ? ({y}) : ({z})"),
        7 => format!("{{ {x}, {y} }}[{}]", dice.below(3)),
        8 => format!("({x}) ?: ({y})"),
        _ => {
            let (name, count) = dice.pick(FUNCTIONS);
            format!("{name}({})", [x, y, z][..count].join(", "))
        }
    }
}

/// As `read.py` tags values.
fn tagged(value: &Value) -> serde_json::Value {
    match value {
        Value::Undefined => json!(["undefined"]),
        Value::Error => json!(["error"]),
        Value::Bool(b) => json!(["boolean", b]),
        Value::Int(i) => json!(["integer", i]),
        Value::Real(r) | Value::RelTime(r) => json!(["real", r]),
        Value::Str(text) => json!(["string", &**text]),
        Value::AbsTime(_) | Value::List(_) | Value::Ad(_) => json!(["other"]),
    }
}

/// The tagged value with a real number, which comes as its bits in hexadecimal, as a number.
fn read(tagged: &serde_json::Value) -> serde_json::Value {
    match tagged[0] == "real" {
        true => json!(["real", real(tagged[1].as_str().unwrap())]),
        false => tagged.clone(),
    }
}

/// Python's `float.hex()`.
fn real(text: &str) -> Option<f64> {
    let (sign, text) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let text = text.strip_prefix("0x")?;
    let (digits, power) = text.split_once('p')?;
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let bits = u64::from_str_radix(&format!("{whole}{part}"), 16).ok()?;
    let exponent = power.parse::<i32>().ok()? - 4 * i32::try_from(part.len()).ok()?;
    Some(sign * bits as f64 * 2f64.powi(exponent))
}

#[test]
fn generated_expressions_are_printed_and_evaluated_alike() {
    let mut dice = Dice::new(SEED);
    let texts: Vec<String> = (0..COUNT).map(|number| expression(&mut dice, 1 + number % 3)).collect();
    let questions: Vec<_> = texts.iter().map(|text| json!({ "expr": text, "ad": AD })).collect();
    let folder = tempfile::tempdir().unwrap();
    let test = "generated_expressions_are_printed_and_evaluated_alike";
    let Some(answers) = python::ask(test, "expression", &questions, folder.path()) else { return };

    let env = Env::at_utc(1_795_290_000);
    let (mut same, mut known, mut died, mut odd) = (0, 0, 0, Vec::new());
    for (text, answer) in texts.iter().zip(&answers) {
        if !answer["died"].is_null() {
            died += 1;
            continue;
        }
        let ours = parse_expr_new(text).ok().map(|expr| {
            let mut my = ClassAd::from_old_text(AD).unwrap();
            my.insert("Answer__", expr.clone());
            let value = |text| eval(&parse_expr_new(text).unwrap(), &my, None, &env);
            let printed = expr.to_pretty_string().trim().to_owned();
            json!({ "printed": printed, "value": tagged(&value("Answer__")), "text": tagged(&value("string(Answer__)")) })
        });
        let theirs = answer["refused"].is_null().then(
            || json!({ "printed": answer["printed"], "value": read(&answer["value"]), "text": read(&answer["text"]) }),
        );
        known += usize::from(!["undefined", "error"].iter().any(|tag| answer["value"][0] == *tag));
        if ours == theirs {
            same += 1;
        } else {
            odd.push(format!("{text}\n  ours   {ours:?}\n  theirs {theirs:?}"));
        }
    }
    println!("{same} of {COUNT} expressions alike, {known} have a value, {died} crashed the library");
    assert!(odd.is_empty(), "{} differ (seed {SEED}):\n{}", odd.len(), odd.join("\n"));
    assert!(known * 3 >= COUNT && died * 100 <= COUNT, "too few have a value: the comparison says little");
}
