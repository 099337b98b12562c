//! End to end: the real program, a real socket.

#![allow(clippy::expect_used, clippy::unwrap_used)]

mod brief;
mod cli;
mod cli_access;
mod deploy;
mod documentation;
mod examples;
mod http;
mod logs;
mod metadata;
mod problems;
mod rest;
mod setting_form;
mod webhook_address;
mod webhook_answer;
mod webhook_input;
mod webhook_key;
mod webhooks_page;
