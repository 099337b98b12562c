//! Headers.

use std::sync::Arc;

use flowhost_engine::State;
use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::component::Resource;

use super::bindings::wasi::http::types::{self, HeaderError};
use crate::capability::drafts::Held;
use crate::outgoing::{HEADER_BYTES, HEADERS, OWN_HEADERS};

/// Headers that a flow makes, or that it got.
pub struct Fields {
    /// Shared by all that are the same and cannot be changed.
    pub(super) map: Arc<HeaderMap>,
    pub(super) is_immutable: bool,
    /// Whether a flow gave more than there may be. Those are not kept, and a request with them is refused.
    pub(super) is_too_large: bool,
    /// What those that a flow makes take of the room for drafts.
    held: Held,
}

impl Fields {
    /// None yet.
    fn new(state: &mut State) -> Self {
        Self { map: Arc::default(), is_immutable: false, is_too_large: false, held: Held::of_drafts(state) }
    }

    /// Headers that a flow got.
    pub(super) fn immutable(state: &mut State, map: Arc<HeaderMap>) -> Self {
        Self { map, is_immutable: true, ..Self::new(state) }
    }

    /// The same headers, which cannot be changed.
    pub(super) fn shared(&self) -> Self {
        let (map, is_too_large) = (self.map.clone(), self.is_too_large);
        Self { map, is_immutable: true, is_too_large, held: self.held.another() }
    }

    /// The same headers, which can be changed by themselves; none where there is no room for them.
    fn copy(&self) -> Self {
        let mut held = self.held.another();
        let is_too_large = self.is_too_large || !held.grow(bytes(&self.map));
        let map = if is_too_large { Arc::default() } else { self.map.clone() };
        Self { map, is_immutable: false, is_too_large, held }
    }

    fn append(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        let size = name.len().saturating_add(value.len());
        if self.is_too_large || self.map.len() >= HEADERS || bytes(&self.map).saturating_add(size) > HEADER_BYTES {
            // The interface has no error for it here.
            self.is_too_large = true;
            return Ok(());
        }
        let name = writable(name)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| HeaderError::InvalidSyntax)?;
        if self.held.grow(size) {
            Arc::make_mut(&mut self.map).append(name, value);
        } else {
            self.is_too_large = true;
        }
        Ok(())
    }

    fn remove(&mut self, name: HeaderName) {
        Arc::make_mut(&mut self.map).remove(name);
        self.held.shrink_to(bytes(&self.map));
    }
}

/// Bytes of names and values.
fn bytes(map: &HeaderMap) -> usize {
    map.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The name of a header that a flow may write.
fn writable(name: &str) -> Result<HeaderName, HeaderError> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::InvalidSyntax)?;
    if OWN_HEADERS.contains(&name.as_str()) { Err(HeaderError::Forbidden) } else { Ok(name) }
}

impl types::HostFields for State {
    fn new(&mut self) -> wasmtime::Result<Resource<Fields>> {
        let fields = Fields::new(self);
        self.push_resource(fields)
    }

    fn from_list(
        &mut self,
        entries: Vec<(String, Vec<u8>)>,
    ) -> wasmtime::Result<Result<Resource<Fields>, HeaderError>> {
        let mut fields = Fields::new(self);
        for (name, value) in &entries {
            if let Err(refused) = fields.append(name, value) {
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
        let mut changed = fields.copy();
        match writable(&name) {
            Ok(name) => changed.remove(name),
            Err(refused) => return Ok(Err(refused)),
        }
        for value in &values {
            if let Err(refused) = changed.append(&name, value) {
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
                fields.remove(name);
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
        Ok(fields.append(&name, &value))
    }

    fn entries(&mut self, fields: Resource<Fields>) -> wasmtime::Result<Vec<(String, Vec<u8>)>> {
        let map = &self.table.get(&fields)?.map;
        Ok(map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect())
    }

    fn clone(&mut self, fields: Resource<Fields>) -> wasmtime::Result<Resource<Fields>> {
        let copy = self.table.get(&fields)?.copy();
        self.push_resource(copy)
    }

    fn drop(&mut self, fields: Resource<Fields>) -> wasmtime::Result<()> {
        self.table.delete(fields)?;
        Ok(())
    }
}
