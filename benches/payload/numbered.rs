//! A request's bytes with trace ids that can be changed in place, so that each request is another one.

use prost::Message;

use super::payload::{MARK, request};

/// A request and where its trace ids are.
pub struct Payload {
    pub body: Vec<u8>,
    places: Vec<usize>,
}

impl Payload {
    /// The bytes of [`request`]. Of 512 spans, those that `fails` says have failed with a stack of 2 KB. Ended just now.
    pub fn new(fails: impl Fn(usize) -> bool) -> Self {
        let body = request(fails).encode_to_vec();
        let places = body
            .windows(MARK.len())
            .enumerate()
            .filter(|(_, window)| *window == MARK)
            .map(|(at, _)| at + MARK.len())
            .collect();
        Self { body, places }
    }

    /// Makes it another request: trace ids that no request with another number has.
    pub fn renumber(&mut self, number: u32) {
        for (index, at) in self.places.iter().enumerate() {
            let index = u32::try_from(index).expect("512 spans");
            let id = (u64::from(number) << 32 | u64::from(index)) + 1;
            self.body[*at..at + 8].copy_from_slice(&id.to_be_bytes());
        }
    }
}
