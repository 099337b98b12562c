//! All secrets, opened, in memory: calls of flows make no query, and masking knows every value.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use flowhost_engine::Mask;
use flowhost_model::{Execution, Operation, RawValue, Record, RecordId, RecordType, Secret};
use flowhost_store::StoredRecord;
use zeroize::Zeroizing;

use super::mask::Finder;
use super::{HostPattern, Sealed, SealedWithout, SecretKeys};
use crate::identity::Identity;
use crate::problem::Problem;

/// The secrets of a host, with the keys that open them.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    keys: SecretKeys,
    vault: ArcSwap<Vault>,
}

/// The secrets as they stand. Never changed: a record's change makes a new one.
#[derive(Debug, Default)]
struct Vault {
    known: HashMap<RecordId, Arc<Known>>,
    /// Those that were deleted: they cannot be used, and they are masked all the same.
    gone: HashSet<RecordId>,
    finder: Finder,
}

/// A secret.
pub(crate) struct Known {
    pub(crate) id: RecordId,
    pub(crate) name: String,
    pub(crate) is_readable: bool,
    project_id: Option<RecordId>,
    hosts: Vec<HostPattern>,
    sealed: Option<Sealed>,
    value: Result<Zeroizing<String>, Closed>,
}

/// Why a secret has no value to give.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("it has no value yet; `flowhost secret set` gives it one")]
    NotSet,
    #[error(transparent)]
    Sealed(#[from] SealedWithout),
}

/// Why a flow is not given a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no secret `{0}` that this execution may read")]
    NotFound(String),
    #[error("flows may not read the secret `{0}`; use a placeholder, or set `is_readable`")]
    NotReadable(String),
    #[error("the secret `{name}` may not be sent to {host}; add it to the secret's `hosts` if it should be")]
    NotAllowed { name: String, host: String },
    #[error("the secret `{name}` cannot be used: {reason}")]
    Unavailable { name: String, reason: String },
}

impl Refusal {
    /// The stable name.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "secrets.not-found",
            Self::NotReadable(_) => "secrets.not-readable",
            Self::NotAllowed { .. } => "secrets.not-allowed",
            Self::Unavailable { .. } => "secrets.unavailable",
        }
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Known {
    fn new(stored: StoredRecord, keys: &SecretKeys) -> Result<Self, Problem> {
        let Record { meta, body } = stored.into_record::<Secret>()?;
        let sealed = body.key_id.zip(body.sealed).map(|(key_id, sealed)| Sealed { key_id, sealed });
        let value = match &sealed {
            Some(sealed) => keys.open(meta.id, sealed).map_err(Closed::Sealed),
            None => Err(Closed::NotSet),
        };
        // What was written was checked; a pattern that another version of this program took allows nothing here.
        let hosts = body.hosts.iter().flatten().filter_map(|host| HostPattern::parse(host).ok()).collect();
        Ok(Self {
            id: meta.id,
            name: meta.name,
            is_readable: body.is_readable.unwrap_or(false),
            project_id: meta.project_id,
            hosts,
            sealed,
            value,
        })
    }

    fn may_be_used(&self, by: &Identity) -> bool {
        by.access.may(Operation::Read, RecordType::Secret, self.project_id)
    }

    /// The value.
    pub(crate) fn value(&self) -> Result<&str, Refusal> {
        let unavailable =
            |closed: &Closed| Refusal::Unavailable { name: self.name.clone(), reason: closed.to_string() };
        self.value.as_ref().map(|value| value.as_str()).map_err(unavailable)
    }

    /// The value, to be sent to a host in somebody's name.
    pub(super) fn value_for(&self, by: &Identity, host: &str) -> Result<&str, Refusal> {
        if !self.may_be_used(by) {
            return Err(Refusal::NotFound(self.name.clone()));
        }
        if !self.hosts.iter().any(|pattern| pattern.allows(host)) {
            return Err(Refusal::NotAllowed { name: self.name.clone(), host: host.to_owned() });
        }
        self.value()
    }

    /// The value as it is kept.
    pub(crate) fn sealed(&self) -> Option<&Sealed> {
        self.sealed.as_ref()
    }
}

impl Secrets {
    /// Opens the secrets of a store.
    pub(crate) fn open(keys: SecretKeys, records: Vec<StoredRecord>) -> Result<Self, Problem> {
        let gone =
            records.iter().filter(|stored| stored.meta.deleted_at.is_some()).map(|stored| stored.meta.id).collect();
        let known =
            records.into_iter().map(|stored| Known::new(stored, &keys).map(|known| (known.id, Arc::new(known))));
        let known: HashMap<_, _> = known.collect::<Result<_, Problem>>()?;
        let count = known.values().filter(|known| matches!(known.value, Err(Closed::Sealed(_)))).count();
        if count > 0 {
            tracing::warn!(
                count,
                "secrets cannot be opened and are neither used nor masked: start the host with the key that sealed them"
            );
        }
        let secrets = Self { keys, vault: ArcSwap::default() };
        secrets.replace(known, gone);
        Ok(secrets)
    }

    fn replace(&self, known: HashMap<RecordId, Arc<Known>>, gone: HashSet<RecordId>) {
        let values = known.values().filter_map(|known| known.value.as_ref().ok());
        let finder = Finder::new(values.map(|value| value.as_str()));
        self.vault.store(Arc::new(Vault { known, gone, finder }));
    }

    /// Takes in a record that was written.
    pub(crate) fn apply(&self, stored: StoredRecord) -> Result<(), Problem> {
        let vault = self.vault.load();
        let (mut known, mut gone) = (vault.known.clone(), vault.gone.clone());
        if stored.meta.deleted_at.is_some() {
            gone.insert(stored.meta.id);
        } else {
            gone.remove(&stored.meta.id);
        }
        let one = Known::new(stored, &self.keys)?;
        known.insert(one.id, Arc::new(one));
        self.replace(known, gone);
        Ok(())
    }

    /// Takes a secret that was deleted out of use.
    pub(crate) fn forget(&self, id: RecordId) {
        let vault = self.vault.load();
        if vault.known.contains_key(&id) {
            let mut gone = vault.gone.clone();
            gone.insert(id);
            self.replace(vault.known.clone(), gone);
        }
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &SecretKeys {
        &self.keys
    }

    /// The secret of this name that somebody may use.
    pub(crate) fn find(&self, by: &Identity, name: &str) -> Result<Arc<Known>, Refusal> {
        let found = self.usable().into_iter().find(|known| known.name == name && known.may_be_used(by));
        found.ok_or_else(|| Refusal::NotFound(name.to_owned()))
    }

    /// All that were not deleted.
    pub(super) fn usable(&self) -> Vec<Arc<Known>> {
        let vault = self.vault.load();
        vault.known.values().filter(|known| !vault.gone.contains(&known.id)).cloned().collect()
    }

    /// Takes the values out of all that a flow says in its execution.
    pub(crate) fn mask_execution(&self, execution: &mut Execution) {
        self.vault.load().finder.mask_execution(execution);
    }
}

impl Mask for Secrets {
    fn mask(&self, text: String) -> String {
        let masked = match self.vault.load().finder.mask(&text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(masked) => Some(masked),
        };
        masked.unwrap_or(text)
    }

    fn mask_json(&self, json: Box<RawValue>) -> Box<RawValue> {
        self.vault.load().finder.mask_json(json.get()).unwrap_or(json)
    }
}
