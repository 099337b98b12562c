//! What a component must export and may import, checked before it is compiled.

use flowhost_model::bounded_line;
use wasmparser::{Encoding, Parser, Payload};

use crate::error::InvalidComponent;

/// The interface that every flow exports.
pub(crate) const HANDLER: &str = "flowhost:flow/handler";

/// The newest version of the contract that this host knows.
const CONTRACT_VERSION: Version = Version { major: 1, minor: 2 };

/// The packages of WASI that are linked, with every interface they have in version 0.2.
const WASI_PACKAGES: [&str; 6] =
    ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets"];

/// How deep modules and components may be within each other. A composition of components has a handful of levels.
const DEPTH_LIMIT: usize = 100;

/// The longest name or reason of a component's own that is told, in bytes.
const SHOWN_LIMIT: usize = 200;

/// The interfaces that flows may import beside WASI's.
#[derive(Clone, Debug, Default)]
pub struct Contract {
    offered: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u64,
    minor: u64,
}

impl Contract {
    /// Offers an interface, by its name without version: `acme:billing/invoices`.
    pub fn offer(&mut self, interface: &str) {
        self.offered.push(interface.to_owned());
    }

    /// Checks the names at the component's surface. Their types are checked when it is linked.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<(), InvalidComponent> {
        if bytes.is_empty() {
            return Err(InvalidComponent::Empty);
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(InvalidComponent::NotWasm);
        }
        let mut exports_handler = false;
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(|error| malformed(&error))? {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err(InvalidComponent::CoreModule);
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                    depth += 1;
                    if depth > DEPTH_LIMIT {
                        let reason = format!(
                            "its modules and components are within each other deeper than {DEPTH_LIMIT} levels"
                        );
                        return Err(InvalidComponent::Malformed(reason));
                    }
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let name = import.map_err(|error| malformed(&error))?.name.name;
                        if !self.offers(name) {
                            return Err(InvalidComponent::UnknownImport(bounded_line(name, SHOWN_LIMIT)));
                        }
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        exports_handler |= is_handler(export.map_err(|error| malformed(&error))?.name.name);
                    }
                }
                _ => {}
            }
        }
        if exports_handler { Ok(()) } else { Err(InvalidComponent::MissingExport(HANDLER.to_owned())) }
    }

    fn offers(&self, import: &str) -> bool {
        let (interface, version) = split_version(import);
        let package = interface.split('/').next().unwrap_or_default();
        if package.starts_with("wasi:") {
            let is_linked = WASI_PACKAGES.contains(&package) || self.is_offered(interface);
            return is_linked && version == Some(Version { major: 0, minor: 2 });
        }
        if package == "flowhost:flow" {
            // A minor version only adds: what was built for an older one runs, for a newer one may not.
            let known =
                version.is_some_and(|version| version.major == CONTRACT_VERSION.major && version <= CONTRACT_VERSION);
            // An interface of nothing but types needs no implementation.
            return known && (interface == "flowhost:flow/types" || self.is_offered(interface));
        }
        self.is_offered(interface)
    }

    fn is_offered(&self, interface: &str) -> bool {
        self.offered.iter().any(|offered| offered == interface)
    }
}

/// Whether a component that exports this exports a handler that this host can call.
fn is_handler(export: &str) -> bool {
    let (interface, version) = split_version(export);
    interface == HANDLER && version.is_some_and(|version| version.major == CONTRACT_VERSION.major)
}

/// The reason, which may name what the component names.
pub(crate) fn malformed(error: &wasmparser::BinaryReaderError) -> InvalidComponent {
    InvalidComponent::Malformed(bounded_line(error, SHOWN_LIMIT))
}

/// `package/interface` and its version, as far as it has one.
fn split_version(name: &str) -> (&str, Option<Version>) {
    let Some((interface, version)) = name.split_once('@') else {
        return (name, None);
    };
    let mut numbers = version.split(['.', '-']).map(str::parse);
    let version = match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some(Version { major, minor }),
        _ => None,
    };
    (interface, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract() -> Contract {
        let mut contract = Contract::default();
        contract.offer("flowhost:flow/execution");
        contract.offer("wasi:http/outgoing-handler");
        contract
    }

    #[test]
    fn wasi_is_offered_in_its_second_version() {
        assert!(contract().offers("wasi:cli/environment@0.2.6"));
        assert!(contract().offers("wasi:io/poll@0.2.0"));
        assert!(!contract().offers("wasi:cli/environment@0.3.0"));
        assert!(!contract().offers("wasi:nn/graph@0.2.0-rc-2024-10-28"));
        assert!(contract().offers("wasi:http/outgoing-handler@0.2.6"));
        assert!(!contract().offers("wasi:http/outgoing-handler@0.3.0"));
        assert!(!contract().offers("wasi:http/incoming-handler@0.2.6"));
    }

    #[test]
    fn the_contract_is_offered_up_to_its_own_version() {
        assert!(contract().offers("flowhost:flow/types@1.0.0"));
        assert!(contract().offers("flowhost:flow/execution@1.0.3"));
        assert!(contract().offers("flowhost:flow/execution@1.2.0"));
        assert!(!contract().offers("flowhost:flow/execution@1.3.0"));
        assert!(!contract().offers("flowhost:flow/execution@2.0.0"));
        assert!(!contract().offers("flowhost:flow/unknown@1.0.0"));
    }

    #[test]
    fn what_is_no_component_is_named() {
        let check = |bytes: &[u8]| contract().check(bytes).unwrap_err();
        assert_eq!(check(b""), InvalidComponent::Empty);
        assert_eq!(check(b"#!/bin/sh"), InvalidComponent::NotWasm);
        assert_eq!(check(b"\0asm\x01\0\0\0"), InvalidComponent::CoreModule);
        assert_eq!(check(b"\0asm\x0d\0\x01\0"), InvalidComponent::MissingExport(HANDLER.into()));
        assert!(matches!(check(b"\0asm\x0d\0\x01\0\x0b\xff"), InvalidComponent::Malformed(_)));
    }

    #[test]
    fn long_name_of_an_import_is_told_cut() {
        let component =
            wat::parse_str(format!("(component (import \"acme:x/{}\" (func)))", "a".repeat(90_000))).unwrap();
        let InvalidComponent::UnknownImport(shown) = contract().check(&component).unwrap_err() else { panic!() };
        assert!(shown.starts_with("acme:x/aaa") && shown.len() < SHOWN_LIMIT + 10, "{}", shown.len());
    }

    #[test]
    fn component_of_too_many_levels_is_refused() {
        let nested = |levels: usize| {
            let mut component = b"\0asm\x0d\0\x01\0".to_vec();
            for _ in 0..levels {
                let mut outer = b"\0asm\x0d\0\x01\0\x04".to_vec();
                // The section's size, in a form of always five bytes.
                let size = component.len() as u32;
                let byte = |place: u32| ((size >> (7 * place)) & 0x7f) as u8 | if place < 4 { 0x80 } else { 0 };
                outer.extend((0..5).map(byte));
                outer.append(&mut component);
                component = outer;
            }
            contract().check(&component).unwrap_err()
        };
        assert_eq!(nested(DEPTH_LIMIT), InvalidComponent::MissingExport(HANDLER.into()));
        assert!(matches!(nested(DEPTH_LIMIT + 1), InvalidComponent::Malformed(reason) if reason.contains("deeper")));
    }
}
