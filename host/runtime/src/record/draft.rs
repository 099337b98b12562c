//! A record as a request wants it, checked against the type's definition.

use flowhost_model::{
    Access, Home, Meta, Property, RecordId, RecordType, SCHEMA_VERSION, Timestamp, TypeDefinition, normalize_name,
    refuse_look_alikes,
};
use flowhost_store::FileContent;
use serde_json::{Map, Value};

use crate::problem::{Code, Problem};
use crate::setting::WEBHOOK_PREFIX;

/// A record before it is written.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) definition: &'static TypeDefinition,
    pub(crate) meta: Meta,
    /// What the type keeps: the stored properties, and what the host keeps beside them.
    pub(crate) body: Map<String, Value>,
    /// What is written and never read back; the type's hook makes something of it.
    pub(crate) secrets: Map<String, Value>,
    /// What becomes of a file's bytes, which are not part of the body.
    pub(crate) content: Option<FileContent>,
    /// Names that stand for ids, by the property that has the id.
    pub(crate) names: Vec<(&'static str, Option<String>)>,
    pub(crate) commit_message: Option<String>,
    /// The properties that the request set.
    pub(crate) touched: Vec<&'static str>,
}

/// A refused value: where, and why.
pub(crate) fn refuse(place: &str, reason: impl std::fmt::Display) -> Problem {
    Problem::new(Code::RecordInvalid, format!("`{place}`: {reason}"))
}

impl Draft {
    /// A new record without any members, made at the time `now`.
    pub(crate) fn new(definition: &'static TypeDefinition, by: RecordId, now: Timestamp) -> Self {
        let meta = Meta {
            id: RecordId::new(),
            name: String::new(),
            description: None,
            project_id: None,
            bundle_id: None,
            is_readonly: false,
            created_at: now,
            created_by: Some(by),
            modified_at: now,
            modified_by: Some(by),
            deleted_at: None,
            deleted_by: None,
        };
        Self::of(definition, meta, Map::new())
    }

    /// A record as it is kept.
    pub(crate) fn of(definition: &'static TypeDefinition, meta: Meta, body: Map<String, Value>) -> Self {
        let (secrets, names, touched) = Default::default();
        Self { definition, meta, body, secrets, content: None, names, commit_message: None, touched }
    }

    /// Takes the members of a request. All of them, or none with the place and the reason.
    pub(crate) fn apply(
        &mut self,
        members: Map<String, Value>,
        current: Option<&Map<String, Value>>,
    ) -> Result<(), Problem> {
        for (name, value) in members {
            let property = self.definition.property(&name).ok_or_else(|| self.unknown(&name))?;
            if property.access == Access::ReadOnly {
                // Whoever sends back what was read changes nothing.
                let held = current.and_then(|current| current.get(&name));
                if !held.is_some_and(|held| is_reading_of(property, &value, held)) {
                    return Err(refuse(&name, "is set by the host and cannot be written"));
                }
                continue;
            }
            if !value.is_null() {
                if let Some(reason) = property.kind.refusal(&value) {
                    return Err(refuse(&name, reason));
                }
            } else if !property.is_optional {
                return Err(refuse(&name, format!("must be {}, not null", property.kind.expectation())));
            }
            self.set(property, value)?;
            self.touched.push(property.name);
        }
        if self.meta.name.is_empty() {
            return Err(refuse("name", "is missing"));
        }
        self.settle_home()?;
        for property in self.definition.properties {
            let is_missing = !property.is_optional && !self.body.contains_key(property.name);
            if is_missing && property.access == Access::ReadWrite {
                return Err(refuse(property.name, format!("is missing; it must be {}", property.kind.expectation())));
            }
        }
        Ok(())
    }

    /// A record that is put into a bundle leaves its project, and the other way round; both at once are refused.
    pub(crate) fn settle_home(&mut self) -> Result<(), Problem> {
        if self.meta.project_id.is_none() || self.meta.bundle_id.is_none() {
            return Ok(());
        }
        match (self.touches("project_id"), self.touches("bundle_id")) {
            (false, true) => self.meta.project_id = None,
            (true, false) => self.meta.bundle_id = None,
            _ => {
                let reason = "a record belongs to a project or to a bundle, not to both";
                return Err(refuse("project_id", reason));
            }
        }
        Ok(())
    }

    fn set(&mut self, property: &'static Property, value: Value) -> Result<(), Problem> {
        if let flowhost_model::Kind::NameOf(id_property) = property.kind {
            self.names.push((id_property, value.as_str().map(|name| name.trim().to_owned())));
            return Ok(());
        }
        let id = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        match property.name {
            "name" => {
                let name = normalize_name(value.as_str().unwrap_or_default()).map_err(|error| refuse("name", error))?;
                let is_called = matches!(self.definition.record_type, RecordType::Webhook | RecordType::User)
                    || name.starts_with(WEBHOOK_PREFIX);
                // Callers and people tell these apart by their names.
                if is_called {
                    refuse_look_alikes(&name).map_err(|error| refuse("name", error))?;
                }
                self.meta.name = name.into_owned();
            }
            "description" => self.meta.description = value.as_str().map(str::to_owned),
            "project_id" => self.meta.project_id = id(&value),
            "bundle_id" => self.meta.bundle_id = id(&value),
            "is_readonly" => self.meta.is_readonly = value == Value::Bool(true),
            "commit_message" => self.commit_message = value.as_str().map(str::to_owned),
            "schema_version" => {
                if value.as_str().is_some_and(|version| version != SCHEMA_VERSION) {
                    return Err(refuse("schema_version", format!("only `{SCHEMA_VERSION}` is known")));
                }
            }
            name if property.access == Access::WriteOnly => {
                self.secrets.insert(name.to_owned(), value);
            }
            name => {
                self.body.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }

    /// Whether the request set this property.
    pub(crate) fn touches(&self, property: &str) -> bool {
        self.touched.contains(&property)
    }

    fn unknown(&self, name: &str) -> Problem {
        let path = self.definition.path;
        let reason = match (name, self.definition.home) {
            ("project_id" | "project_name", Home::Workspace | Home::Bundle) => {
                format!("a {path} does not belong to a project")
            }
            ("bundle_id" | "bundle_name", Home::Workspace) => format!("a {path} does not belong to a bundle"),
            ("is_readonly", _) => format!("a {path} cannot be read-only"),
            _ => match self.alike(name) {
                Some(known) => format!("a {path} has no such property; did you mean `{known}`?"),
                None => format!("a {path} has no such property"),
            },
        };
        refuse(name, reason)
    }

    fn alike(&self, name: &str) -> Option<&'static str> {
        let plain = |text: &str| text.to_ascii_lowercase().replace(['_', '-'], "");
        let name = plain(name);
        self.definition.all_properties().map(|property| property.name).find(|known| {
            let known = plain(known);
            known == name || known.trim_start_matches("is") == name || (name.len() > 3 && known.contains(&name))
        })
    }
}

/// Whether a value is what was read, or was read before the property went on by itself: reading is an activity.
fn is_reading_of(property: &Property, value: &Value, held: &Value) -> bool {
    let instant = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    value == held
        || (property.name == "last_activity"
            && (value.is_null() || instant(value).is_some() && instant(value) < instant(held)))
}

#[cfg(test)]
mod tests {
    use flowhost_model::{RecordType, definition};
    use serde_json::json;

    use super::*;

    fn drafted(record_type: RecordType, members: Value) -> Result<Draft, Problem> {
        let mut draft = Draft::new(definition(record_type), RecordId::new(), Timestamp(0));
        let Value::Object(members) = members else { panic!("an object") };
        draft.apply(members, None)?;
        Ok(draft)
    }

    #[test]
    fn a_request_is_refused_with_the_place_and_the_reason() {
        for (record_type, members, place) in [
            (RecordType::Webhook, json!({"flow_name": "f"}), "`name`"),
            (RecordType::Webhook, json!({"name": "w", "enabled": true}), "did you mean `is_enabled`"),
            (RecordType::Webhook, json!({"name": "w", "is_enabled": "yes"}), "`is_enabled`: must be true or false"),
            (RecordType::Webhook, json!({"name": "w", "url": "/x"}), "`url`: is set by the host"),
            (RecordType::Webhook, json!({"name": "w", "key": "k".repeat(129)}), "`key`: has 129 characters"),
            (RecordType::Webhook, json!({"name": null}), "`name`: must be"),
            (RecordType::Webhook, json!({"name": "w", "schema_version": "99"}), "`schema_version`"),
            (RecordType::User, json!({"name": "u", "project_id": null}), "does not belong to a project"),
            (RecordType::User, json!({"name": "u", "is_readonly": true}), "cannot be read-only"),
            (RecordType::Role, json!({"name": "r"}), "`permissions`: is missing"),
            (
                RecordType::Flow,
                json!({"name": "f", "project_id": RecordId::new(), "bundle_id": RecordId::new()}),
                "not to both",
            ),
        ] {
            let problem = drafted(record_type, members.clone()).unwrap_err();
            assert_eq!(problem.code, Code::RecordInvalid);
            assert!(problem.detail.contains(place), "{members}: {}", problem.detail);
        }
    }

    #[test]
    fn what_is_never_read_back_does_not_get_into_the_body() {
        let draft = drafted(RecordType::Webhook, json!({"name": " w ", "key": "secret", "is_enabled": true})).unwrap();
        assert_eq!(draft.meta.name, "w");
        assert!(!draft.body.contains_key("key"));
        assert_eq!(draft.secrets["key"], "secret");
        assert_eq!(draft.body["is_enabled"], true);
    }
}
