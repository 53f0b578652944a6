//! What the user decides about detection.

/// Settings of detection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DetectSettings {
    /// What is kept of the people behind the requests.
    pub privacy: Privacy,
    /// The `service.instance.id` of this process's own spans. Those that come back are only counted.
    pub own_instance: Option<String>,
}

/// What is kept of the people behind the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privacy {
    /// Client addresses. Default: cut.
    pub client_address: KeepAddress,
    /// Whether user ids are kept. Default true; without them `unique_users` stays 0.
    pub user_id: bool,
    /// Whether user agents are kept. Default true.
    pub user_agent: bool,
    /// Whether request headers that an application records are kept, scrubbed. Default true.
    pub request_headers: bool,
}

impl Default for Privacy {
    fn default() -> Self {
        Self {
            client_address: KeepAddress::Cut,
            user_id: true,
            user_agent: true,
            request_headers: true,
        }
    }
}

/// How much of an address is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAddress {
    /// All of it.
    Whole,
    /// Its network: /24 for IPv4, /48 for IPv6.
    Cut,
    /// Nothing.
    Drop,
}
