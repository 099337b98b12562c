//! `flowhost:flow/secrets`: named values that the host keeps encrypted.
//!
//! Both are reads, told from the journal when the flow is run again. The journal never holds a value: a placeholder is worked
//! out anew, and of a value that was read the journal has what the record had, sealed.

use flowhost_engine::{Call, Outcome, State, WholeState};
use flowhost_model::RecordId;
use serde::{Deserialize, Serialize};
use wasmtime::component::Linker;

use super::asking;
use super::bindings::flowhost::flow::secrets;
use super::refusal::{NAME_BYTES, Told, or_refuse, shown};
use crate::capability::Capability;
use crate::execution::Live;
use crate::host::Host;
use crate::secret::{Refusal, Sealed, placeholder};

/// The capability `secrets`.
pub(super) struct SecretsCapability;

impl Capability for SecretsCapability {
    fn interfaces(&self) -> &[&str] {
        &["flowhost:flow/secrets"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        secrets::add_to_linker::<_, WholeState>(linker, |state| state)
    }
}

/// A value that a flow was told, as the journal has it.
#[derive(Serialize, Deserialize)]
struct Value {
    record: RecordId,
    #[serde(flatten)]
    sealed: Sealed,
}

/// Refuses what is too long for a name: no secret has it.
fn fits_name(name: &str) -> Told<()> {
    if name.len() > NAME_BYTES { Err(Refusal::NotFound(shown(name)).into()) } else { Ok(()) }
}

/// Whether the flow may use the secret, and whether it has a value.
fn check(host: &Host, live: &Live, name: &str) -> Result<(), Refusal> {
    host.secrets().find(&host.acting(live), name)?.value().map(drop)
}

fn read(host: &Host, live: &Live, name: &str) -> Result<(Value, String), Refusal> {
    let secret = host.secrets().find(&host.acting(live), name)?;
    if !secret.is_readable {
        return Err(Refusal::NotReadable(name.to_owned()));
    }
    let value = secret.value()?.to_owned();
    let not_found = || Refusal::NotFound(name.to_owned());
    let sealed = secret.sealed().cloned().ok_or_else(not_found)?;
    Ok((Value { record: secret.id, sealed }, value))
}

impl secrets::Host for State {
    fn placeholder(&mut self, name: String) -> wasmtime::Result<Told<String>> {
        or_refuse!(fits_name(&name));
        let call = Call::new("secrets.placeholder", &name);
        let (host, live) = asking(self)?;
        let told: Told<()> = match self.replay(&call)? {
            Some(told) => told,
            None => {
                let told = check(&host, &live, &name).map_err(Into::into);
                self.record(call, &told)?;
                told
            }
        };
        Ok(told.map(|()| placeholder(&live.seed, &name)))
    }

    fn get(&mut self, name: String) -> wasmtime::Result<Told<String>> {
        or_refuse!(fits_name(&name));
        let call = Call::new("secrets.get", &name);
        let (host, live) = asking(self)?;
        let told: Option<Told<Value>> = self.replay(&call)?;
        match told {
            Some(Ok(Value { record, sealed })) => match host.secrets().keys().open(record, &sealed) {
                Ok(value) => Ok(Ok(value.to_string())),
                Err(reason) => {
                    let reason = format!("the flow was told the value of the secret `{name}`: {reason}");
                    Err(self.end(Outcome::JournalDamaged(reason)))
                }
            },
            Some(Err(refused)) => Ok(Err(refused)),
            None => {
                let (told, value): (Told<Value>, Told<String>) = match read(&host, &live, &name) {
                    Ok((kept, value)) => (Ok(kept), Ok(value)),
                    Err(refused) => {
                        let refused = super::bindings::flowhost::flow::types::HostError::from(refused);
                        (Err(refused.clone()), Err(refused))
                    }
                };
                self.record(call, &told)?;
                Ok(value)
            }
        }
    }
}
