//! Headers.

use flowhost_engine::State;
use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::component::Resource;

use super::bindings::wasi::http::types::{self, HeaderError};
use crate::outgoing::{HEADER_BYTES, HEADERS, OWN_HEADERS};

/// Headers that a flow makes, or that it got.
#[derive(Clone, Default)]
pub struct Fields {
    pub(super) map: HeaderMap,
    pub(super) is_immutable: bool,
}

impl Fields {
    /// Headers that a flow got.
    pub(super) fn immutable(map: HeaderMap) -> Self {
        Self { map, is_immutable: true }
    }

    fn append(&mut self, name: &str, value: &[u8]) -> wasmtime::Result<Result<(), HeaderError>> {
        let (name, value) = match (writable(name), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) => (name, value),
            (Err(refused), _) => return Ok(Err(refused)),
            (_, Err(_)) => return Ok(Err(HeaderError::InvalidSyntax)),
        };
        let taken: usize = self.map.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if self.map.len() >= HEADERS || taken + name.as_str().len() + value.len() > HEADER_BYTES {
            // The interface has no error for it.
            return Err(wasmtime::Error::msg(format!("more than {HEADERS} headers, or {HEADER_BYTES} bytes of them")));
        }
        self.map.append(name, value);
        Ok(Ok(()))
    }
}

/// The name of a header that a flow may write.
fn writable(name: &str) -> Result<HeaderName, HeaderError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::InvalidSyntax)?;
    if OWN_HEADERS.contains(&name.as_str()) { Err(HeaderError::Forbidden) } else { Ok(name) }
}

impl types::HostFields for State {
    fn new(&mut self) -> wasmtime::Result<Resource<Fields>> {
        self.push_resource(Fields::default())
    }

    fn from_list(
        &mut self,
        entries: Vec<(String, Vec<u8>)>,
    ) -> wasmtime::Result<Result<Resource<Fields>, HeaderError>> {
        let mut fields = Fields::default();
        for (name, value) in &entries {
            if let Err(refused) = fields.append(name, value)? {
                return Ok(Err(refused));
            }
        }
        Ok(Ok(self.push_resource(fields)?))
    }

    fn get(&mut self, fields: Resource<Fields>, name: String) -> wasmtime::Result<Vec<Vec<u8>>> {
        let values = self.table.get(&fields)?.map.get_all(name);
        Ok(values.iter().map(|value| value.as_bytes().to_vec()).collect())
    }

    fn has(&mut self, fields: Resource<Fields>, name: String) -> wasmtime::Result<bool> {
        Ok(self.table.get(&fields)?.map.contains_key(name))
    }

    fn set(
        &mut self,
        fields: Resource<Fields>,
        name: String,
        values: Vec<Vec<u8>>,
    ) -> wasmtime::Result<Result<(), HeaderError>> {
        let fields = self.table.get_mut(&fields)?;
        if fields.is_immutable {
            return Ok(Err(HeaderError::Immutable));
        }
        let mut changed = fields.clone();
        match writable(&name) {
            Ok(name) => changed.map.remove(name),
            Err(refused) => return Ok(Err(refused)),
        };
        for value in &values {
            if let Err(refused) = changed.append(&name, value)? {
                return Ok(Err(refused));
            }
        }
        *fields = changed;
        Ok(Ok(()))
    }

    fn delete(&mut self, fields: Resource<Fields>, name: String) -> wasmtime::Result<Result<(), HeaderError>> {
        let fields = self.table.get_mut(&fields)?;
        Ok(match writable(&name) {
            _ if fields.is_immutable => Err(HeaderError::Immutable),
            Ok(name) => {
                fields.map.remove(name);
                Ok(())
            }
            Err(refused) => Err(refused),
        })
    }

    fn append(
        &mut self,
        fields: Resource<Fields>,
        name: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), HeaderError>> {
        let fields = self.table.get_mut(&fields)?;
        if fields.is_immutable {
            return Ok(Err(HeaderError::Immutable));
        }
        fields.append(&name, &value)
    }

    fn entries(&mut self, fields: Resource<Fields>) -> wasmtime::Result<Vec<(String, Vec<u8>)>> {
        let map = &self.table.get(&fields)?.map;
        Ok(map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect())
    }

    fn clone(&mut self, fields: Resource<Fields>) -> wasmtime::Result<Resource<Fields>> {
        let map = self.table.get(&fields)?.map.clone();
        self.push_resource(Fields { map, is_immutable: false })
    }

    fn drop(&mut self, fields: Resource<Fields>) -> wasmtime::Result<()> {
        self.table.delete(fields)?;
        Ok(())
    }
}
