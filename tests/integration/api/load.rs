//! Many at once: nobody holds up anybody else.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use super::*;

/// More than are let in at once.
const SLOW: usize = 100;

#[test]
fn whoever_sends_a_body_slowly_holds_up_nobody() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let body = error(json!({})).to_string();
        let head = format!(
            "POST /api/v1/errors HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let (beginning, rest) = body.split_at(9);
        let mut slow: Vec<TcpStream> = (0..SLOW)
            .map(|_| {
                let mut connection = TcpStream::connect(api.program.http).unwrap();
                let sent = format!("{head}{beginning}");
                connection.write_all(sent.as_bytes()).unwrap();
                connection
            })
            .collect();
        // All of them wait for the rest of their bodies; none is answered yet.
        api.log(json!({"errorMessage": "meanwhile"}));
        assert_eq!(api.messages("/api/v1/errors"), ["meanwhile"]);
        for connection in &mut slow {
            connection.write_all(rest.as_bytes()).unwrap();
        }
        for mut connection in slow {
            let mut answer = String::new();
            connection.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        }
        let found = api.get("/api/v1/errors?limit=1&withTotal=true").body(200);
        assert_eq!(found["total"], json!(SLOW + 1));
    });
}

#[test]
fn a_batch_that_was_there_is_answered_with_the_rows_that_were() {
    each_kind(|kind| {
        let api = Api::start(kind);
        let errors: Vec<Value> = (0..500)
            .map(|number| {
                let id = format!("00000000-0000-4000-8000-{number:012}");
                error(json!({"id": id, "errorMessage": format!("message {number}")}))
            })
            .collect();
        let batch = json!({"errors": errors});
        let first = api.post("/api/v1/errors/batch", &batch).body(201);
        let again = api.post("/api/v1/errors/batch", &batch).body(200);
        let rows = |answer: &Value, is_new: bool| -> Vec<Value> {
            let items = answer["items"].as_array().unwrap().iter();
            items
                .map(|item| {
                    assert_eq!(item["isNew"], json!(is_new));
                    item["error"].clone()
                })
                .collect()
        };
        assert_eq!(rows(&again, false), rows(&first, true));
    });
}
