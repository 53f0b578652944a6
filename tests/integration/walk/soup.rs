//! Protobuf messages that are almost always valid and hardly ever usual: fields in any order and
//! any number, unknown ones, groups, integers longer than they need to be. Made from a tape of
//! bytes, so that a shorter tape makes a simpler message.

#[derive(Clone, Copy)]
enum Kind {
    Varint,
    Fixed64,
    Fixed32,
    Bytes,
    Message(&'static &'static [(u32, Kind)]),
}

use Kind::{Bytes, Fixed32, Fixed64, Message, Varint};

static REQUEST: &[(u32, Kind)] = &[(1, Message(&RESOURCE_SPANS))];
static RESOURCE_SPANS: &[(u32, Kind)] = &[
    (2, Message(&SCOPE_SPANS)),
    (1, Message(&RESOURCE)),
    (3, Bytes),
];
static RESOURCE: &[(u32, Kind)] = &[(1, Message(&KEY_VALUE)), (2, Varint), (3, Message(&ENTITY))];
static ENTITY: &[(u32, Kind)] = &[(1, Bytes), (2, Bytes), (3, Bytes), (4, Bytes)];
static SCOPE_SPANS: &[(u32, Kind)] = &[(2, Message(&SPAN)), (1, Message(&SCOPE)), (3, Bytes)];
static SCOPE: &[(u32, Kind)] = &[
    (1, Bytes),
    (2, Bytes),
    (3, Message(&KEY_VALUE)),
    (4, Varint),
];
static SPAN: &[(u32, Kind)] = &[
    (9, Message(&KEY_VALUE)),
    (1, Bytes),
    (2, Bytes),
    (3, Bytes),
    (4, Bytes),
    (5, Bytes),
    (6, Varint),
    (7, Fixed64),
    (8, Fixed64),
    (10, Varint),
    (11, Message(&EVENT)),
    (12, Varint),
    (13, Message(&LINK)),
    (14, Varint),
    (15, Message(&STATUS)),
    (16, Fixed32),
];
static EVENT: &[(u32, Kind)] = &[
    (3, Message(&KEY_VALUE)),
    (1, Fixed64),
    (2, Bytes),
    (4, Varint),
];
static LINK: &[(u32, Kind)] = &[
    (1, Bytes),
    (2, Bytes),
    (3, Bytes),
    (4, Message(&KEY_VALUE)),
    (5, Varint),
    (6, Fixed32),
];
static STATUS: &[(u32, Kind)] = &[(3, Varint), (2, Bytes)];
static KEY_VALUE: &[(u32, Kind)] = &[(2, Message(&ANY_VALUE)), (1, Bytes), (3, Varint)];
static ANY_VALUE: &[(u32, Kind)] = &[
    (5, Message(&ARRAY)),
    (1, Bytes),
    (6, Message(&MAP)),
    (2, Varint),
    (3, Varint),
    (4, Fixed64),
    (7, Bytes),
    (8, Varint),
];
static ARRAY: &[(u32, Kind)] = &[(1, Message(&ANY_VALUE))];
static MAP: &[(u32, Kind)] = &[(1, Message(&KEY_VALUE))];

/// The request that a tape makes.
pub fn request(tape: &[u8]) -> Vec<u8> {
    let mut tape = Tape(tape);
    let mut message = Vec::new();
    while !tape.0.is_empty() {
        tape.field(REQUEST, &mut message);
    }
    message
}

struct Tape<'a>(&'a [u8]);

impl Tape<'_> {
    fn byte(&mut self) -> u8 {
        match self.0 {
            [byte, rest @ ..] => {
                self.0 = rest;
                *byte
            }
            [] => 0,
        }
    }

    fn message(&mut self, fields: &[(u32, Kind)]) -> Vec<u8> {
        let mut message = Vec::new();
        for _ in 0..self.byte() % 8 {
            self.field(fields, &mut message);
        }
        message
    }

    fn field(&mut self, fields: &[(u32, Kind)], into: &mut Vec<u8>) {
        let choice = self.byte();
        if choice > 252 {
            let number = u32::from(self.byte() % 20);
            let wire_type = u32::from(self.byte() % 8);
            return self.odd_field(number, wire_type, into);
        }
        let (number, kind) = fields[usize::from(choice) % fields.len()];
        match kind {
            Varint => {
                self.varint(number << 3, into);
                let value = self.value();
                self.varint(value, into);
            }
            Fixed64 => {
                self.varint(number << 3 | 1, into);
                into.extend((0..8).map(|_| self.byte()));
            }
            Fixed32 => {
                self.varint(number << 3 | 5, into);
                into.extend((0..4).map(|_| self.byte()));
            }
            Bytes => {
                self.varint(number << 3 | 2, into);
                let length = self.byte() % 20;
                self.varint(length, into);
                into.extend((0..length).map(|_| self.byte()));
            }
            Message(fields) => {
                self.varint(number << 3 | 2, into);
                let message = self.message(fields);
                self.varint(message.len() as u64, into);
                into.extend(message);
            }
        }
    }

    /// One that no message has, or not so.
    fn odd_field(&mut self, number: u32, wire_type: u32, into: &mut Vec<u8>) {
        let number = if number > 17 { number * 1000 } else { number };
        self.varint(number << 3 | wire_type, into);
        match wire_type {
            0 => {
                let value = self.value();
                self.varint(value, into);
            }
            1 => into.extend([7; 8]),
            2 => {
                let length = self.byte() % 4;
                self.varint(length, into);
                into.extend((0..length).map(|_| self.byte()));
            }
            3 => {
                for _ in 0..self.byte() % 3 {
                    let inner = u32::from(self.byte() % 20);
                    let wire_type = u32::from(self.byte() % 6);
                    self.odd_field(inner, wire_type, into);
                }
                self.varint(number << 3 | 4, into);
            }
            5 => into.extend([7; 4]),
            _ => {}
        }
    }

    fn value(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..200 => u64::from(byte % 6),
            byte => u64::from_le_bytes([self.byte(), byte, 0, self.byte(), 1, byte, 3, byte]),
        }
    }

    /// Now and then in more bytes than needed, or than allowed.
    fn varint(&mut self, value: impl Into<u64>, into: &mut Vec<u8>) {
        let mut value = value.into();
        let mut digits = Vec::new();
        loop {
            digits.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
            if value == 0 {
                break;
            }
        }
        if self.byte() >= 250 {
            digits.extend(vec![0x80; usize::from(self.byte() % 8)]);
            digits.push(self.byte() % 3);
        }
        if let Some(last) = digits.last_mut() {
            *last &= 0x7f;
        }
        into.extend(digits);
    }
}
