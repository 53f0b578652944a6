//! Where a file lies in its application, wherever that is installed.

use memchr::memmem;

/// Parts of a path that are kept when nobody knows where the application begins.
const PARTS: usize = 2;

/// Parts of a path that are kept when it is known.
const PARTS_BELOW_ROOT: usize = 4;

/// Folders that dependencies lie in, beside the application's own files.
const DEPENDENCIES: &[&str] = &["/node_modules/", "/.venv/", "/venv/", "/vendor/"];

/// Folders whose contents come and go with releases: what follows names one.
const RELEASES: &[&str] = &["releases", "versions", "deployments"];

/// Where the applications of a stack begin, as their dependencies tell.
pub(super) struct Roots<'t>(Option<&'t str>);

impl<'t> Roots<'t> {
    pub fn of(stack: &'t str) -> Self {
        let root = DEPENDENCIES.iter().find_map(|folder| {
            let end = memmem::find(stack.as_bytes(), folder.as_bytes())?;
            let before = &stack[..end];
            let start = before
                .rfind(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '(' | '@'))
                .map_or(0, |place| place + 1);
            let root = before.get(start..)?;
            let root = root.strip_prefix("file://").unwrap_or(root);
            (!root.is_empty()).then_some(root)
        });
        Self(root)
    }

    /// A file's path below its application.
    pub fn relative(&self, path: &str) -> String {
        if let Some(below) = self.0.and_then(|root| path.strip_prefix(root))
            && below.starts_with('/')
        {
            return last_parts(below, PARTS_BELOW_ROOT);
        }
        last_parts(below_install_root(path), PARTS)
    }
}

/// What follows the folder that a release is unpacked into; the path itself when it is relative.
fn below_install_root(path: &str) -> &str {
    let parts: Vec<&str> = path.split(['/', '\\']).collect();
    let files = parts.len() - 1;
    let release = parts.iter().position(|part| RELEASES.contains(part));
    let mut skipped = match (release, parts.as_slice()) {
        (Some(release), _) => release + 2,
        (None, ["", first, rest @ ..]) => match (*first, rest.first().copied()) {
            ("usr", Some("src" | "local")) | ("var", Some("www")) | ("home" | "Users", _) => 4,
            ("usr" | "var" | "srv" | "opt" | "mnt" | "data" | "tmp" | "root", _) => 3,
            // /app, /code, /workspace, …
            _ => 2,
        },
        (None, [drive, ..]) if drive.ends_with(':') => 2,
        _ => 0,
    };
    if parts.get(skipped) == Some(&"current") {
        skipped += 1;
    }
    let skipped = skipped.min(files);
    let start: usize = parts[..skipped].iter().map(|part| part.len() + 1).sum();
    &path[start..]
}

/// The end of a path, with folders that only number something left out.
fn last_parts(path: &str, count: usize) -> String {
    let parts: Vec<&str> = path
        .split(['/', '\\'])
        .filter(|part| !matches!(*part, "" | "." | ".."))
        .collect();
    let first = parts.len().saturating_sub(count);
    let named = parts[first..].iter().map(|part| {
        let is_id =
            part.len() >= 2 && part.bytes().filter(u8::is_ascii_digit).count() * 2 > part.len();
        if is_id { "?" } else { part }
    });
    named.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_same_place_wherever_it_is_installed() {
        for (path, place) in [
            ("/app/shop/cart.py", "shop/cart.py"),
            ("/srv/releases/42/shop/cart.py", "shop/cart.py"),
            ("/srv/shop/releases/20260101/shop/cart.py", "shop/cart.py"),
            ("/opt/shop/current/shop/cart.py", "shop/cart.py"),
            ("/usr/src/app/shop/cart.py", "shop/cart.py"),
            ("/var/www/shop/shop/cart.py", "shop/cart.py"),
            ("/home/ada/shop/shop/cart.py", "shop/cart.py"),
            (r"C:\app\shop\cart.py", "shop/cart.py"),
            ("shop/cart.py", "shop/cart.py"),
            ("./shop/cart.py", "shop/cart.py"),
            ("/app/main.py", "main.py"),
            ("/srv/releases/42/main.py", "main.py"),
            ("/opt/shop/main.py", "main.py"),
            ("/usr/src/app/main.py", "main.py"),
            ("/main.py", "main.py"),
            ("main.py", "main.py"),
            ("", ""),
        ] {
            assert_eq!(Roots(None).relative(path), place, "{path}");
        }
    }

    #[test]
    fn dependencies_tell_where_an_application_begins() {
        let stack = "at f (/x/y/z/src/a.js:1:1)\nat g (/x/y/z/node_modules/m/i.js:1:1)";
        let roots = Roots::of(stack);
        assert_eq!(roots.relative("/x/y/z/src/a.js"), "src/a.js");
        assert_eq!(roots.relative("/x/y/z/server.js"), "server.js");
    }
}
