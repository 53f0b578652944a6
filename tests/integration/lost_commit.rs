//! The answer to COMMIT is lost and the process lives: a proxy before PostgreSQL cuts the writer's
//! connection at COMMIT, now before the server has heard it, now after it has answered. Clients
//! that send until they hear 200 end with exactly their own numbers.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    databases::{Database, Kind},
    exactly_once::{assert_holds, assert_shown},
    load::{self, Sent, Truth},
    program::Program,
};

/// What is lost of the next COMMIT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loss {
    /// COMMIT itself: the server rolls back.
    Request,
    /// The answer to it: the server has committed.
    Answer,
}

/// Forwards bytes between redspan and the server's socket.
#[derive(Default)]
struct Proxy {
    next: Mutex<Option<Loss>>,
    lost: AtomicUsize,
}

impl Proxy {
    /// Listens on a port of its own for as long as the tests run.
    fn start(server: PathBuf) -> (Arc<Self>, SocketAddr) {
        let proxy = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = Arc::clone(&proxy);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = UnixStream::connect(&server).unwrap();
                let is_swallowed = Arc::new(AtomicBool::new(false));
                let answering = {
                    let proxy = Arc::clone(&accepting);
                    let (client, server) = (client.try_clone(), server.try_clone());
                    let is_swallowed = Arc::clone(&is_swallowed);
                    move || proxy.answer(server?, client?, &is_swallowed)
                };
                // A connection ends with an error or without one: either way it has ended.
                thread::spawn(|| drop(answering()));
                let proxy = Arc::clone(&accepting);
                thread::spawn(move || drop(proxy.ask(client, server, &is_swallowed)));
            }
        });
        (proxy, address)
    }

    /// From redspan to the server, message by message.
    fn ask(
        &self,
        mut client: TcpStream,
        mut server: UnixStream,
        is_swallowed: &AtomicBool,
    ) -> io::Result<()> {
        // The first message has no type before its length.
        let mut is_first = true;
        // Only the writer's transactions insert into the ledger.
        let mut is_writer = false;
        loop {
            let mut head = vec![0; if is_first { 4 } else { 5 }];
            if client.read_exact(&mut head).is_err() {
                return server.shutdown(Shutdown::Both);
            }
            let length: [u8; 4] = head[head.len() - 4..].try_into().unwrap();
            let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
            client.read_exact(&mut body)?;
            is_writer |= contains(&body, b"INSERT INTO request_ledger");
            let is_commit = !is_first && head[0] == b'Q' && body.starts_with(b"COMMIT");
            is_first = false;
            if is_writer && is_commit {
                match self.next.lock().unwrap().take() {
                    None => {}
                    Some(Loss::Answer) => is_swallowed.store(true, Ordering::SeqCst),
                    Some(Loss::Request) => {
                        self.cut(&client, &server)?;
                        return Ok(());
                    }
                }
            }
            server.write_all(&[head, body].concat())?;
        }
    }

    /// From the server to redspan, byte by byte, but for the answer that gets lost.
    fn answer(
        &self,
        mut server: UnixStream,
        mut client: TcpStream,
        is_swallowed: &AtomicBool,
    ) -> io::Result<()> {
        let mut buffer = [0; 16 * 1_024];
        loop {
            let bytes = server.read(&mut buffer)?;
            if bytes == 0 {
                return client.shutdown(Shutdown::Both);
            }
            if is_swallowed.load(Ordering::SeqCst) {
                return self.cut(&client, &server);
            }
            client.write_all(&buffer[..bytes])?;
        }
    }

    fn cut(&self, client: &TcpStream, server: &UnixStream) -> io::Result<()> {
        self.lost.fetch_add(1, Ordering::SeqCst);
        server.shutdown(Shutdown::Both)?;
        client.shutdown(Shutdown::Both)
    }

    /// Loses something of the writer's next COMMIT, and waits until that has happened.
    fn lose(&self, loss: Loss) {
        let before = self.lost.load(Ordering::SeqCst);
        *self.next.lock().unwrap() = Some(loss);
        wait_for(|| self.lost.load(Ordering::SeqCst) > before);
    }
}

fn wait_for(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "no COMMIT comes any more"
        );
        thread::park_timeout(Duration::from_millis(1));
    }
}

fn contains(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|window| window == words)
}

/// Clients that send until they hear 200.
struct Clients<'a> {
    program: &'a Program,
    next_trace: AtomicU64,
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
    done: AtomicBool,
    truth: Mutex<Truth>,
}

impl Clients<'_> {
    fn run(&self) {
        while !self.done.load(Ordering::Relaxed) {
            let trace = self.next_trace.fetch_add(8, Ordering::Relaxed);
            if trace.is_multiple_of(24) {
                for request in &load::cut_trace("shop", trace) {
                    self.deliver(request);
                }
            } else {
                self.deliver(&load::whole_traces("shop", trace, 8));
            }
        }
    }

    fn deliver(&self, request: &Sent) {
        let start = Instant::now();
        loop {
            match self.program.send(&request.body) {
                Ok(200) => break,
                Ok(503) => self.refused.fetch_add(1, Ordering::Relaxed),
                other => panic!("neither 200 nor 503: {other:?}"),
            };
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "never acknowledged: {}",
                self.program.log()
            );
            thread::park_timeout(Duration::from_millis(5));
        }
        self.truth.lock().unwrap().add(&request.truth);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// Lets the clients end, also when the test fails before its end.
struct LetEnd<'a>(&'a AtomicBool);

impl Drop for LetEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_commit_whose_outcome_is_unknown_loses_nothing_and_counts_nothing_twice() {
    let database = Database::new(Kind::Postgres);
    let (name, folder) = database.url.split_once("?host=").unwrap();
    let (_, name) = name.rsplit_once('/').unwrap();
    let (proxy, address) = Proxy::start(PathBuf::from(folder).join(".s.PGSQL.5432"));
    let url = format!("postgres://redspan@{address}/{name}?sslmode=disable");
    let program = Program::start(&url, &[]);
    let clients = Clients {
        program: &program,
        next_trace: AtomicU64::new(0),
        acknowledged: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
        done: AtomicBool::new(false),
        truth: Mutex::default(),
    };
    let losses = if std::env::var_os("FULL").is_some() {
        500
    } else {
        40
    };
    thread::scope(|scope| {
        let _end = LetEnd(&clients.done);
        for _ in 0..4 {
            scope.spawn(|| clients.run());
        }
        for number in 0..losses {
            // Sometimes the next one is lost as well, sometimes all is well for a while.
            let acknowledged = clients.acknowledged.load(Ordering::Relaxed) + number % 7 * 2;
            wait_for(|| clients.acknowledged.load(Ordering::Relaxed) >= acknowledged);
            proxy.lose(if number % 2 == 0 {
                Loss::Answer
            } else {
                Loss::Request
            });
        }
    });
    assert!(
        clients.refused.into_inner() >= losses,
        "a loss was not told"
    );
    let truth = clients.truth.into_inner().unwrap();
    assert!(!truth.rows.is_empty());
    assert_holds(&database, &truth);
    assert_shown(vec![Mutex::new(program)], &truth);
}
