//! Secrets out of keys, URLs and texts, before anything is stored or logged.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};
use serde_json::Value as Json;

/// What stands in place of a secret.
pub(super) const SCRUBBED: &str = "[scrubbed]";

/// Takes secrets out, and counts them.
#[derive(Debug, Default)]
pub(super) struct Scrubber {
    /// How many were taken out.
    pub count: u64,
}

impl Scrubber {
    /// A value under its key, in place: all of it when the key is a secret's, else what its texts
    /// hold.
    pub fn json(&mut self, key: &str, value: &mut Json) {
        if is_secret_key(key) && !matches!(value, Json::Null | Json::Bool(_)) {
            self.count += 1;
            *value = Json::from(SCRUBBED);
            return;
        }
        match value {
            Json::String(text) => {
                let is_query = QUERY_KEYS.contains(&key);
                let scrubbed = if is_query {
                    self.query(text)
                } else {
                    self.text(text)
                };
                if let Cow::Owned(scrubbed) = scrubbed {
                    *text = scrubbed;
                }
            }
            Json::Array(items) => {
                for item in items {
                    self.json("", item);
                }
            }
            Json::Object(entries) => {
                for (key, value) in entries {
                    self.json(key, value);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    /// A text of any kind.
    pub fn text<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for pattern in PATTERNS.iter() {
            if !pattern.hint.is_empty() && !contains_any(&text, pattern.hint) {
                continue;
            }
            let mut found = 0;
            let replaced = pattern.regex.replace_all(&text, |captures: &Captures<'_>| {
                let whole = &captures[0];
                match (pattern.scrub)(captures) {
                    Some(scrubbed) => {
                        found += 1;
                        scrubbed
                    }
                    None => whole.to_owned(),
                }
            });
            if found > 0 {
                self.count += found;
                text = Cow::Owned(replaced.into_owned());
            }
        }
        text
    }

    /// The query of a URL, without `?`.
    fn query<'t>(&mut self, query: &'t str) -> Cow<'t, str> {
        if query.is_empty() {
            return Cow::Borrowed(query);
        }
        self.count += 1;
        Cow::Owned(scrub_values(query))
    }
}

/// Attributes whose value is a query.
const QUERY_KEYS: &[&str] = &["url.query"];

/// Words that make a key a secret's; single ones, and pairs that follow each other.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "secrets",
    "token",
    "apikey",
    "auth",
    "authorization",
    "credential",
    "credentials",
    "cookie",
    "cookies",
    "otp",
    "jwt",
    "privatekey",
    "setcookie",
    "accesstoken",
    "authtoken",
    "clientsecret",
];
const SECRET_PAIRS: &[(&str, &str)] = &[
    ("api", "key"),
    ("private", "key"),
    ("access", "key"),
    ("secret", "key"),
    ("session", "key"),
    ("pass", "word"),
];

/// Whether the value under a key is a secret. Words are what `.`, `_`, `-` and capitals separate,
/// so that `gen_ai.usage.input_tokens` and `author` are none.
pub(super) fn is_secret_key(key: &str) -> bool {
    let mut previous = String::new();
    words(key).any(|word| {
        let is_secret = SECRET_WORDS.contains(&word.as_str())
            || SECRET_PAIRS
                .iter()
                .any(|(first, second)| previous == *first && word == *second);
        previous = word;
        is_secret
    })
}

fn words(key: &str) -> impl Iterator<Item = String> {
    key.split(|letter: char| !letter.is_alphanumeric())
        .flat_map(|part| {
            let mut words = Vec::new();
            let mut word = String::new();
            let mut after_small = false;
            for letter in part.chars() {
                if letter.is_uppercase() && after_small {
                    words.push(std::mem::take(&mut word));
                }
                after_small = letter.is_lowercase() || letter.is_numeric();
                word.extend(letter.to_lowercase());
            }
            words.push(word);
            words
        })
        .filter(|word| !word.is_empty())
}

/// What a secret in a text looks like.
struct Pattern {
    /// None of these in the text: no need to look closer.
    hint: &'static [&'static str],
    regex: Regex,
    /// What comes in place of a match; `None` when it is no secret after all.
    scrub: fn(&Captures<'_>) -> Option<String>,
}

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let pattern = |hint, regex, scrub| Pattern {
        hint,
        regex: Regex::new(regex).expect("the pattern is valid"),
        scrub,
    };
    vec![
        // A PEM block, or as much of it as there is.
        pattern(
            &["-----BEGIN"],
            r"(?s)-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\z)",
            |_| Some(SCRUBBED.to_owned()),
        ),
        // User and password in a URL.
        pattern(&["://"], r#"(://)[^\s/?#@"'<>]+@"#, |found| {
            Some(format!("{}{SCRUBBED}@", &found[1]))
        }),
        // The values of a query. No `\w`: its tables take megabytes.
        pattern(&["?"], r#"(\?)([^\s"'<>`#&=?()]+=[^\s"'<>`#]*)"#, |found| {
            Some(format!("?{}", scrub_values(&found[2])))
        }),
        // Credentials in a header.
        pattern(
            &["earer ", "asic ", "EARER ", "ASIC "],
            r"(?i)\b(bearer|basic) +([A-Za-z0-9._~+/=-]{8,})",
            |found| {
                let is_word = found[2].bytes().all(|byte| byte.is_ascii_lowercase());
                (!is_word).then(|| format!("{} {SCRUBBED}", &found[1]))
            },
        ),
        // A JSON Web Token.
        pattern(
            &["eyJ"],
            r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*",
            |_| Some(SCRUBBED.to_owned()),
        ),
        // key=value, "key": "value", where the key is a secret's.
        pattern(
            &["=", "\":", "':"],
            r#"([A-Za-z][A-Za-z0-9_.-]{1,63})((?:=|['"]\s*:\s*)['"]?)([^\s"'&;,)}\]]+)"#,
            |found| {
                let is_secret = is_secret_key(&found[1]) && !SCRUBBED.starts_with(&found[3]);
                is_secret.then(|| format!("{}{}{SCRUBBED}", &found[1], &found[2]))
            },
        ),
        // Numbers of payment cards.
        pattern(&[], r"\b[2-6](?:[ -]?[0-9]){12,18}\b", |found| {
            is_card_number(&found[0]).then(|| SCRUBBED.to_owned())
        }),
    ]
});

fn contains_any(text: &str, hints: &[&str]) -> bool {
    hints.iter().any(|hint| text.contains(hint))
}

/// Each value of `a=1&b=2`, whatever it is; the keys stay.
fn scrub_values(query: &str) -> String {
    let mut scrubbed = String::with_capacity(query.len());
    for (position, pair) in query.split(['&', ';']).enumerate() {
        if position > 0 {
            scrubbed.push('&');
        }
        match pair.split_once('=') {
            Some((key, "")) => scrubbed.extend([key, "="]),
            Some((key, _)) => scrubbed.extend([key, "=", SCRUBBED]),
            // A word without value is the value itself.
            None if pair.is_empty() => {}
            None => scrubbed.push_str(SCRUBBED),
        }
    }
    scrubbed
}

/// Whether a run of digits is a card's number: as long as the issuers make them, and with the
/// right check digit (Luhn).
fn is_card_number(text: &str) -> bool {
    let digits: Vec<u32> = text
        .chars()
        .filter_map(|letter| letter.to_digit(10))
        .collect();
    let prefix = digits.iter().take(4).fold(0, |sum, digit| sum * 10 + digit);
    let is_issued = match digits.len() {
        13 | 19 => prefix / 1000 == 4 || prefix / 100 == 62 || prefix / 1000 == 6,
        14 => matches!(prefix / 100, 30 | 36 | 38 | 39),
        15 => matches!(prefix / 100, 34 | 37),
        16 => matches!(prefix, 2221..=2720 | 3000.. ),
        _ => false,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(position, digit)| match (position % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) => double / 10 + double % 10,
        })
        .sum();
    is_issued && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_of_secrets_are_known_by_their_words() {
        for key in [
            "password",
            "db.password",
            "userPassword",
            "API_KEY",
            "x-api-key",
            "apiKey",
            "auth",
            "http.request.header.authorization",
            "set-cookie",
            "access_token",
            "private-key",
            "otp",
            "client.credentials",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in [
            "gen_ai.usage.input_tokens",
            "author",
            "session.id",
            "key",
            "authority",
            "tokenizer",
            "keyboard.private",
            "",
        ] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn secrets_in_texts_are_taken_out_and_the_rest_stays() {
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
                "Authorization: Bearer [scrubbed]",
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
            let mut scrubber = Scrubber::default();
            assert_eq!(scrubber.text(text), scrubbed);
            assert_eq!(scrubber.count > 0, text != scrubbed, "{text}");
        }
    }

    #[test]
    fn scrubbing_twice_changes_nothing_more() {
        let text = "http://a:b@h/p?token=1&x=2 password=3 Bearer abcDEF123456";
        let once = Scrubber::default().text(text).into_owned();
        assert_eq!(Scrubber::default().text(&once), once);
    }

    #[test]
    fn values_are_scrubbed_by_key_at_any_depth() {
        let mut value = json!({"user": "ada", "password": 1, "list": [{"token": "t"}, "u?a=b"]});
        let mut scrubber = Scrubber::default();
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
}
