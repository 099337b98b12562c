//! How long a request may take.

use std::time::Duration;

use flowhost_engine::State;
use wasmtime::component::Resource;

use super::bindings::wasi::http::types;
use crate::outgoing::Failure;

/// The times of a request, in nanoseconds.
#[derive(Clone, Copy, Default)]
pub struct RequestOptions {
    connect: Option<u64>,
    first_byte: Option<u64>,
    between_bytes: Option<u64>,
}

impl RequestOptions {
    /// How long the exchange may take. A response is buffered, so that its first byte is there when all of it is.
    ///
    /// The other two times are kept with it: nothing takes longer than both together, and no bytes come after the first. By
    /// themselves they limit nothing here, and a flow that believes so is told.
    pub(super) fn timeout(self) -> Result<Option<Duration>, Failure> {
        let connect = self.connect.unwrap_or_default();
        match self.first_byte {
            Some(first_byte) => Ok(Some(Duration::from_nanos(first_byte.saturating_add(connect)))),
            None if self.connect.is_none() && self.between_bytes.is_none() => Ok(None),
            None => {
                let message = "this host keeps `connect-timeout` and `between-bytes-timeout` only together with \
                    `first-byte-timeout`: set that one as well";
                Err(Failure::new(Failure::INVALID_REQUEST, message))
            }
        }
    }
}

impl types::HostRequestOptions for State {
    fn new(&mut self) -> wasmtime::Result<Resource<RequestOptions>> {
        self.push_resource(RequestOptions::default())
    }

    fn connect_timeout(&mut self, options: Resource<RequestOptions>) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&options)?.connect)
    }

    fn set_connect_timeout(
        &mut self,
        options: Resource<RequestOptions>,
        duration: Option<u64>,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.table.get_mut(&options)?.connect = duration;
        Ok(Ok(()))
    }

    fn first_byte_timeout(&mut self, options: Resource<RequestOptions>) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&options)?.first_byte)
    }

    fn set_first_byte_timeout(
        &mut self,
        options: Resource<RequestOptions>,
        duration: Option<u64>,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.table.get_mut(&options)?.first_byte = duration;
        Ok(Ok(()))
    }

    fn between_bytes_timeout(&mut self, options: Resource<RequestOptions>) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&options)?.between_bytes)
    }

    fn set_between_bytes_timeout(
        &mut self,
        options: Resource<RequestOptions>,
        duration: Option<u64>,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.table.get_mut(&options)?.between_bytes = duration;
        Ok(Ok(()))
    }

    fn drop(&mut self, options: Resource<RequestOptions>) -> wasmtime::Result<()> {
        self.table.delete(options)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_would_limit_nothing_are_refused() {
        let options = |connect, first_byte, between_bytes| RequestOptions { connect, first_byte, between_bytes };
        assert_eq!(options(None, None, None).timeout(), Ok(None));
        assert_eq!(options(Some(1), Some(2), Some(3)).timeout(), Ok(Some(Duration::from_nanos(3))));
        for useless in [options(Some(1), None, None), options(None, None, Some(1))] {
            assert!(useless.timeout().unwrap_err().message.contains("first-byte-timeout"));
        }
    }
}
