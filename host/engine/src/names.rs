//! The names that a component's modules have for their functions.
//!
//! wasmtime copies the name of every frame of a trap, whole, before the host sees it. So a component with names of megabytes
//! is rejected before it is compiled.

use wasmparser::{KnownCustom, Name, Parser, Payload};

use crate::error::InvalidComponent;

/// The longest name of a function, in bytes. Mangled names of deeply generic code reach some kilobytes.
const NAME_BYTES: usize = 64 << 10;

/// Checks the length of every function's name, in all modules of the component.
pub(crate) fn check(component: &[u8]) -> Result<(), InvalidComponent> {
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(|error| InvalidComponent::Malformed(error.to_string()))?;
        let Payload::CustomSection(section) = payload else { continue };
        let KnownCustom::Name(names) = section.as_known() else { continue };
        // A names section that breaks off is used as far as it can be read, here as by wasmtime.
        for names in names.into_iter().map_while(Result::ok) {
            let Name::Function(functions) = names else { continue };
            for function in functions.into_iter().map_while(Result::ok) {
                let size = function.name.len();
                if size > NAME_BYTES {
                    return Err(InvalidComponent::LongName { function: function.index, size, limit: NAME_BYTES });
                }
            }
        }
    }
    Ok(())
}
