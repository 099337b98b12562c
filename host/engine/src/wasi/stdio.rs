//! Standard input is at its end; standard output and standard error become lines of the execution's log.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use flowhost_model::{LogLevel, LogSource};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::cli::{stderr, stdin, stdout};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use crate::State;
use crate::log::{Log, LogFull};

/// A line without an end is cut here: a flow that prints no line breaks still shows what it prints.
const LINE_LIMIT: usize = 8 << 10;

/// What the stream takes at once.
const WRITE_LIMIT: usize = 64 << 10;

/// The log budget was used up by an output stream.
#[derive(Debug, thiserror::Error)]
#[error("the log budget is used up")]
pub(crate) struct LogBudgetExceeded;

/// The beginning of a line that has not ended yet. Shared by all handles to one stream.
#[derive(Clone, Default)]
pub(crate) struct LineBuffer(Option<Arc<Mutex<Vec<u8>>>>);

impl LineBuffer {
    fn shared(&mut self) -> Arc<Mutex<Vec<u8>>> {
        self.0.get_or_insert_default().clone()
    }

    /// Logs what is left without a line break.
    fn finish(&self, log: &Log, source: LogSource) -> Result<(), LogFull> {
        match &self.0 {
            Some(partial) => flush_line(&mut partial.lock().unwrap_or_else(PoisonError::into_inner), log, source),
            None => Ok(()),
        }
    }
}

fn level(source: LogSource) -> LogLevel {
    if source == LogSource::Stderr { LogLevel::Warn } else { LogLevel::Info }
}

fn flush_line(line: &mut Vec<u8>, log: &Log, source: LogSource) -> Result<(), LogFull> {
    if line.is_empty() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned();
    line.clear();
    log.write(level(source), source, text, None)
}

struct LineStream {
    partial: Arc<Mutex<Vec<u8>>>,
    log: Arc<Log>,
    source: LogSource,
}

#[async_trait]
impl Pollable for LineStream {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for LineStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for chunk in piece.chunks(LINE_LIMIT) {
                partial.extend_from_slice(chunk);
                if chunk.ends_with(b"\n") || partial.len() >= LINE_LIMIT {
                    flush_line(&mut partial, &self.log, self.source)
                        .map_err(|LogFull| StreamError::Trap(LogBudgetExceeded.into()))?;
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_LIMIT)
    }
}

/// A stream that has nothing to read and never will.
struct AtEnd;

#[async_trait]
impl Pollable for AtEnd {
    async fn ready(&mut self) {}
}

impl InputStream for AtEnd {
    fn read(&mut self, _size: usize) -> StreamResult<Bytes> {
        Err(StreamError::Closed)
    }
}

impl State {
    fn line_stream(&mut self, source: LogSource) -> wasmtime::Result<Resource<DynOutputStream>> {
        let buffer = if source == LogSource::Stderr { &mut self.wasi.stderr } else { &mut self.wasi.stdout };
        let stream = LineStream { partial: buffer.shared(), log: self.log.clone(), source };
        self.push_resource(Box::new(stream) as DynOutputStream)
    }

    /// Logs what the flow printed last without a line break. It is dropped where the log is full.
    pub(crate) fn finish_output(&mut self) {
        for (buffer, source) in [(&self.wasi.stdout, LogSource::Stdout), (&self.wasi.stderr, LogSource::Stderr)] {
            let _full = buffer.finish(&self.log, source);
        }
    }
}

impl stdin::Host for State {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        self.push_resource(Box::new(AtEnd) as DynInputStream)
    }
}

impl stdout::Host for State {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.line_stream(LogSource::Stdout)
    }
}

impl stderr::Host for State {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.line_stream(LogSource::Stderr)
    }
}
