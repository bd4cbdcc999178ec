use super::*;

fn check(text: &str, printed: &str) {
    assert_eq!(parse_expr(text).expect("it parses").to_string(), printed, "{text}");
}

#[test]
fn minus_sticks_to_a_number_only_without_blank() {
    check("-7", "-7");
    check("- 7", " -7");
    check("--7", " --7");
    check("5 -3", "5 - 3");
    check("a--1", "a - -1");
    check("-9223372036854775808", "-9223372036854775808");
    assert!(parse_expr("-9223372036854775808").expect("it parses").literal().is_some());
}

#[test]
fn numbers() {
    for (text, printed) in [("-007", "-7"), ("-00", "0"), ("00.5", "0.5"), ("-0x1F", "0"), ("9223372036854775808", "0")]
    {
        check(text, printed);
    }
    // HTCondor's programs refuse what looks octal or hexadecimal, in the old syntax.
    for (text, printed) in [("007", "7"), ("0x1F", "0"), ("x - 01", "x - 1")] {
        assert_eq!(parse_expr_new(text).expect("it parses").to_string(), printed, "{text}");
        assert!(parse_expr(text).is_err(), "{text}");
    }
    for bad in ["00", "08", "1.", "1e", "0x", "1K", "1.e5", "5.5.5"] {
        assert!(parse_expr(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_short_conditional_binds_tightest() {
    let same = |a: &str, b: &str| {
        let (a, b) = (parse_expr(a).expect("it parses"), parse_expr(b).expect("it parses"));
        let plain = |expr: &Expr| expr.to_string().replace(['(', ')'], "");
        assert_eq!(plain(&a), plain(&b));
        let env = crate::Env::default();
        let ad = crate::ClassAd::new();
        assert_eq!(crate::eval(&a, &ad, None, &env), crate::eval(&b, &ad, None, &env));
    };
    same("2 * x ?: 4", "2 * (x ?: 4)");
    same("-x ?: 5", "-(x ?: 5)");
    same("x ?: y ?: 3", "x ?: (y ?: 3)");
    same("x ? :-1 ? 2 : 3", "(x ?: -1) ? 2 : 3");
    assert!(parse_expr("x ?: !y").is_err());
}

#[test]
fn quotes() {
    check(r#""C:\dir\""#, r#""C:\dir\""#);
    check(r#""a\"b""#, r#""a\"b""#);
    check("'a b' + 'c'", "'a b' + c");
    assert_eq!(parse_expr_new(r#""\101\n\x""#).expect("it parses"), Expr::from("A\nx"));
    assert!(parse_expr_new(r#""\0""#).is_err());
    check("''", "''");
    assert!(parse_expr("''a").is_err());
}

#[test]
fn hostile_depth_is_refused_and_long_chains_are_not() {
    for deep in ["(", "{", "[a=", "!", "-", "f(", "a?", "a?:", "1||1&&1|1^1&1==1<1<<1+1*("] {
        let error = parse_expr(&deep.repeat(100_000)).expect_err("too deep");
        assert_eq!(error, ParseError::TooDeep { max: DEPTH_MAX }, "{deep}");
    }
    for tail in ["[0]", ".a"] {
        let text = format!("a{}", tail.repeat(100_000));
        assert_eq!(parse_expr(&text), Err(ParseError::TooDeep { max: DEPTH_MAX }));
    }
    let chain = vec!["a"; 100_000].join(" + ");
    assert_eq!(parse_expr(&chain).expect("it parses").to_string(), chain);
    assert!(matches!(parse_expr(&"1+".repeat(TOKENS_MAX)), Err(ParseError::TooManyTokens { .. })));
    assert!(matches!(parse_expr(&" ".repeat(TEXT_MAX + 1)), Err(ParseError::TooLong { .. })));
}

#[test]
fn errors_say_where() {
    assert_eq!(parse_expr("1 +"), Err(ParseError::UnexpectedEnd));
    assert_eq!(parse_expr("a = b"), Err(ParseError::Unexpected { at: 3, found: "=".into() }));
    assert_eq!(parse_expr("a # b"), Err(ParseError::BadToken { at: 2 }));
    assert_eq!(parse_expr("absTime(\"x\")"), Err(ParseError::BadTime { text: "x".into() }));
}

#[test]
fn plain_literals_are_what_the_grammar_says() {
    for text in ["0", "7", "999999999999999999", "\"\"", "\"a b\"", "\"\u{e4}\"", "true", "false"] {
        let plain = plain_literal(text).unwrap_or_else(|| panic!("{text} is plain"));
        assert_eq!(Expr::from(plain), grammar::parse(text, Quoting::Old).unwrap(), "{text}");
    }
    for text in [
        "",
        "\"",
        "007",
        "00",
        "\"a\\\"b\"",
        "\"a\" + \"b\"",
        "\"a\"\"b\"",
        "TRUE",
        "-1",
        "1000000000000000000",
        "a",
        "\"\n\"",
    ] {
        assert_eq!(plain_literal(text), None, "{text}");
    }
}
