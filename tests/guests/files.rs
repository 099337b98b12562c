//! Performs the operations of its payload's `ops` on files, one after the other, and says what each gave.
//!
//! An operation is `{"op": "stat" | "read" | "delete", "name"}`, `{"op": "range", "name", "offset", "length"}`,
//! `{"op": "write" | "append", "name", …}` with what is written as `text`, as `base64` or as a number of bytes to `fill` it with,
//! and the content type as `type`, `{"op": "list", "prefix"}`, or `{"op": "flood", "name", "fill"}`, which appends until that is
//! refused. The output `results` has `{"ok": what it gave}` or `{"code", "message"}` for each. Bytes that are read are told as
//! `{"size"}`, with `text` or `base64` where they are at most 1,000.

#![cfg(target_family = "wasm")]

use data_encoding::BASE64;
use flowhost_guest::{Execution, FlowError, HostError, Input, Outputs, flow, json};
use serde::Deserialize;
use serde_json::Value;
use test_guests::{Plan, results};

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
enum Operation {
    Stat {
        name: String,
    },
    Read {
        name: String,
    },
    Range {
        name: String,
        offset: u64,
        length: u64,
    },
    Write {
        name: String,
        #[serde(flatten)]
        content: Content,
        r#type: Option<String>,
    },
    Append {
        name: String,
        #[serde(flatten)]
        content: Content,
    },
    List {
        prefix: String,
    },
    Delete {
        name: String,
    },
    Flood {
        name: String,
        #[serde(flatten)]
        content: Content,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Content {
    Text(String),
    Base64(String),
    Fill(usize),
}

impl Content {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Base64(text) => BASE64.decode(text.as_bytes()).unwrap_or_default(),
            Self::Fill(size) => vec![b'x'; *size],
        }
    }
}

#[flow]
fn files(this: &Execution, plan: Input<Plan<Operation>>) -> Result<Outputs, FlowError> {
    Ok(results(&plan.ops, |operation| perform(this, operation)))
}

fn perform(this: &Execution, operation: &Operation) -> Result<Value, HostError> {
    let files = this.files();
    Ok(match operation {
        Operation::Stat { name } => match files.stat(name)? {
            None => Value::Null,
            Some(file) => {
                let modified_us =
                    file.modified_at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_micros();
                json!({ "name": file.name, "size": file.size, "type": file.content_type, "modified_us": modified_us as u64 })
            }
        },
        Operation::Read { name } => told(files.read(name)?),
        Operation::Range { name, offset, length } => told(files.read_range(name, *offset, *length)?),
        Operation::Write { name, content, r#type: None } => files.write(name, content.bytes()).map(|()| Value::Null)?,
        Operation::Write { name, content, r#type: Some(r#type) } => {
            files.write_with_type(name, content.bytes(), r#type).map(|()| Value::Null)?
        }
        Operation::Append { name, content } => files.append(name, content.bytes())?.into(),
        Operation::List { prefix } => {
            files.list(prefix)?.into_iter().map(|file| json!([file.name, file.size])).collect()
        }
        Operation::Delete { name } => files.delete(name)?.into(),
        Operation::Flood { name, content } => {
            let bytes = content.bytes();
            let mut size = 0;
            loop {
                match files.append(name, &bytes) {
                    Ok(grown) => size = grown,
                    Err(refused) => break json!([size, refused.code()]),
                }
            }
        }
    })
}

fn told(bytes: Vec<u8>) -> Value {
    let size = bytes.len();
    if size > 1_000 {
        return json!({ "size": size });
    }
    match String::from_utf8(bytes) {
        Ok(text) => json!({ "size": size, "text": text }),
        Err(error) => json!({ "size": size, "base64": BASE64.encode(error.as_bytes()) }),
    }
}
