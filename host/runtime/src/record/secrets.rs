//! Sealing all secrets with the present key.

use flowhost_model::{Operation, Record, RecordType, Secret};
use flowhost_store::{Expected, RecordQuery, Store, StoredRecord, Trash};
use serde::Serialize;

use crate::host::Host;
use crate::identity::Identity;
use crate::problem::{Code, Problem};
use crate::secret::Sealed;

/// What became of the secrets when they were sealed anew.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Resealed {
    /// Names the key that they are sealed with now.
    pub key_id: String,
    /// Those that had been sealed with another key.
    pub resealed: Vec<String>,
    /// Those that the host has no key for: they stay as they are.
    pub unavailable: Vec<String>,
}

/// Every secret, those in the trash as well.
pub(crate) async fn all_secrets(store: &dyn Store) -> Result<Vec<StoredRecord>, Problem> {
    let mut all = Vec::new();
    let mut query = RecordQuery { trash: Trash::Include, ..RecordQuery::default() };
    loop {
        let page = store.query_records(RecordType::Secret, query.clone()).await?;
        all.extend(page.records);
        match page.next {
            None => return Ok(all),
            next => query.after = next,
        }
    }
}

impl Host {
    /// Seals all secrets that the identity may change with the first of the host's keys, those in the trash as well. From
    /// then on they need the other keys no more.
    ///
    /// Problem: `secrets.unavailable` where the host was started without a key.
    pub async fn reseal_secrets(&self, by: &Identity) -> Result<Resealed, Problem> {
        let secrets = self.secrets();
        let without = || Problem::new(Code::SecretsUnavailable, "the host was started without a key for secrets");
        let key_id = secrets.keys().sealing_key_id().ok_or_else(without)?.to_owned();
        let mut told = Resealed { key_id, ..Resealed::default() };
        let _writing = self.writing(by.user_id).await;
        for stored in all_secrets(self.store()).await? {
            if !by.access.may(Operation::Update, RecordType::Secret, stored.meta.project_id) {
                continue;
            }
            let (expected, revision) = (Expected::Revision(stored.revision), stored.revision);
            let mut secret: Record<Secret> = stored.into_record()?;
            let (id, name) = (secret.meta.id, secret.meta.name.clone());
            let Some(key_id) = secret.body.key_id.clone().filter(|key_id| *key_id != told.key_id) else { continue };
            let sealed = Sealed { key_id, sealed: secret.body.sealed.clone().unwrap_or_default() };
            let Some(sealed) = secrets.keys().open(id, &sealed).ok().and_then(|value| secrets.keys().seal(id, &value))
            else {
                told.unavailable.push(name);
                continue;
            };
            secret.body.key_id = Some(sealed.key_id);
            secret.body.sealed = Some(sealed.sealed);
            let record = StoredRecord { revision, ..StoredRecord::from_record(&secret)? };
            self.write_stored(record, expected, Some("sealed with another key".to_owned())).await?;
            told.resealed.push(name);
        }
        Ok(told)
    }
}
