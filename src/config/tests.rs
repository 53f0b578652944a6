use super::*;

fn load(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<Config, Mistakes> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redspan.toml");
    std::fs::write(&path, file).unwrap();
    Config::load(&Given {
        file: Some(path),
        flags: flags
            .iter()
            .map(|(path, text)| (*path, (*text).to_owned()))
            .collect(),
        environment: environment
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect(),
    })
}

#[test]
fn nothing_given_is_the_defaults() {
    let config = load("", &[], &[]).unwrap();
    assert_eq!(config.database.url.expose(), "sqlite://redspan.db");
    assert_eq!(config.otlp.http.listen.to_string(), "127.0.0.1:4318");
    assert_eq!(config.limits.body_bytes, Bytes(8 << 20));
    assert!(!config.writer_name().is_empty());
    assert!(!config.api_is_closed());
}
