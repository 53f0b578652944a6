//! The site of a page that passes on what its pages send: nginx, with README's lines for it.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;

use super::{OTLP_PORT, snippets};
use crate::{
    apps,
    checker::Checker,
    databases::{Database, Kind},
    load,
    program::{Program, agent},
};

/// How long nginx may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// An nginx of the test's own, which serves one site.
struct Site {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Site {
    /// Starts it with these lines in the site's configuration, and waits until it answers.
    fn start(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Free at this moment; nginx cannot be asked which port it took.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        // One process in the foreground, which needs no other user and no folder of the system's.
        let config = format!(
            "daemon off;\n\
             master_process off;\n\
             pid nginx.pid;\n\
             events {{}}\n\
             http {{\n\
             access_log off;\n\
             client_body_temp_path body;\n\
             proxy_temp_path proxy;\n\
             fastcgi_temp_path fastcgi;\n\
             uwsgi_temp_path uwsgi;\n\
             scgi_temp_path scgi;\n\
             server {{\n\
             listen {address};\n\
             {lines}\n\
             }}\n\
             }}\n"
        );
        fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let child = Command::new("nginx")
            .args(["-e", "stderr", "-c", "nginx.conf", "-p"])
            .arg(folder.path())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut site = Self {
            child,
            address,
            folder,
        };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert_eq!(site.child.try_wait().unwrap(), None, "{}", site.log());
            assert!(begun.elapsed() < PATIENCE, "{}", site.log());
            thread::yield_now();
        }
        site
    }

    /// What a page's exporter sends to this path of the page's own site, and how that is answered.
    fn send(&self, path: &str, body: &str) -> (u16, String) {
        let site = format!("http://{}", self.address);
        let mut answer = agent()
            .post(format!("{site}{path}"))
            .header("Origin", &site)
            .header("Sec-Fetch-Site", "same-origin")
            .content_type("application/json")
            .send(body)
            .unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), text)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            eprintln!("log of nginx:\n{}", self.log());
        }
    }
}

/// A page's span that failed.
fn request(message: &str) -> String {
    let ended = load::now_nanos();
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeSpans": [{"spans": [{
            "traceId": "5b8efff798038103d269b633813fc60c",
            "spanId": "eee19b7ec3c1b174",
            "name": "pay",
            "kind": 1,
            "startTimeUnixNano": (ended - 1_000).to_string(),
            "endTimeUnixNano": ended.to_string(),
            "status": {"code": 2, "message": message}
        }]}]
    }]})
    .to_string()
}

#[tokio::test]
async fn nginx_with_the_lines_for_it_passes_on_what_pages_send_and_nothing_else() {
    if apps::tool("nginx", "-v").is_none() {
        return;
    }
    let database = Database::new(Kind::Sqlite);
    let program = Program::start(&database.url, &database.environment());
    let port = program.otlp.port().to_string();
    let site = Site::start(&snippets::block("nginx").replace(OTLP_PORT, &port));

    let message = "sent through the site";
    assert_eq!(
        site.send("/v1/traces", &request(message)),
        (200, "{}".to_owned())
    );
    for path in ["/v1/traces/", "/v1/logs"] {
        let (status, text) = site.send(path, "{}");
        assert_eq!(status, 404, "{path}: {text}");
        assert!(text.contains("nginx"), "{path}: {text}");
    }

    let mut checker = Checker::open(&database.url, &database.schema).await;
    let messages = checker.texts("SELECT error_message FROM api_errors").await;
    assert_eq!(messages, [message]);
}
