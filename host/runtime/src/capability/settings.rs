//! `flowhost:flow/settings`: named JSON values that outlive the execution.
//!
//! Reads are told from the journal when the flow is run again; a change is one transaction with its entry.

use flowhost_engine::{Call, State, WholeState};
use flowhost_model::{Digest, RecordType};
use flowhost_store::StoredRecord;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Linker;

use super::acting::{self, Acting, read};
use super::bindings::flowhost::flow::settings;
use super::refusal::{Told, fits, fits_name, or_refuse, parse, refusal, shown};
use crate::capability::Capability;
use crate::setting::VALUE_LIMIT;

/// The capability `settings`.
pub(super) struct SettingsCapability;

impl Capability for SettingsCapability {
    fn interfaces(&self) -> &[&str] {
        &["flowhost:flow/settings"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        settings::add_to_linker::<_, WholeState>(linker, |state| state)
    }
}

/// What a call means for a setting, and what the flow is told of it.
enum Change {
    None,
    Save(Value),
    Delete,
}

/// Reads a setting, decides what becomes of it, and makes that one step with what the flow is told.
async fn change<P: Send, T: serde::Serialize + serde::de::DeserializeOwned>(
    state: &mut State,
    call: Call,
    name: &str,
    parse: impl FnOnce() -> Told<P>,
    decide: impl FnOnce(Option<Value>, P) -> Told<(T, Change)> + Send,
) -> wasmtime::Result<Told<T>> {
    acting::change(state, call, parse, async move |acting, parsed| {
        let Acting { host, by, .. } = acting;
        let (told, change) = decide(host.setting(by, name).await?, parsed)?;
        let change = match change {
            Change::None => None,
            Change::Save(value) => Some(host.save_setting(by, name, value, acting.project()).await?),
            Change::Delete => host.delete_named(by, RecordType::Setting, name).await?,
        };
        Ok((told, change))
    })
    .await
}

/// What of a value its call shows: a digest, since the value may be secret, as the key of a webhook is.
fn digest(value: &str) -> Digest {
    Digest(Sha256::digest(value).into())
}

/// A value that a flow gave for a setting. `which` says what it is to be.
fn value_of(which: &str, name: &str, json: &str) -> Told<Value> {
    parse(|| format!("{which} of the setting `{name}`"), json, VALUE_LIMIT)
}

/// Refuses a value that is larger than any may be.
fn fits_value(name: &str, json: &str) -> Told<()> {
    fits(|| format!("the value of the setting `{name}`"), json, VALUE_LIMIT)
}

impl settings::Host for State {
    async fn get(&mut self, name: String) -> wasmtime::Result<Told<Option<String>>> {
        or_refuse!(fits_name(&name));
        let call = Call::new("settings.get", &name);
        read(self, call, async move |host, by| Ok(host.setting(by, &name).await?.map(|value| value.to_string()))).await
    }

    async fn exists(&mut self, name: String) -> wasmtime::Result<Told<bool>> {
        or_refuse!(fits_name(&name));
        let call = Call::new("settings.exists", &name);
        read(self, call, async move |host, by| Ok(host.setting(by, &name).await?.is_some())).await
    }

    async fn names(
        &mut self,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Told<Vec<String>>> {
        or_refuse!(fits_name(&prefix).and_then(|()| fits_name(after.as_deref().unwrap_or_default())));
        let call = Call::new("settings.names", &(&prefix, &after, limit));
        read(self, call, async move |host, by| {
            let name = |record: StoredRecord| Ok(record.meta.name);
            Ok(host.named_with(by, RecordType::Setting, &prefix, after, limit, name).await?)
        })
        .await
    }

    async fn save(&mut self, name: String, value: String) -> wasmtime::Result<Told<()>> {
        or_refuse!(fits_name(&name).and_then(|()| fits_value(&name, &value)));
        let call = Call::new("settings.save", &(&name, digest(&value)));
        let parse = || value_of("the value", &name, &value);
        change(self, call, &name, parse, |_, value| Ok(((), Change::Save(value)))).await
    }

    async fn delete(&mut self, name: String) -> wasmtime::Result<Told<bool>> {
        or_refuse!(fits_name(&name));
        let call = Call::new("settings.delete", &name);
        change(
            self,
            call,
            &name,
            || Ok(()),
            |present, ()| match present {
                Some(_) => Ok((true, Change::Delete)),
                None => Ok((false, Change::None)),
            },
        )
        .await
    }

    async fn compare_and_set(
        &mut self,
        name: String,
        expected: Option<String>,
        value: Option<String>,
    ) -> wasmtime::Result<Told<bool>> {
        or_refuse!(fits_name(&name));
        for given in [&expected, &value].into_iter().flatten() {
            or_refuse!(fits_value(&name, given));
        }
        let [from, to] = [&expected, &value].map(|value| value.as_deref().map(digest));
        let call = Call::new("settings.compare-and-set", &(&name, from, to));
        let parse = || {
            let parsed = |which: &str, json: Option<&String>| json.map(|json| value_of(which, &name, json)).transpose();
            Ok((parsed("the expected value", expected.as_ref())?, parsed("the value", value.as_ref())?))
        };
        change(self, call, &name, parse, |present, (expected, value)| {
            if present != expected {
                return Ok((false, Change::None));
            }
            let change = match (value, present) {
                (Some(value), _) => Change::Save(value),
                (None, Some(_)) => Change::Delete,
                (None, None) => Change::None,
            };
            Ok((true, change))
        })
        .await
    }

    async fn increment(&mut self, name: String, by: i64) -> wasmtime::Result<Told<i64>> {
        or_refuse!(fits_name(&name));
        let call = Call::new("settings.increment", &(&name, by));
        change(
            self,
            call,
            &name,
            || Ok(()),
            |present, ()| {
                let present = present.unwrap_or(json!(0));
                let not_a_number = || {
                    let present = shown(&present.to_string());
                    let reason = format!("`{name}` holds {present}, which is not a whole number that can be added to");
                    refusal("settings.not-a-number", reason)
                };
                let sum = present.as_i64().and_then(|present| present.checked_add(by)).ok_or_else(not_a_number)?;
                Ok((sum, Change::Save(json!(sum))))
            },
        )
        .await
    }
}
