//! What holds for all expressions: they print as they parse, and nothing panics.

use classad::{ClassAd, Env, Expr, Value, ad_to_json, ad_to_long, ad_to_xml, eval, parse_expr, parse_expr_new};
use proptest::prelude::*;

/// Texts of expressions, strings without what the old syntax cannot say: a backslash before the closing quote, a
/// line end, other control characters.
fn text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<u32>().prop_map(|i| i.to_string()),
        any::<i64>().prop_map(|i| i.to_string()),
        (-1e300..1e300_f64).prop_map(|r| Expr::from(r).to_new_string()),
        "\"[a-zA-Z0-9 ,;'/é]{0,8}\"",
        "[A-Za-z_][A-Za-z0-9_]{0,6}".prop_filter("reserved", |word| parse_expr(word).is_ok()),
        "'[a-z $.-]{1,6}'",
        prop::sample::select(vec!["true", "FALSE", "undefined", "error", "MY.x", "TARGET.y", ".z", "my", "parent"])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 60, 4, |inner| {
        let operators = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "=?=", "=!=", "is", "isnt", "&&", "||", "&",
            "|", "^", "<<", ">>", ">>>",
        ]);
        let functions = prop::sample::select(vec![
            "strcat",
            "member",
            "regexp",
            "split",
            "eval",
            "sum",
            "formatTime",
            "absTime",
            "int",
            "nosuch",
            "substr",
            "ifThenElse",
            "join",
            "unresolved",
            "replaceall",
            "evalInEachContext",
            "splitTime",
            "quantize",
            "max",
            "stringListMember",
            "listToArgs",
            "mergeEnvironment",
            "versioncmp",
            "interval",
            "pow",
            "relTime",
        ]);
        prop_oneof![
            (inner.clone(), operators, inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            inner.clone().prop_map(|a| format!("({a})")),
            (prop::sample::select(vec!["!", "~", "-", "+"]), inner.clone()).prop_map(|(op, a)| format!("{op}({a})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("{a} ? {b} : {c}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) ?: ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            inner.clone().prop_map(|a| format!("({a}).attr")),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("{{{}}}", items.join(","))),
            prop::collection::vec(("[a-zA-Z]{1,3}", inner.clone()), 0..4).prop_map(|attributes| {
                let attributes: Vec<String> =
                    attributes.iter().map(|(name, expr)| format!("x{name} = {expr}")).collect();
                format!("[{}]", attributes.join(";"))
            }),
            (functions, prop::collection::vec(inner, 0..4))
                .prop_map(|(name, args)| format!("{name}({})", args.join(","))),
        ]
    })
}

fn surroundings() -> (ClassAd, ClassAd, Env) {
    let my =
        "x = 1\ny = 2.5\nz = \"a b\"\nA = { 1,\"x\",B }\nB = A\nN = [ a = 1; b = x ]\nattr = N.b\na = x + TARGET.y";
    let target = "y = MY.x\nQ = TARGET.x\nList = { MY.y,\"q\" }";
    let ad = |text| ClassAd::from_old_text(text).expect("a good ad");
    (ad(my), ad(target), Env { random_seed: Some(7), ..Env::at_utc(1_795_290_000) })
}

/// Prints a value in all ways.
fn print_all(value: &Value) {
    let forms = [value.to_string(), value.display_old(), value.print_new(), value.print_pretty()];
    assert!(forms.iter().all(|form| !form.is_empty() || matches!(value, Value::Str(_))));
    assert!(!value.to_json().is_empty() && !value.to_xml().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn printed_expressions_parse_to_themselves(text in text()) {
        // A time that is none does not parse; a sign before a number printed without blank becomes part of it.
        let Ok(expr) = parse_expr(&text) else { return Ok(()) };
        prop_assert_eq!(&parse_expr(&expr.to_string()).expect("what is printed parses"), &expr);
        let new = expr.to_new_string();
        // The new syntax has 16 digits of each real: what is read back prints the same.
        prop_assert_eq!(parse_expr_new(&new).expect("what is printed parses").to_new_string(), new);
        let pretty = expr.to_pretty_string();
        prop_assert_eq!(parse_expr_new(&pretty).expect("what is printed parses").to_pretty_string(), pretty);
    }

    #[test]
    fn expressions_evaluate_and_print(text in text()) {
        let Ok(expr) = parse_expr(&text) else { return Ok(()) };
        let (my, target, env) = surroundings();
        print_all(&eval(&expr, &my, Some(&target), &env));
        prop_assert_eq!(eval(&expr, &my, None, &env), eval(&expr, &my, None, &env), "pure");
        let references = expr.references();
        prop_assert!(references.unscoped.iter().all(|name| !name.contains(char::is_uppercase)));
        let ad: ClassAd = [("Attr".to_owned(), expr)].into_iter().collect();
        let again = |ad: &ClassAd| ClassAd::from_old_text(&ad_to_long(ad)).expect("what is printed parses");
        let read = again(&ad);
        // A time that is the whole value is kept in another form.
        prop_assert!(read == ad || ad_to_long(&ad).contains("Time("), "{}", ad_to_long(&ad));
        prop_assert_eq!(&again(&read), &read);
        prop_assert!(ad_to_xml(&ad).ends_with("</c>"));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&ad_to_json(&ad)).is_ok());
    }

    #[test]
    fn strings_round_trip(text in "[^\\x00]*") {
        let expr = Expr::from(text.as_str());
        prop_assert_eq!(&parse_expr_new(&expr.to_new_string()).expect("what is printed parses"), &expr);
        // Before a line end the old syntax takes a quote for the closing one, whatever stands before it.
        if !text.contains(['\n', '\r']) {
            prop_assert_eq!(&parse_expr(&expr.to_string()).expect("what is printed parses"), &expr);
        }
    }

    #[test]
    fn any_text_is_taken_without_panic(text in any::<String>()) {
        for expr in [parse_expr(&text), parse_expr_new(&text)].into_iter().flatten() {
            let (my, target, env) = surroundings();
            print_all(&eval(&expr, &my, Some(&target), &env));
        }
        let _refused_or_not = ClassAd::from_old_text(&text);
    }

    #[test]
    fn any_soup_of_tokens_is_taken_without_panic(tokens in prop::collection::vec(prop::sample::select(vec![
        "(", ")", "[", "]", "{", "}", ",", ";", "?", ":", "?:", "=", "==", "=?=", "!", "-", "+", "1", "2.5", "1e400", "0x1", "\"",
        "\"a\\", "'", "a", ".", "..", "is", "true", "f(", "absTime(\"", "//", "/*", "*/", "\n", "<<", "&&", "\\", "é",
    ]), 0..30)) {
        for text in [tokens.concat(), tokens.join(" ")] {
            for expr in [parse_expr(&text), parse_expr_new(&text)].into_iter().flatten() {
                let (my, target, env) = surroundings();
                print_all(&eval(&expr, &my, Some(&target), &env));
            }
        }
    }

    #[test]
    fn functions_take_anything(name in prop::sample::select(FUNCTIONS), args in prop::collection::vec(text(), 0..5)) {
        let Ok(expr) = parse_expr(&format!("{name}({})", args.join(","))) else { return Ok(()) };
        let (my, target, env) = surroundings();
        print_all(&eval(&expr, &my, Some(&target), &env));
    }

    #[test]
    fn functions_take_any_numbers(
        name in prop::sample::select(FUNCTIONS),
        ints in prop::collection::vec(any::<i64>(), 1..4),
        reals in prop::collection::vec(any::<f64>(), 1..4),
    ) {
        let call = |args: Vec<String>| format!("{name}({})", args.join(","));
        let lists = |args: &[String]| vec![format!("{{{}}}", args.join(","))];
        let ints: Vec<String> = ints.iter().map(i64::to_string).collect();
        let reals: Vec<String> = reals.iter().map(|r| Expr::from(*r).to_new_string()).collect();
        let times: Vec<String> = ints.iter().map(|i| format!("absTime({i},0)")).collect();
        let spans: Vec<String> = reals.iter().map(|r| format!("relTime({r})")).collect();
        for args in [lists(&ints), lists(&reals), ints, reals, times, spans] {
            let expr = parse_expr(&call(args)).expect("it parses");
            let (my, target, env) = surroundings();
            print_all(&eval(&expr, &my, Some(&target), &env));
        }
    }
}

#[test]
fn a_list_that_holds_itself_is_not_followed_for_ever() {
    let my = ClassAd::from_old_text("A = { 1,B }\nB = A").expect("a good ad");
    let env = Env::at_utc(0);
    // A quarter of what threads usually have, of which debug builds use far more than releases.
    let thread = std::thread::Builder::new().stack_size(3 << 20);
    let done = thread.spawn(move || {
        for text in ["A.x", "B.x", "A[1].x", "eval(\"A.x\")", "{ A }.x"] {
            let value = eval(&parse_expr(text).expect("it parses"), &my, None, &env);
            assert!(matches!(value, Value::List(_) | Value::Error), "{text}: {value}");
        }
    });
    done.expect("a thread starts").join().expect("no stack overflow");
}

/// All functions.
const FUNCTIONS: &[&str] = &[
    "absTime",
    "allCompare",
    "anyCompare",
    "argsToList",
    "avg",
    "bool",
    "ceil",
    "ceiling",
    "countMatches",
    "currentTime",
    "dayTime",
    "debug",
    "envV1ToV2",
    "eval",
    "evalInEachContext",
    "floor",
    "formatTime",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getDays",
    "getHours",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "getYear",
    "identicalMember",
    "ifThenElse",
    "int",
    "interval",
    "isAbsTime",
    "isBoolean",
    "isClassAd",
    "isError",
    "isInteger",
    "isList",
    "isReal",
    "isRelTime",
    "isString",
    "isUndefined",
    "join",
    "listToArgs",
    "max",
    "member",
    "mergeEnvironment",
    "min",
    "pow",
    "quantize",
    "random",
    "real",
    "regexp",
    "regexpMember",
    "regexps",
    "relTime",
    "replace",
    "replaceall",
    "round",
    "size",
    "split",
    "splitSlotName",
    "splitTime",
    "splitUserName",
    "strcat",
    "strcmp",
    "stricmp",
    "string",
    "stringListAvg",
    "stringListIMember",
    "stringListISubsetMatch",
    "stringListMax",
    "stringListMember",
    "stringListMin",
    "stringListSize",
    "stringListSubsetMatch",
    "stringListSum",
    "stringList_regexpMember",
    "stringListsIntersect",
    "substr",
    "sum",
    "time",
    "timeZoneOffset",
    "toLower",
    "toUpper",
    "unparse",
    "unresolved",
    "userHome",
    "userMap",
    "versionEQ",
    "versionGE",
    "versionGT",
    "versionLE",
    "versionLT",
    "version_in_range",
    "versioncmp",
];
