use super::*;
use serde_json::json;

#[test]
fn secrets_in_texts_are_taken_out_and_the_rest_stays() {
    let settings = Scrubbing::default();
    for (text, scrubbed) in [
        ("http://ada:pw@host/x", "http://[scrubbed]@host/x"),
        ("postgres://ada@host/db", "postgres://[scrubbed]@host/db"),
        (
            "GET /pay?card=1&cvc=2 failed",
            "GET /pay?card=[scrubbed]&cvc=[scrubbed] failed",
        ),
        ("see http://h/p?a=b#top", "see http://h/p?a=[scrubbed]#top"),
        ("WHERE a=? AND b=?", "WHERE a=? AND b=?"),
        (
            "Authorization: Bearer abcDEF123456",
            "Authorization: [scrubbed]",
        ),
        (
            "sent Bearer abcDEF123456 to it",
            "sent Bearer [scrubbed] to it",
        ),
        ("basic functionality", "basic functionality"),
        (
            "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.sig",
            "jwt [scrubbed]",
        ),
        (
            "x\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\ny",
            "x\n[scrubbed]\ny",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIE", "[scrubbed]"),
        (
            "card 4111 1111 1111 1111 refused",
            "card [scrubbed] refused",
        ),
        (
            "card 4111-1111-1111-1112 refused",
            "card 4111-1111-1111-1112 refused",
        ),
        ("at 1732360000000000000", "at 1732360000000000000"),
        (
            "login with password=hunter2, user=ada",
            "login with password=[scrubbed], user=ada",
        ),
        (
            r#"{"apiKey": "k-1", "n": 1}"#,
            r#"{"apiKey": "[scrubbed]", "n": 1}"#,
        ),
        ("Unexpected token: <", "Unexpected token: <"),
    ] {
        let mut scrubber = Scrubber::new(&settings);
        assert_eq!(scrubber.text(text), scrubbed);
        assert_eq!(scrubber.count > 0, text != scrubbed, "{text}");
    }
}

#[test]
fn scrubbing_twice_changes_nothing_more() {
    let settings = Scrubbing::default();
    let text = "http://a:b@h/p?token=1&x=2 password=3 Bearer abcDEF123456";
    let once = Scrubber::new(&settings).text(text).into_owned();
    assert_eq!(Scrubber::new(&settings).text(&once), once);
}

#[test]
fn values_are_scrubbed_by_key_at_any_depth() {
    let settings = Scrubbing::default();
    let mut value = json!({"user": "ada", "password": 1, "list": [{"token": "t"}, "u?a=b"]});
    let mut scrubber = Scrubber::new(&settings);
    scrubber.json("request", &mut value);
    assert_eq!(
        value,
        json!({"user": "ada", "password": SCRUBBED, "list": [{"token": SCRUBBED}, "u?a=[scrubbed]"]})
    );
    assert_eq!(scrubber.count, 3);
    let mut query = json!("a=1&flag");
    scrubber.json("url.query", &mut query);
    assert_eq!(query, "a=[scrubbed]&[scrubbed]");
}

/// Secrets of every notation, and what is left of them.
#[rustfmt::skip]
const NOTATIONS: &[(&str, &str)] = &[
    // key=value and key: value.
    ("password: hunter2", "password: [scrubbed]"),
    ("Password = hunter2", "Password = [scrubbed]"),
    ("pwd:hunter2;", "pwd:[scrubbed];"),
    ("password='a b c' x", "password='[scrubbed]' x"),
    (
        r#"{"password": "a b, \"c\""}"#,
        r#"{"password": "[scrubbed]"}"#,
    ),
    (
        r#"{\"password\":\"a b\",\"n\":1}"#,
        r#"{\"password\":\"[scrubbed]\",\"n\":1}"#,
    ),
    (
        r#"{\\\"pwd\\\":\\\"a\\\"}"#,
        r#"{\\\"pwd\\\":\\\"[scrubbed]\\\"}"#,
    ),
    ("{'password': b'x1'}", "{'password': b'[scrubbed]'}"),
    (r#"tokens: ["a1","b2"] n"#, "tokens: [scrubbed] n"),
    ("{:password=>\"x1\"}", "{:password=>\"[scrubbed]\"}"),
    (
        "Login{User:ada Password:hunter2}",
        "Login{User:ada Password:[scrubbed]}",
    ),
    (
        "Login[user=ada, password=x1, n=2]",
        "Login[user=ada, password=[scrubbed], n=2]",
    ),
    ("<password>x1</password>", "<password>[scrubbed]</password>"),
    (
        "<pw:Password type=\"t\">x1</pw:Password>",
        "<pw:Password type=\"t\">[scrubbed]</pw:Password>",
    ),
    ("<user password=\"x1\"/>", "<user password=\"[scrubbed]\"/>"),
    (
        "run --password x1 --user ada",
        "run --password [scrubbed] --user ada",
    ),
    ("run --api-key=x1 -v", "run --api-key=[scrubbed] -v"),
    ("API key: x1", "API key: [scrubbed]"),
    ("password=p&ss;w,rd)1 next", "password=[scrubbed] next"),
    ("f(password=x1)", "f(password=[scrubbed])"),
    (
        "user[password]=x1&user[name]=ada",
        "user[password]=[scrubbed]&user[name]=ada",
    ),
    ("Cookie: a=b; c=d\nHost: h", "Cookie: [scrubbed]\nHost: h"),
    (
        "curl -H 'Authorization: Token x1 y' -v",
        "curl -H 'Authorization: [scrubbed]' -v",
    ),
    (
        "Authorization: Digest username=\"a\", response=\"b\"",
        "Authorization: [scrubbed]",
    ),
    // SQL.
    (
        "WHERE password = 'x1' AND n = 1",
        "WHERE password = '[scrubbed]' AND n = 1",
    ),
    (
        "CREATE ROLE a PASSWORD 'x123'",
        "CREATE ROLE a PASSWORD '[scrubbed]'",
    ),
    (
        "CREATE USER a IDENTIFIED BY 'x123'",
        "CREATE USER a IDENTIFIED BY '[scrubbed]'",
    ),
    (
        "INSERT INTO users VALUES ('ada', 'x''1', 3)",
        "INSERT INTO users VALUES ('[scrubbed]', '[scrubbed]', 3)",
    ),
    (
        "[parameters: ('ada', 'x1')]",
        "[parameters: ('[scrubbed]', '[scrubbed]')]",
    ),
    // URLs and connections.
    (
        "postgres://u:p@ss/w0rd@host/db",
        "postgres://[scrubbed]@host/db",
    ),
    ("redis://:x1@host:6379/0", "redis://[scrubbed]@host:6379/0"),
    (
        "http://host:8080/react@18/x.js",
        "http://host:8080/react@18/x.js",
    ),
    (
        "Server=h;User Id=sa;Pwd=x1;",
        "Server=h;User Id=sa;Pwd=[scrubbed];",
    ),
    (
        "jdbc:mysql://h/db?user=a&password=b",
        "jdbc:mysql://h/db?user=[scrubbed]&password=[scrubbed]",
    ),
    (
        "jdbc:oracle:thin:scott/tiger@//h:1521/x",
        "jdbc:oracle:thin:[scrubbed]@//h:1521/x",
    ),
    ("https://h/reset?9f8e7d", "https://h/reset?[scrubbed]"),
    (
        "https://h/cb#access_token=x1&n=2",
        "https://h/cb#access_token=[scrubbed]&n=[scrubbed]",
    ),
    (
        "at f (http://h/app.js?v=x1:17:3)",
        "at f (http://h/app.js?v=[scrubbed]:17:3)",
    ),
    // Tokens by their look.
    ("key AKIAIOSFODNN7EXAMPLE used", "key [scrubbed] used"),
    ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "[scrubbed]"),
    ("xoxb-12345678-abcdefgh sent", "[scrubbed] sent"),
    (
        "charge with sk_live_abcdefgh12345678",
        "charge with [scrubbed]",
    ),
    ("Basic dXNlcjpwYXNzd29yZA==", "Basic [scrubbed]"),
    (
        "https://hooks.slack.com/services/T0/B0/abc",
        "https://[scrubbed]",
    ),
    // Cards.
    ("4111111111111111 12/27", "[scrubbed] 12/27"),
    ("card4111.1111.1111.1111", "card[scrubbed]"),
    ("378282246310005", "[scrubbed]"),
    ("0.4111111111111111", "0.4111111111111111"),
    // What is hidden.
    (
        "pass\u{200b}word=hun\u{200b}ter2 x",
        "pass\u{200b}word=[scrubbed] x",
    ),
    ("to%6ben%3Dx1%20y", "to%6ben%3D[scrubbed]%20y"),
    (
        "next=%2Flogin%3Fpassword%3Dx1",
        "next=%2Flogin%3Fpassword%3D[scrubbed]",
    ),
    ("4111\u{200b}1111\u{200b}1111\u{200b}1111", "[scrubbed]"),
    (
        "{\"p\\u0061ssword\":\"x1\"}",
        "{\"p\\u0061ssword\":\"[scrubbed]\"}",
    ),
];

#[test]
fn every_notation_is_known() {
    let settings = Scrubbing::default();
    for (text, scrubbed) in NOTATIONS {
        let mut scrubber = Scrubber::new(&settings);
        assert_eq!(scrubber.text(text), *scrubbed);
        assert_eq!(scrubber.text(scrubbed), *scrubbed, "scrubbed twice");
    }
}

#[test]
fn what_is_no_secret_stays() {
    let settings = Scrubbing::default();
    for text in [
        "Unexpected token: }",
        "Unexpected token 'export'",
        "AuthException: user ada may not",
        "auth: session expired",
        "at verify (/app/src/auth.js:17:3)",
        "\tat com.shop.auth.Token.verify(Token.java:17)",
        "   at Shop.Auth.Login(String password, String token) in /src/Auth.cs:line 17",
        "shop::token::parse at src/token.rs:17:5",
        "Access denied for user 'ada'@'localhost' (using password: YES)",
        "password: null",
        "gen_ai.usage.input_tokens: 17",
        "2026-11-23T10:00:00.123456789Z 1732360000000000000",
        "5b8efff798038103d269b633813fc60c",
        "https://unpkg.com/react@18/x.js",
        "Grüße 👩\u{200d}🚀 100 %",
    ] {
        assert_eq!(Scrubber::new(&settings).text(text), text);
    }
}

#[test]
fn names_and_values_side_by_side_are_pairs() {
    let settings = Scrubbing::default();
    let mut value = json!({
        "command": ["run", "--token", "x1", "-v"],
        "header": ["authorization", "x2"],
        "headers": [{"name": "Cookie", "value": "x3"}, {"name": "Accept", "value": "y"}],
        "card": 4_111_111_111_111_111_u64,
        "count": 17,
        "input_tokens": 5,
        "password=x4": true,
        "pass\u{200b}word": "x5",
    });
    Scrubber::new(&settings).json("", &mut value);
    assert_eq!(
        value,
        json!({
            "command": ["run", "--token", SCRUBBED, "-v"],
            "header": ["authorization", SCRUBBED],
            "headers": [{"name": "Cookie", "value": SCRUBBED}, {"name": "Accept", "value": "y"}],
            "card": SCRUBBED,
            "count": 17,
            "input_tokens": 5,
            "password=[scrubbed]": true,
            "pass\u{200b}word": SCRUBBED,
        })
    );
}

#[test]
fn the_user_adds_keys_and_patterns_or_turns_it_off() {
    let settings = Scrubbing {
        keys: ["iban", "customer-number"].into_iter().collect(),
        patterns: ["ORD-[0-9]+", "pin ([0-9]{4})"]
            .iter()
            .map(|pattern| regex::Regex::new(pattern).unwrap())
            .collect(),
        ..Scrubbing::default()
    };
    let mut scrubber = Scrubber::new(&settings);
    let text = "ORD-17, pin 1234, iban=DE1, customerNumber: 5, n=1";
    assert_eq!(
        scrubber.text(text),
        "[scrubbed], pin [scrubbed], iban=[scrubbed], customerNumber: [scrubbed], n=1"
    );
    assert_eq!(scrubber.count, 4);

    let off = Scrubbing {
        is_on: false,
        ..settings
    };
    let mut scrubber = Scrubber::new(&off);
    let mut value = json!({"password": "x", "text": text});
    scrubber.json("", &mut value);
    assert_eq!(value, json!({"password": "x", "text": text}));
    assert_eq!(scrubber.count, 0);
}

#[test]
fn any_text_can_be_scrubbed() {
    let settings = Scrubbing::default();
    let mut random = fastrand::Rng::with_seed(17);
    let parts = [
        "password", "=", ":", "\"", "'", "\\", "?", "&", "#", "://", "@", "%", "%E2", "\u{200b}",
        "ä", "🚀", "<", ">", "--token ", "[", "]", "{", "4111", " ", "\n", "\\u00", "eyJ",
        "Basic ",
    ];
    for _ in 0..20_000 {
        let length = random.usize(0..24);
        let text: String = (0..length)
            .map(|_| parts[random.usize(..parts.len())])
            .collect();
        let once = Scrubber::new(&settings).text(&text).into_owned();
        assert!(once.len() <= text.len() + length * SCRUBBED.len());
    }
}

/// Were one of these searched anew from each place where it begins, this test would take an hour.
#[test]
fn texts_that_begin_the_same_thing_again_and_again_are_searched_once() {
    for unit in [
        "-",
        "#",
        "/#",
        "?",
        "://",
        "://a:b",
        "://a@",
        "\\",
        "\\u",
        "--token [",
        "--token [\n",
        "--token {\"",
        "token=[",
        "token=(\n",
        "password='",
        "password=\"",
        "<password>",
        "a=,",
        "&a",
        "%",
        "%2",
        "key: ",
        "'",
        "\"",
        "[",
        "4",
        "4 ",
        "Bearer ",
        "eyJ",
        "-----BEGIN ",
        "Authorization: \"=",
        "x",
        "\u{200b}",
        "ａ",
        "@",
        "=",
        ":",
    ] {
        let text = unit.repeat(400_000 / unit.len());
        let scrubbing = Scrubbing::default();
        let scrubbed = Scrubber::new(&scrubbing).text(&text).len();
        assert!(scrubbed > 0, "{unit:?}");
    }
}

#[test]
fn what_stands_behind_many_of_the_same_is_still_found() {
    for before in [
        "#a".repeat(50),
        "://".repeat(50),
        "--x [".repeat(50),
        "\\".repeat(51),
    ] {
        let text = format!("{before} password=hush-canary {before}");
        let scrubbing = Scrubbing::default();
        let scrubbed = Scrubber::new(&scrubbing).text(&text).into_owned();
        assert!(!scrubbed.contains("hush-canary"), "{scrubbed}");
    }
    let scrubbing = Scrubbing::default();
    for (text, clean) in [
        (
            "https://a/#x#access_token=canary",
            "https://a/#x#access_token=[scrubbed]",
        ),
        (
            "https://a@b,postgres://u:canary@h/d",
            "https://[scrubbed]@b,postgres://[scrubbed]@h/d",
        ),
    ] {
        assert!(
            !Scrubber::new(&scrubbing).text(text).contains("canary"),
            "{text} {clean}"
        );
    }
}
