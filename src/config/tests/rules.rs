//! `[[rules]]`.

use super::*;

const GOOD: &str = r#"
[[rules]]
name = "the bank is slow on Sundays"
match = { service = "shop", kind = "client", exception_type = "*Timeout", message = "bank\\.example" }
set = { severity = "warning", category = "network", tags = ["known"] }

[[rules]]
match = { endpoint = "/legacy/*", status_code = [404, "5xx", "420-425"] }
drop = true

[[rules]]
match = { category = "validation", span_name = "POST*" }
set = { endpoint = "/forms", fingerprint = "forms", fail_request = false }
"#;

#[test]
fn rules_are_read_in_their_order_with_their_places() {
    let config = load(GOOD, &[], &[]).unwrap();
    let rules = &config.rules.rules.0;
    let says = |rule: &crate::detect::Rule| {
        format!("{}: {} -> {}", rule.name, rule.condition, rule.effect)
    };
    assert_eq!(
        rules.iter().map(says).collect::<Vec<_>>(),
        [
            "the bank is slow on Sundays: service \"shop\", kind client, exception_type \"*Timeout\", \
             message /bank\\.example/ -> severity warning, category network, tags known",
            "2: endpoint \"/legacy/*\", status_code 404 500-599 420-425 -> drop true",
            "3: span_name \"POST*\", category validation -> endpoint /forms, fingerprint forms, \
             fail_request false",
        ]
    );
    let lines: Vec<&str> = (config.rules.places.iter())
        .map(|place| place.rsplit(':').next().unwrap())
        .collect();
    assert_eq!(lines, ["2", "7", "11"]);
    assert!(config.rules.remarks().is_empty());
}

#[test]
fn each_mistake_in_a_rule_is_named_with_its_line() {
    let rule = |lines: &str| format!("\n[[rules]]\n{lines}\n");
    for (lines, words) in [
        (
            "drop = true",
            "redspan.toml:2 cannot work: missing field `match`",
        ),
        ("match = {}\ndrop = true", "match says nothing"),
        (
            "match = { service = \"a\" }",
            "neither drop = true nor what to set",
        ),
        (
            "match = { service = \"a\" }\ndrop = true\nset = { tags = [\"x\"] }",
            "nothing that could be set",
        ),
        (
            "match = { servise = \"a\" }\ndrop = true",
            "redspan.toml:3 cannot work: unknown field `servise`",
        ),
        (
            "match = { service = \" \" }\ndrop = true",
            "expected a text of 1 to 512 characters",
        ),
        (
            "match = { kind = \"Server\" }\ndrop = true",
            "\"Server\" is none of server, client, producer",
        ),
        (
            "match = { message = \"a(b\" }\ndrop = true",
            "\"a(b\" is no regular expression: unclosed group",
        ),
        (
            "match = { status_code = 99 }\ndrop = true",
            "expected a status from 100 to 599",
        ),
        (
            "match = { status_code = \"6xx\" }\ndrop = true",
            "expected a status from 100 to 599",
        ),
        (
            "match = { status_code = \"500-400\" }\ndrop = true",
            "expected a status from 100 to 599",
        ),
        (
            "match = { service = \"a\" }\nset = { severity = \"bad\" }",
            "redspan.toml:4 cannot work: \"bad\" is none of",
        ),
        (
            "match = { service = \"a\" }\nset = { tags = [\"\"] }",
            "at most 10 tags of 1 to 50 characters",
        ),
        (
            "match = { service = \"a\" }\nset = { endpoint = \"/\\u0000\" }",
            "without control characters",
        ),
        (
            "match = { service = \"a\" }\nset = { tags = [\"\\u0007\"] }",
            "without control characters",
        ),
        ("match = \"a\"\ndrop = true", "expected a table"),
        (
            "match = { service = \"a\" }\nset = { color = \"red\" }",
            "unknown field `color`",
        ),
    ] {
        let sentence = complaint(&rule(lines), &[]);
        assert!(sentence.contains(words), "{lines}: {sentence}");
    }
    let sentence = complaint("rules = 1", &[]);
    assert!(sentence.contains("must be a list"), "{sentence}");
    let twice = rule("name = \"x\"\nmatch = { service = \"a\" }\ndrop = true").repeat(2);
    let sentence = complaint(&twice, &[]);
    assert!(sentence.contains("are both called \"x\""), "{sentence}");
}

#[test]
fn a_rule_that_never_decides_is_remarked_on() {
    let file = r#"
[[rules]]
name = "wide"
match = { service = "sh*" }
drop = true

[[rules]]
name = "narrow"
match = { service = "shop", status_code = 500 }
set = { tags = ["x"] }
"#;
    let remarks = load(file, &[], &[]).unwrap().rules.remarks();
    assert_eq!(remarks.len(), 1);
    assert!(
        remarks[0].starts_with("The rule \"narrow\" ("),
        "{remarks:?}"
    );
    assert!(remarks[0].contains("redspan.toml:7"), "{remarks:?}");
    assert!(
        remarks[0].contains("is matched by \"wide\" ("),
        "{remarks:?}"
    );
}
