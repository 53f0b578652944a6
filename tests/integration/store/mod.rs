//! The store on both databases, each story told once.

mod migrations;
