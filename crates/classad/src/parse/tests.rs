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
    assert!(matches!(parse_expr(&" ".repeat(TEXT_MAX + 1)), Err(ParseError::TooLong { .. })));
}

#[test]
fn errors_say_where() {
    assert_eq!(parse_expr("1 +"), Err(ParseError::UnexpectedEnd));
    assert_eq!(parse_expr("a = b"), Err(ParseError::Unexpected { at: 3, found: "=".into() }));
    assert_eq!(parse_expr("a # b"), Err(ParseError::BadToken { at: 2 }));
    assert_eq!(parse_expr("absTime(\"x\")"), Err(ParseError::BadTime { text: "x".into() }));
}
