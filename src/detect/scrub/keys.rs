//! Which keys are those of secrets.

use super::hidden::{self, is_invisible};

/// Whether the value under a key is a secret. Words are what `.`, `_`, `-` and capitals separate,
/// so that `author` and `tokenizer` are none. `of_number` says that the value is one: then
/// `input_tokens` is a count.
pub(super) fn is_secret_key(key: &str, of_number: bool) -> bool {
    if hidden::is_disguised(key) {
        return is_secret_key(hidden::View::of(key).text(), of_number);
    }
    let mut words = Words::new(of_number);
    let mut after_small = false;
    for letter in key.chars() {
        if is_invisible(letter) {
            continue;
        }
        let starts_word = letter.is_uppercase() && after_small;
        after_small = letter.is_lowercase() || letter.is_numeric();
        if (starts_word || !letter.is_alphanumeric()) && words.end() {
            return true;
        }
        if letter.is_alphanumeric() {
            words.push(letter);
        }
    }
    words.end() || words.is_token
}

/// The same for keys that the user names: each as its words, see [`words_of`].
pub(super) fn is_named(key: &str, names: &[String]) -> bool {
    if names.is_empty() {
        return false;
    }
    let key = words_of(key);
    names.iter().any(|name| key.contains(name.as_str()))
}

/// `x-internalId` as `-x-internal-id-`.
pub(in crate::detect) fn words_of(key: &str) -> String {
    let mut words = String::from("-");
    let mut after_small = false;
    for letter in key.chars().filter(|letter| !is_invisible(*letter)) {
        let starts_word = letter.is_uppercase() && after_small;
        after_small = letter.is_lowercase() || letter.is_numeric();
        if (starts_word || !letter.is_alphanumeric()) && !words.ends_with('-') {
            words.push('-');
        }
        if letter.is_alphanumeric() {
            words.extend(letter.to_lowercase());
        }
    }
    if !words.ends_with('-') {
        words.push('-');
    }
    words
}

/// The word at hand and the one before it, without allocation: keys are looked at more often than
/// anything else.
struct Words {
    of_number: bool,
    word: [u8; MAX_WORD],
    len: usize,
    previous: [u8; MAX_WORD],
    previous_len: usize,
    /// The word before is a token; the next word may say that only its number or kind is meant.
    is_token: bool,
}

/// Longer words are looked at up to here.
const MAX_WORD: usize = 40;

impl Words {
    fn new(of_number: bool) -> Self {
        Self {
            of_number,
            word: [0; MAX_WORD],
            len: 0,
            previous: [0; MAX_WORD],
            previous_len: 0,
            is_token: false,
        }
    }

    fn push(&mut self, letter: char) {
        if self.len < MAX_WORD {
            // Words of other alphabets are none of ours.
            let letter = u8::try_from(letter.to_ascii_lowercase()).unwrap_or(b'?');
            self.word[self.len] = letter;
            self.len += 1;
        }
    }

    /// Ends the word; true when it makes the key a secret's.
    fn end(&mut self) -> bool {
        if self.len == 0 {
            return false;
        }
        let word = &self.word[..self.len];
        if self.is_token && !ABOUT_TOKENS.contains(&word) {
            return true;
        }
        let previous = &self.previous[..self.previous_len];
        let is_secret = WORDS.contains(&word)
            || PARTS.iter().any(|part| contains(word, part)) && !contains(word, b"secretar")
            || ENDS.iter().any(|end| word.ends_with(end))
            || ((word == b"key" || word == b"keys") && KEYS_OF.contains(&previous));
        self.is_token = word.ends_with(b"token") || (word == b"tokens" && !self.of_number);
        (self.previous, self.previous_len) = (self.word, self.len);
        self.len = 0;
        is_secret
    }
}

fn contains(word: &[u8], part: &[u8]) -> bool {
    word.len() >= part.len() && word.windows(part.len()).any(|window| window == part)
}

/// Whole words. Those that end in `token` are seen where a word ends.
#[rustfmt::skip]
const WORDS: &[&[u8]] = &[
    b"pass", b"auth", b"bearer", b"otp", b"totp", b"hotp", b"cvv", b"cvc", b"csrf", b"xsrf",
];

/// What makes a secret of any word it stands in: `userpassword`, `clientsecrets`.
#[rustfmt::skip]
const PARTS: &[&[u8]] = &[
    b"password", b"passwd", b"passwort", b"passphrase", b"passcode", b"secret", b"credential",
    b"authorization", b"apikey", b"privatekey", b"accesskey",
];

const ENDS: &[&[u8]] = &[b"cookie", b"cookies", b"pwd", b"jwt"];

/// `max_token_count`, `token_type`: no tokens.
#[rustfmt::skip]
const ABOUT_TOKENS: &[&[u8]] = &[
    b"count", b"counts", b"limit", b"usage", b"budget", b"type", b"length", b"position",
];

/// Whose keys are secrets.
#[rustfmt::skip]
const KEYS_OF: &[&[u8]] = &[
    b"api", b"private", b"access", b"session", b"signing", b"encryption", b"master", b"shared",
    b"account", b"storage", b"ssh", b"license", b"licence",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_secrets_are_known_by_their_words() {
        for key in [
            "password",
            "db.password",
            "userPassword",
            "dbpassword",
            "DBPassword",
            "MYSQL_PWD",
            "SMTP_PASS",
            "API_KEY",
            "x-api-key",
            "apiKey",
            "apikeys",
            "auth",
            "http.request.header.authorization",
            "http.request.header.x_auth_token",
            "set-cookie",
            "access_token",
            "idToken",
            "refreshtoken",
            "tokens",
            "private-key",
            "otp",
            "client.credentials",
            "pass\u{200b}word",
            "p\u{ad}a\u{2060}ss_word",
            "pass%77ord",
            "ｐａｓｓｗｏｒｄ",
            "user[password]",
        ] {
            assert!(is_secret_key(key, false), "{key}");
        }
        for key in [
            "author",
            "session.id",
            "key",
            "authority",
            "tokenizer",
            "keyboard.private",
            "secretary",
            "llm.token_count.prompt",
            "token_type",
            "compass",
            "",
        ] {
            assert!(!is_secret_key(key, false), "{key}");
        }
        assert!(!is_secret_key("gen_ai.usage.input_tokens", true));
        assert!(is_secret_key("otp", true));
    }

    #[test]
    fn keys_that_the_user_names_are_compared_word_by_word() {
        let names = [words_of("iban"), words_of("Customer-Number")];
        for key in ["iban", "customerIban", "IBAN", "x.customer_number.old"] {
            assert!(is_named(key, &names), "{key}");
        }
        for key in ["ibanez", "customer", "number", ""] {
            assert!(!is_named(key, &names), "{key}");
        }
        assert!(!is_named("iban", &[]));
    }
}
