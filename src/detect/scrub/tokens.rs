//! Secrets that are known by how they look, whatever stands around them.

use std::sync::LazyLock;

use memchr::memmem;
use regex::Regex;

use super::Found;

/// Shorter texts hold none of them.
pub(super) const MIN_BYTES: usize = 12;

/// Adds PEM blocks, credentials after their scheme, and tokens of well-known services.
pub(super) fn find(text: &str, found: &mut Found) {
    if memmem::find(text.as_bytes(), b"-----BEGIN").is_some() {
        add_matches(&PEM, text, found);
    }
    for token in TOKENS.find_iter(text) {
        found.add(token.range());
    }
    if let Some(first) = SCHEME_WORDS.find(text) {
        for captures in SCHEMES.captures_iter(&text[first.start()..]) {
            let Some(credentials) = captures.iter().skip(1).flatten().next() else {
                continue;
            };
            // "basic functionality", "bearer certificates"
            let is_word = credentials
                .as_str()
                .bytes()
                .all(|byte| byte.is_ascii_lowercase());
            if !is_word {
                found.add(first.start() + credentials.start()..first.start() + credentials.end());
            }
        }
    }
    if memmem::find(text.as_bytes(), b"jdbc:oracle").is_some() {
        for captures in ORACLE.captures_iter(text) {
            found.add(captures.get(1).map_or(0..0, |user| user.range()));
        }
    }
    // Literals of a statement: nobody knows which of them is a password.
    if memmem::find(text.as_bytes(), b"VALUES").is_some()
        || memmem::find(text.as_bytes(), b"values").is_some()
        || memmem::find(text.as_bytes(), b"arameters:").is_some()
    {
        for list in LITERALS.find_iter(text) {
            for literal in QUOTED.find_iter(list.as_str()) {
                let start = list.start() + literal.start() + 1;
                found.add(start..list.start() + literal.end() - 1);
            }
        }
    }
}

fn add_matches(regex: &Regex, text: &str, found: &mut Found) {
    for secret in regex.find_iter(text) {
        found.add(secret.range());
    }
}

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is valid")
}

/// A PEM block, or as much of it as there is.
static PEM: LazyLock<Regex> =
    LazyLock::new(|| compile(r"(?s)-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\z)"));

/// Each begins with letters by which a look at a text is over soon.
static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        &[
            // JSON Web Tokens, and other JSON in base64.
            r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*",
            // AWS key ids.
            r"A[KS]IA[A-Z0-9]{12,}",
            // GitHub, GitLab.
            r"gh[pousr]_[A-Za-z0-9]{16,}",
            r"github_pat_[A-Za-z0-9_]{16,}",
            r"gl(?:pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_.-]{16,}",
            // Slack tokens and webhooks, Discord webhooks, Telegram bots.
            r"xox[a-z]-[A-Za-z0-9-]{8,}",
            r"xapp-[A-Za-z0-9-]{8,}",
            r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]+",
            r"discord(?:app)?\.com/api/webhooks/[A-Za-z0-9/_-]+",
            r"api\.telegram\.org/bot[A-Za-z0-9:_-]+",
            // Stripe, OpenAI, Anthropic and whoever else says sk.
            r"[srp]k_(?:live|test)_[A-Za-z0-9]{8,}",
            r"whsec_[A-Za-z0-9+/=]{8,}",
            r"sk-[A-Za-z0-9_-]{16,}",
            // Google.
            r"AIza[A-Za-z0-9_-]{20,}",
            r"ya29\.[A-Za-z0-9._-]{8,}",
            r"GOCSPX-[A-Za-z0-9_-]{8,}",
            // npm, PyPI, crates, Docker, Vault, DigitalOcean, Databricks, SendGrid, Shopify, …
            r"npm_[A-Za-z0-9]{16,}",
            r"pypi-[A-Za-z0-9_-]{16,}",
            r"dckr_pat_[A-Za-z0-9_-]{8,}",
            r"hv[sbr]\.[A-Za-z0-9_-]{16,}",
            r"do[opr]_v1_[a-f0-9]{16,}",
            r"dapi[a-f0-9]{32}",
            r"SG\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
            r"shp(?:at|ca|pa|ss)_[A-Za-z0-9]{16,}",
            r"hf_[A-Za-z0-9]{16,}",
            r"lin_api_[A-Za-z0-9]{16,}",
            r"AGE-SECRET-KEY-1[A-Z0-9]{16,}",
        ]
        .join("|"),
    )
});

/// What stands before credentials in a header.
static SCHEME_WORDS: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        "Bearer |bearer |BEARER |Basic |basic |BASIC |Negotiate |Digest |Token |ApiKey |AWS4-HMAC",
    )
});
static SCHEMES: LazyLock<Regex> = LazyLock::new(|| {
    compile(
        &[
            r"(?:(?i:bearer|basic)|Negotiate|ApiKey)[ \t]+([A-Za-z0-9._~+/=:-]{8,})",
            r"(?:Digest|AWS4-HMAC-SHA256)[ \t]+([A-Za-z][A-Za-z-]*=[^\r\n'<>]*)",
            r"Token[ \t]+([A-Za-z0-9._~+/=:-]{16,})",
        ]
        .join("|"),
    )
});

/// `jdbc:oracle:thin:scott/tiger@//host`
static ORACLE: LazyLock<Regex> =
    LazyLock::new(|| compile(r"jdbc:oracle:[a-z0-9]+:([^\s/@]+/[^\s@]+)@"));

/// `VALUES ('ada', 'x')`, `[parameters: ('ada', 'x')]`
static LITERALS: LazyLock<Regex> =
    LazyLock::new(|| compile(r"(?i:values\s*|parameters:\s*)[(\[{][^\n]*"));
static QUOTED: LazyLock<Regex> = LazyLock::new(|| compile(r#"'(?:[^'\n]|'')+'|"[^"\n]+""#));
