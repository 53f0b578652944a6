//! From text to the types of settings, and what to say when a text is none.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use hyper::{Uri, header::HeaderName};
use regex::{Regex, RegexBuilder};

/// A type that a setting can have. Every layer gives text; a file's numbers and lists are turned
/// into text first, lists into lines.
pub(super) trait Value: Sized {
    /// What stands for the value in `--help`.
    const KIND: &'static str;
    /// Never shown, and not to be given as a flag, where every process could read it.
    const SECRET: bool = false;
    /// Not repeated when it is wrong, as it may hold a secret.
    const SENSITIVE: bool = Self::SECRET;

    /// The text that was given, as it may be shown.
    fn shown(text: &str) -> String {
        text.to_owned()
    }

    /// The value; otherwise the end of a sentence that begins with the setting's name and "must be".
    fn parse(text: &str) -> Result<Self, String>;
}

impl Value for String {
    const KIND: &'static str = "TEXT";

    fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("a text that is not empty".to_owned());
        }
        Ok(text.to_owned())
    }
}

impl Value for PathBuf {
    const KIND: &'static str = "FILE";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }
}

impl<T: Value> Value for Option<T> {
    const KIND: &'static str = T::KIND;
    const SECRET: bool = T::SECRET;

    fn shown(text: &str) -> String {
        T::shown(text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(None);
        }
        T::parse(text).map(Some)
    }
}

impl<T: Value> Value for Vec<T> {
    const KIND: &'static str = T::KIND;
    const SECRET: bool = T::SECRET;

    fn shown(text: &str) -> String {
        T::shown(text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        text.split([',', '\n'])
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(T::parse)
            .collect()
    }
}

/// Regular expressions; in the environment one a line.
#[derive(Clone, Debug, Default)]
pub struct Patterns(pub Vec<Regex>);

impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        let texts = |patterns: &Self| -> Vec<String> {
            patterns.0.iter().map(ToString::to_string).collect()
        };
        texts(self) == texts(other)
    }
}

impl Value for Patterns {
    const KIND: &'static str = "REGEX";

    fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.is_empty());
        lines.map(pattern).collect::<Result<_, _>>().map(Self)
    }

    fn shown(text: &str) -> String {
        text.replace('\n', ", ")
    }
}

/// More memory than this is not spent on one pattern.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// A regular expression, or why it is none.
pub(super) fn compiled(text: &str) -> Result<Regex, String> {
    let regex = RegexBuilder::new(text)
        .size_limit(MAX_PATTERN_BYTES)
        .build();
    regex.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        error => {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default();
            reason.trim_start_matches("error: ").to_owned()
        }
    })
}

fn pattern(text: &str) -> Result<Regex, String> {
    let regex = compiled(text).map_err(|reason| {
        format!("a list of regular expressions, and {text:?} is none: {reason}")
    })?;
    if regex.is_match("") {
        return Err(format!(
            "a list of regular expressions, and {text:?} matches nothing at all, which is everywhere"
        ));
    }
    Ok(regex)
}

impl Value for bool {
    const KIND: &'static str = "true|false";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "true or false".to_owned())
    }
}

macro_rules! counts {
    ($($type:ty),+) => {$(
        impl Value for $type {
            const KIND: &'static str = "NUMBER";

            fn parse(text: &str) -> Result<Self, String> {
                match text.replace('_', "").parse() {
                    Ok(0) | Err(_) => Err("a whole number above 0".to_owned()),
                    Ok(count) => Ok(count),
                }
            }
        }
    )+};
}

counts!(u32, usize);

impl Value for SocketAddr {
    const KIND: &'static str = "ADDRESS";

    fn parse(text: &str) -> Result<Self, String> {
        if let Some(port) = text.strip_prefix("localhost:")
            && let Ok(port) = port.parse()
        {
            return Ok((Ipv4Addr::LOCALHOST, port).into());
        }
        text.parse()
            .map_err(|_| "an IP address and a port, like 127.0.0.1:4318 or [::1]:4318".to_owned())
    }
}

/// The URL by which programs of this machine reach what listens on the address: on `0.0.0.0` or
/// `[::]`, which are nobody's address, as `localhost`.
#[must_use]
pub fn local_url(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("http://localhost:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

/// `http://HOST:PORT`, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl(String);

impl HttpUrl {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether its host is this machine, as far as it says so itself.
    #[must_use]
    pub fn is_this_machine(&self) -> bool {
        match self.ip() {
            Some(ip) => ip.is_loopback(),
            None => self.host() == "localhost",
        }
    }

    /// Whether it leads to this address, as far as it says so itself.
    #[must_use]
    pub fn leads_to(&self, address: SocketAddr) -> bool {
        let is_there =
            self.ip() == Some(address.ip()) || (self.is_this_machine() && is_local(address.ip()));
        is_there && self.authority().1 == address.port()
    }

    fn ip(&self) -> Option<IpAddr> {
        self.host().trim_matches(['[', ']']).parse().ok()
    }

    fn host(&self) -> String {
        self.authority().0
    }

    /// Host and port.
    fn authority(&self) -> (String, u16) {
        let uri: Uri = self.0.parse().unwrap_or_default();
        let host = uri.host().unwrap_or_default().to_owned();
        (host, uri.port_u16().unwrap_or(80))
    }
}

/// Whose pages: `https://shop.example`, `https://*.shop.example` for subdomains, or `*` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// As a browser would write it, but for the `*`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Origin {
    const KIND: &'static str = "ORIGIN";

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        // Without the wildcard it is a URL.
        let uri = text.replacen("://*.", "://", 1).parse::<Uri>().ok();
        let is_origin = uri.is_some_and(|uri| {
            let scheme = uri.scheme_str().unwrap_or_default();
            let authority = uri.authority().map_or("", |authority| authority.as_str());
            matches!(scheme, "http" | "https")
                && !authority.contains(['*', '@'])
                && text.ends_with(authority)
        });
        if text != "*" && !is_origin {
            return Err(
                "an origin like https://shop.example or https://*.shop.example, without a path, or *"
                    .to_owned(),
            );
        }
        Ok(Self(text))
    }
}

impl Value for HeaderName {
    const KIND: &'static str = "HEADER";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "the name of a header, like X-Tenant".to_owned())
    }
}

/// Whether what is sent within this machine arrives there.
fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

impl FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim_end_matches('/');
        let uri = text.parse::<Uri>().ok();
        let is_http = uri.is_some_and(|uri| {
            uri.scheme_str() == Some("http")
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.query().is_none()
                && !uri.path().ends_with("/v1/traces")
                && uri.authority().is_some_and(|it| !it.as_str().contains('@'))
        });
        if !is_http {
            return Err(
                "an address like http://collector:4318: without TLS, user, or /v1/traces"
                    .to_owned(),
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl Value for HttpUrl {
    const KIND: &'static str = "URL";
    // A wrong one may hold a password.
    const SENSITIVE: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

impl Value for Duration {
    const KIND: &'static str = "DURATION";

    fn parse(text: &str) -> Result<Self, String> {
        parse_duration(text)
            .filter(|duration| !duration.is_zero())
            .ok_or_else(|| "a duration above 0, like 500ms, 5s, 15m, 6h or 30d".to_owned())
    }
}

/// How long something is kept: a duration, or `never`, which deletes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeptFor(pub Option<Duration>);

impl Value for KeptFor {
    const KIND: &'static str = "DURATION|never";

    fn parse(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        match parse_duration(text).filter(|duration| !duration.is_zero()) {
            Some(duration) => Ok(Self(Some(duration))),
            None => Err("a duration above 0, like 12h or 30d, or never".to_owned()),
        }
    }
}

/// A duration with its unit: `500ms`, `5s`, `15m`, `6h` or `30d`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Bytes(pub usize);

impl Value for Bytes {
    const KIND: &'static str = "SIZE";

    fn parse(text: &str) -> Result<Self, String> {
        parse_size(text)
            .filter(|size| *size > 0)
            .map(Bytes)
            .ok_or_else(|| "a size above 0, like 4096, 64KiB or 8MiB".to_owned())
    }
}

fn parse_size(text: &str) -> Option<usize> {
    let (number, unit) = split_unit(text)?;
    let factor: usize = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    usize::try_from(number).ok()?.checked_mul(factor)
}

/// `30d` to 30 and `d`.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// What is shown of a secret.
pub(super) const HIDDEN: &str = "***";

/// A token that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Fewer bytes could be guessed.
    pub const MIN_BYTES: usize = 16;

    /// The token itself: for comparing and for sending, never for showing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Value for Secret {
    const KIND: &'static str = "TOKEN";
    const SECRET: bool = true;

    fn shown(_: &str) -> String {
        HIDDEN.to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.len() < Self::MIN_BYTES {
            return Err(format!("at least {} bytes long", Self::MIN_BYTES));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("printable ASCII without spaces, as an Authorization header is".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

/// For whom logs are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// `text` on a terminal, `json` elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Value for LogFormat {
    const KIND: &'static str = "auto|text|json";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("auto, text or json".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_carry_their_unit() {
        let seconds = |text| Duration::parse(text).map(|duration| duration.as_secs_f64());
        assert_eq!(seconds("500ms"), Ok(0.5));
        assert_eq!(seconds("30d"), Ok(2_592_000.0));
        for text in ["", "5", "0s", "1w", "-1s", "1.5h", "99999999999999999999s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(Bytes::parse("8MiB"), Ok(Bytes(8 << 20)));
        assert_eq!(Bytes::parse("4096"), Ok(Bytes(4096)));
        for text in ["", "0", "8MB", "MiB", "99999999999999GiB"] {
            assert!(Bytes::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_kept_for_ever_is_deleted_never() {
        assert_eq!(KeptFor::parse("never"), Ok(KeptFor(None)));
        let day = Duration::from_hours(24);
        assert_eq!(KeptFor::parse("30d"), Ok(KeptFor(Some(30 * day))));
        assert!(KeptFor::parse("").is_err() && KeptFor::parse("0d").is_err());
    }

    #[test]
    fn a_short_token_is_refused_and_a_long_one_is_hidden() {
        assert!(Secret::parse("fifteen-bytes-x").is_err());
        let token = Secret::parse("sixteen-bytes-xx").unwrap();
        assert_eq!(format!("{token:?}"), "***");
        assert_eq!(token.expose(), "sixteen-bytes-xx");
    }

    #[test]
    fn what_listens_everywhere_is_reached_at_localhost() {
        for (address, url) in [
            ("0.0.0.0:4318", "http://localhost:4318"),
            ("[::]:4318", "http://localhost:4318"),
            ("10.0.0.7:1", "http://10.0.0.7:1"),
            ("[::1]:1", "http://[::1]:1"),
        ] {
            assert_eq!(local_url(address.parse().unwrap()), url);
        }
    }

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_a_wildcard_only_for_subdomains() {
        for good in [
            "*",
            "https://shop.example",
            "http://localhost:3000",
            "https://*.shop.example:8443",
            "HTTPS://Shop.Example",
        ] {
            let origin = Origin::parse(good).map(|origin| origin.0);
            assert_eq!(origin, Ok(good.to_ascii_lowercase()));
        }
        for bad in [
            "",
            "shop.example",
            "https://",
            "https://shop.example/",
            "https://shop.example/path",
            "https://shop.example?q",
            "https://*shop.example",
            "https://a.*.example",
            "https://*",
            "https://user@shop.example",
            "ftp://shop.example",
            "null",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn localhost_is_an_address() {
        assert_eq!(
            SocketAddr::parse("localhost:4318"),
            Ok("127.0.0.1:4318".parse().unwrap())
        );
        assert!(SocketAddr::parse("4318").is_err());
    }
}
