//! Lists: filters, orders and pages, compared with what plain Rust makes of the same items.

use std::cmp::Ordering;

use flowhost_model::{
    Comparison, Digest, ExecutionLocation, File, Filter, Flow, Kind, Order, Priority, RecordId, RecordType, Status,
    Timestamp, Webhook, WebhookRef, definition,
};
use serde_json::{Map, Value, json};

use super::{create, execution, flow, replace, row, setting};
use crate::{Error, ExecutionQuery, RecordQuery, Store, StoredRecord, Trash, Write};

/// How many random lists are compared of each kind of item.
const LISTS: usize = 400;

/// A record or an execution, by the names of its properties.
type Item = Map<String, Value>;

/// Random choices that are the same in each run: SplitMix64.
struct Choices(u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(3) > 0).then(|| make(self))
    }
}

/// Whether an item meets a filter.
fn meets(filter: &Filter, item: &Item) -> bool {
    match filter {
        Filter::And(filters) => filters.iter().all(|filter| meets(filter, item)),
        Filter::Or(filters) => filters.iter().any(|filter| meets(filter, item)),
        Filter::Not(inner) => !meets(inner, item),
        Filter::Term { field, kind, op, value } => {
            let own = item.get(*field).unwrap_or(&Value::Null);
            let is_either_null = own.is_null() || value.is_null();
            let order = |value| compare(field, *kind, own, value);
            match op {
                Comparison::Eq => order(value).is_eq(),
                Comparison::Ne => order(value).is_ne(),
                Comparison::Lt => !is_either_null && order(value).is_lt(),
                Comparison::Le => !is_either_null && order(value).is_le(),
                Comparison::Gt => !is_either_null && order(value).is_gt(),
                Comparison::Ge => !is_either_null && order(value).is_ge(),
                Comparison::Like => {
                    let chars = |value: &Value| value.as_str().map(|text| text.chars().collect::<Vec<_>>());
                    chars(own).is_some_and(|text| is_like(&text, &chars(value).unwrap()))
                }
                Comparison::In => value.as_array().unwrap().iter().any(|value| order(value).is_eq()),
                Comparison::IsNull => own.is_null() == value.as_bool().unwrap(),
            }
        }
    }
}

/// The order of two values of a property. Null is the smallest.
fn compare(field: &str, kind: Kind, left: &Value, right: &Value) -> Ordering {
    let number = |value: &Value| match value {
        Value::Null => None,
        Value::Bool(flag) => Some(i128::from(*flag)),
        Value::Number(number) => Some(i128::from(number.as_u64().unwrap())),
        Value::String(text) if kind == Kind::Timestamp => Some(i128::from(text.parse::<Timestamp>().unwrap().0)),
        Value::String(text) => {
            let names = if field == "status" { Status::NAMES } else { Priority::NAMES };
            Some(names.iter().position(|name| name == text).unwrap() as i128)
        }
        _ => unreachable!("{field}: {value}"),
    };
    let id = |value: &Value| value.as_str().map(|text| text.parse::<RecordId>().unwrap());
    match kind {
        _ if matches!(field, "status" | "priority") => number(left).cmp(&number(right)),
        Kind::Text(_) | Kind::LongText | Kind::Enum(_) => left.as_str().cmp(&right.as_str()),
        Kind::Id(_) => id(left).cmp(&id(right)),
        _ => number(left).cmp(&number(right)),
    }
}

fn is_like(text: &[char], pattern: &[char]) -> bool {
    match (text, pattern) {
        (_, []) => text.is_empty(),
        (_, ['%', rest @ ..]) => (0..=text.len()).any(|from| is_like(&text[from..], rest)),
        ([_, text @ ..], ['_', rest @ ..]) => is_like(text, rest),
        ([first, text @ ..], [part, rest @ ..]) => first.eq_ignore_ascii_case(part) && is_like(text, rest),
        ([], _) => false,
    }
}

/// The ids of the items that meet the filter, in order.
fn expected(items: &[Item], filter: Option<&Filter>, order: &[Order]) -> Vec<String> {
    let mut found: Vec<&Item> = items.iter().filter(|item| filter.is_none_or(|filter| meets(filter, item))).collect();
    let directed = |is_descending: bool, order: Ordering| if is_descending { order.reverse() } else { order };
    found.sort_by(|left, right| {
        let mut parts = order.iter().map(|part| {
            let order = compare(part.field, part.kind, &left[part.field], &right[part.field]);
            directed(part.is_descending, order)
        });
        let by_id = compare("id", Kind::Id(None), &left["id"], &right["id"]);
        let by_id = directed(order.last().is_some_and(|part| part.is_descending), by_id);
        parts.find(|order| order.is_ne()).unwrap_or(by_id)
    });
    found.into_iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// A filter of the properties that can be filtered by, with values that the items have, or nearly have.
fn random_filter(choices: &mut Choices, record_type: RecordType, items: &[Item], depth: usize) -> Value {
    let group = if depth > 2 { 9 } else { choices.below(7) };
    match group {
        0 | 1 => {
            let parts: Vec<Value> =
                (0..=choices.below(3)).map(|_| random_filter(choices, record_type, items, depth + 1)).collect();
            if group == 0 { json!({"and": parts}) } else { json!({"or": parts}) }
        }
        2 => json!({"not": random_filter(choices, record_type, items, depth + 1)}),
        _ => random_term(choices, record_type, items),
    }
}

fn random_term(choices: &mut Choices, record_type: RecordType, items: &[Item]) -> Value {
    let (field, kind) = random_field(choices, record_type);
    let is_text = matches!(kind, Kind::Text(_) | Kind::LongText | Kind::Enum(_));
    let ops = ["eq", "ne", "lt", "le", "gt", "ge", "in", "is_null", "like"];
    let op = *choices.one(&ops[..if is_text { 9 } else { 8 }]);
    let value = match op {
        "is_null" => json!(choices.below(2) == 0),
        "in" => (0..choices.below(4)).map(|_| random_value(choices, field, kind, items)).collect(),
        "like" => {
            let text = random_value(choices, field, kind, items);
            let pattern = text.as_str().unwrap().chars().take(100).map(|part| match choices.below(4) {
                0 => '_',
                1 => '%',
                2 => part.to_ascii_uppercase(),
                _ => part,
            });
            let pattern: String = pattern.collect();
            if choices.below(2) == 0 { json!(format!("%{pattern}%")) } else { json!(pattern) }
        }
        "eq" | "ne" if choices.below(4) == 0 => Value::Null,
        _ => random_value(choices, field, kind, items),
    };
    json!({"field": field, "op": op, "value": value})
}

fn random_field(choices: &mut Choices, record_type: RecordType) -> (&'static str, Kind) {
    let definition = definition(record_type);
    let fields: Vec<_> = definition
        .all_properties()
        .filter(|property| Order::parse(property.name, definition).is_ok())
        .map(|property| (property.name, property.kind))
        .collect();
    *choices.one(&fields)
}

fn random_value(choices: &mut Choices, field: &str, kind: Kind, items: &[Item]) -> Value {
    let own = choices.one(items).get(field).cloned().unwrap_or(Value::Null);
    let is_near = choices.below(3) == 0;
    match (kind, own) {
        (Kind::Timestamp, Value::String(text)) if is_near => {
            let at: Timestamp = text.parse().unwrap();
            // Another time zone, or nearly the same instant.
            let near = Timestamp(at.0 + 3_600_000_000).to_string().replace("+00:00", "+01:00");
            json!(*choices.one(&[near, Timestamp(at.0 + 1).to_string(), Timestamp(at.0 - 1).to_string()]))
        }
        (Kind::Id(_), Value::String(text)) if is_near => json!(text.to_uppercase()),
        (Kind::Count, Value::Number(number)) if is_near => {
            json!(*choices.one(&[0, u64::MAX, number.as_u64().unwrap() + 1]))
        }
        (_, Value::Null) => match kind {
            Kind::Bool => json!(choices.below(2) == 0),
            Kind::Count => json!(choices.below(5)),
            Kind::Timestamp => json!(Timestamp(0)),
            Kind::Id(_) => json!(RecordId::from_bytes([choices.below(256) as u8; 16])),
            Kind::Enum(options) => json!(choices.one(options)),
            _ => json!("b"),
        },
        (_, own) => own,
    }
}

fn random_order(choices: &mut Choices, record_type: RecordType) -> Vec<Order> {
    let parts: Vec<String> = (0..choices.below(4))
        .map(|_| format!("{}{}", choices.one(&["", "-"]), random_field(choices, record_type).0))
        .collect();
    if parts.is_empty() { Vec::new() } else { Order::parse(&parts.join(","), definition(record_type)).unwrap() }
}

/// All pages of a list of records, one after the other.
async fn record_ids(store: &dyn Store, record_type: RecordType, query: RecordQuery) -> Vec<String> {
    let (mut seen, mut after) = (Vec::new(), query.after.clone());
    loop {
        let query = RecordQuery { after: after.take(), ..query.clone() };
        let page = store.query_records(record_type, query.clone()).await.unwrap();
        assert!(page.next.is_none() || page.records.len() == query.limit as usize);
        seen.extend(page.records.into_iter().map(|record| record.meta.id.to_string()));
        match page.next {
            Some(next) => after = Some(next),
            None => return seen,
        }
    }
}

/// All pages of a list of executions, one after the other.
async fn execution_ids(store: &dyn Store, query: ExecutionQuery) -> Vec<String> {
    let (mut seen, mut after) = (Vec::new(), query.after.clone());
    loop {
        let query = ExecutionQuery { after: after.take(), ..query.clone() };
        let page = store.query_executions(query.clone()).await.unwrap();
        assert!(page.next.is_none() || page.executions.len() == query.limit as usize);
        seen.extend(page.executions.into_iter().map(|execution| execution.id.to_string()));
        match page.next {
            Some(next) => after = Some(next),
            None => return seen,
        }
    }
}

fn item(record: &StoredRecord) -> Item {
    let Value::Object(mut item) = serde_json::to_value(&record.meta).unwrap() else { unreachable!() };
    let Value::Object(body) = serde_json::from_str(&record.body).unwrap() else { unreachable!() };
    item.extend(body);
    item.insert("is_deleted".to_owned(), json!(record.meta.deleted_at.is_some()));
    for property in definition(record.record_type).all_properties() {
        item.entry(property.name).or_insert(Value::Null);
    }
    item
}

fn text(choices: &mut Choices) -> String {
    (0..=choices.below(4))
        .map(|_| *choices.one(&['a', 'A', 'b', 'Z', 'é', 'É', '%', '_', '"', '\'', '\\', '😀']))
        .collect()
}

fn random_records(choices: &mut Choices, ids: &[RecordId]) -> Vec<StoredRecord> {
    let time = |choices: &mut Choices| Timestamp(choices.below(4) as i64 * 1_000_000);
    let mut records = Vec::new();
    for number in 0..90 {
        let flow_id = *choices.one(ids);
        let webhook = Webhook {
            flow_id,
            is_enabled: choices.maybe(|choices| choices.below(2) == 0),
            is_productive: choices.maybe(|choices| choices.below(2) == 0),
            require_login: None,
            key_digest: None,
            options: None,
            execution_location: choices.maybe(|_| ExecutionLocation::WebhookRecord),
            roles: Vec::new(),
            location_inheritance: choices.maybe(|_| "default".to_owned()),
        };
        let file =
            File { size: choices.below(4) as u64, content_type: choices.maybe(text), is_binary: choices.below(2) == 0 };
        let versions = Flow {
            active_version: choices.maybe(|choices| choices.below(4) as u32),
            digest: choices.maybe(|choices| Digest([choices.below(256) as u8; 32])),
            ..Flow::default()
        };
        let name = format!("{}{}", text(choices), number);
        let new = |record| StoredRecord::from_record::<Webhook>(&record).unwrap();
        let mut record = match number % 3 {
            0 => new(flowhost_model::Record::new(&name, None, webhook, Timestamp::now()).unwrap()),
            1 => StoredRecord::from_record(&flowhost_model::Record::new(&name, None, file, Timestamp::now()).unwrap())
                .unwrap(),
            _ => StoredRecord::from_record(
                &flowhost_model::Record::new(&name, None, versions, Timestamp::now()).unwrap(),
            )
            .unwrap(),
        };
        let meta = &mut record.meta;
        meta.description = choices.maybe(text);
        meta.project_id = choices.maybe(|choices| *choices.one(ids));
        meta.bundle_id = choices.maybe(|choices| *choices.one(ids));
        meta.is_readonly = choices.below(2) == 0;
        (meta.created_at, meta.modified_at) = (time(choices), time(choices));
        (meta.created_by, meta.modified_by) =
            (choices.maybe(|choices| *choices.one(ids)), choices.maybe(|choices| *choices.one(ids)));
        if choices.below(4) == 0 {
            (meta.deleted_at, meta.deleted_by) = (Some(time(choices)), choices.maybe(|choices| *choices.one(ids)));
        }
        records.push(record);
    }
    records
}

/// Random filters and orders over random records give what plain Rust gives, in pages of any size.
pub async fn lists_of_records_are_what_their_filters_say(store: &dyn Store) {
    let mut choices = Choices(1);
    let ids: Vec<RecordId> = (0..4).map(|_| RecordId::new()).collect();
    let records = random_records(&mut choices, &ids);
    let writes = records.iter().map(|record| super::create_stored(record.clone())).collect();
    store.write(writes).await.unwrap();
    let (mut found_some, mut found_all) = (0, 0);
    for number in 0..LISTS {
        let record_type = *choices.one(&[RecordType::Webhook, RecordType::File, RecordType::Flow]);
        let trash = *choices.one(&[Trash::Exclude, Trash::Only, Trash::Include]);
        let in_projects = match choices.below(4) {
            0 => Some(ids[..choices.below(3)].to_vec()),
            _ => None,
        };
        let items: Vec<Item> = records
            .iter()
            .filter(|record| record.record_type == record_type)
            .filter(|record| match trash {
                Trash::Exclude => record.meta.deleted_at.is_none(),
                Trash::Only => record.meta.deleted_at.is_some(),
                Trash::Include => true,
            })
            .filter(|record| {
                let project = record.meta.project_id;
                in_projects.as_ref().is_none_or(|ids| project.is_some_and(|project| ids.contains(&project)))
            })
            .map(item)
            .collect();
        let all: Vec<Item> = records.iter().filter(|record| record.record_type == record_type).map(item).collect();
        let json = random_filter(&mut choices, record_type, &all, 0);
        let filter = Filter::parse(&json, definition(record_type)).unwrap();
        let order = random_order(&mut choices, record_type);
        let by_name = Order::parse("name", definition(record_type)).unwrap();
        let wanted = expected(&items, Some(&filter), if order.is_empty() { &by_name } else { &order });
        found_some += usize::from(!wanted.is_empty());
        found_all += usize::from(wanted.len() == items.len());
        let limit = 1 + choices.below(20) as u32;
        let query = RecordQuery { filter: Some(filter), order, limit, trash, in_projects, ..RecordQuery::default() };
        let found = record_ids(store, record_type, query.clone()).await;
        assert_eq!(found, wanted, "list {number}: {json} {query:?}");
    }
    // Lists that are all empty, or all full, would show nothing.
    assert!(found_some > LISTS / 3 && found_all < LISTS * 2 / 3, "{found_some} {found_all}");
}

/// The same for executions, whose lists are found by other ways.
pub async fn lists_of_executions_are_what_their_filters_say(store: &dyn Store) {
    let mut choices = Choices(2);
    let ids: Vec<RecordId> = (0..4).map(|_| RecordId::new()).collect();
    let now_ms = Timestamp::now().0 / 1000;
    let mut items = Vec::new();
    // At first the times are near those of the ids. Later they are not.
    for skew_us in [1_000, 4_000_000_000, 400_000_000_000] {
        for _ in 0..60 {
            let ms = now_ms - choices.below(100_000_000) as i64;
            let mut bytes = *RecordId::new().as_bytes();
            bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
            let mut execution = execution(*choices.one(&Status::ALL));
            execution.id = RecordId::from_bytes(bytes);
            execution.created_at = Timestamp(ms * 1000 + choices.below(2 * skew_us) as i64 - skew_us as i64);
            execution.flow.id = *choices.one(&ids);
            execution.flow.name = text(&mut choices);
            execution.webhook = choices.maybe(|choices| WebhookRef { id: *choices.one(&ids), name: "hook".to_owned() });
            execution.project_id = choices.maybe(|choices| *choices.one(&ids));
            execution.bundle_id = choices.maybe(|choices| *choices.one(&ids));
            execution.created_by = choices.maybe(|choices| *choices.one(&ids));
            execution.user_id = choices.maybe(|choices| *choices.one(&ids));
            execution.parent_id = choices.maybe(|choices| *choices.one(&ids));
            execution.priority = *choices.one(&Priority::ALL);
            execution.wake_at = choices.maybe(|choices| Timestamp(choices.below(3) as i64));
            execution.queue_wait_us = choices.below(3) as u64;
            execution.run_time_us = choices.below(3) as u64;
            execution.status_message = choices.maybe(text);
            execution.is_productive = choices.below(2) == 0;
            execution.is_durable = choices.below(2) == 0;
            execution.attempt = choices.below(3) as u32;
            execution.started_at = choices.maybe(|choices| Timestamp(choices.below(3) as i64));
            execution.ended_at = execution.status.is_ended().then(|| Timestamp(choices.below(3) as i64));
            let Value::Object(mut item) = serde_json::to_value(&execution).unwrap() else { unreachable!() };
            item.insert("name".to_owned(), json!(execution.flow.name));
            item.insert("flow_id".to_owned(), json!(execution.flow.id));
            item.insert("webhook_id".to_owned(), json!(execution.webhook.as_ref().map(|webhook| webhook.id)));
            item.insert("is_deleted".to_owned(), json!(false));
            for property in definition(RecordType::Execution).all_properties() {
                item.entry(property.name).or_insert(Value::Null);
            }
            items.push(item);
            if execution.status.is_ended() {
                store.end_execution(execution, Vec::new(), false).await.unwrap();
            } else {
                store.insert_execution(row(execution)).await.unwrap();
            }
        }
        compare_executions(store, &mut choices, &items, &ids).await;
    }
}

async fn compare_executions(store: &dyn Store, choices: &mut Choices, items: &[Item], ids: &[RecordId]) {
    let definition = definition(RecordType::Execution);
    let newest_first = Order::parse("-id", definition).unwrap();
    let (mut found_some, mut found_all) = (0, 0);
    for number in 0..LISTS {
        // What indexes serve comes often, and together.
        let json = match choices.below(3) {
            0 => random_filter(choices, RecordType::Execution, items, 0),
            _ => {
                let own = choices.one(items).clone();
                let mut parts = Vec::new();
                for field in
                    ["status", "flow_id", "webhook_id", "parent_id", "project_id", "created_at", "created_at", "id"]
                {
                    if choices.below(3) == 0 && !own[field].is_null() {
                        let op = if field.ends_with("_id") {
                            "eq"
                        } else {
                            *choices.one(&["lt", "ge", "le", "gt", "eq", "ne"])
                        };
                        parts.push(json!({"field": field, "op": op, "value": own[field]}));
                    }
                }
                parts.push(random_filter(choices, RecordType::Execution, items, 1));
                json!({"and": parts})
            }
        };
        let filter = Filter::parse(&json, definition).unwrap();
        let order = if choices.below(2) == 0 { Vec::new() } else { random_order(choices, RecordType::Execution) };
        let in_projects = match choices.below(5) {
            0 => Some(ids[..choices.below(3)].to_vec()),
            _ => None,
        };
        let items: Vec<Item> = items
            .iter()
            .filter(|item| in_projects.as_ref().is_none_or(|ids| ids.iter().any(|id| json!(id) == item["project_id"])))
            .cloned()
            .collect();
        // The order of admission is that of the ids.
        let by_id = |part: &Order| match part.field {
            "created_at" => Order { is_descending: part.is_descending, ..newest_first[0] },
            _ => *part,
        };
        let same: Vec<Order> = if order.is_empty() { newest_first.clone() } else { order.iter().map(by_id).collect() };
        let wanted = expected(&items, Some(&filter), &until_id(&same));
        found_some += usize::from(!wanted.is_empty());
        found_all += usize::from(wanted.len() == items.len());
        let limit = 1 + choices.below(30) as u32;
        let query = ExecutionQuery { filter: Some(filter), order, limit, in_projects, ..ExecutionQuery::default() };
        let found = execution_ids(store, query.clone()).await;
        assert_eq!(found, wanted, "list {number}: {json} {query:?}");
    }
    assert!(found_some > LISTS / 5 && found_all < LISTS * 2 / 3, "{found_some} {found_all}");
}

/// The order up to the id, behind which nothing counts.
fn until_id(order: &[Order]) -> Vec<Order> {
    let end = order.iter().position(|part| part.field == "id").map_or(order.len(), |position| position + 1);
    order[..end].to_vec()
}

/// A comparison with null is false, its opposite true, and `ne` holds for null.
pub async fn null_is_not_compared(store: &dyn Store) {
    let (mut with, without) = (setting("with", 1), setting("without", 1));
    with.meta.description = Some("text".to_owned());
    store.write(vec![create(&with), create(&without)]).await.unwrap();
    let less = json!({"field": "description", "op": "lt", "value": "z"});
    for (filter, names) in [
        (json!({"field": "description", "op": "eq", "value": null}), &["without"][..]),
        (json!({"field": "description", "op": "ne", "value": null}), &["with"]),
        (json!({"field": "description", "op": "ne", "value": "text"}), &["without"]),
        (json!({"field": "description", "op": "ne", "value": "other"}), &["with", "without"]),
        (less.clone(), &["with"]),
        (json!({"not": less}), &["without"]),
        (json!({"not": {"not": less}}), &["with"]),
        (json!({"not": {"field": "description", "op": "like", "value": "T%"}}), &["without"]),
        (json!({"not": {"field": "description", "op": "in", "value": ["text"]}}), &["without"]),
        (json!({"not": {"field": "description", "op": "in", "value": []}}), &["with", "without"]),
        (json!({"not": {"and": [less, {"field": "name", "op": "ne", "value": "x"}]}}), &["without"]),
        (json!({"field": "description", "op": "is_null", "value": true}), &["without"]),
    ] {
        let parsed = Some(Filter::parse(&filter, definition(RecordType::Setting)).unwrap());
        let query = RecordQuery { filter: parsed, ..RecordQuery::default() };
        let page = store.query_records(RecordType::Setting, query).await.unwrap();
        let found: Vec<_> = page.records.iter().map(|record| record.meta.name.as_str()).collect();
        assert_eq!(found, names, "{filter}");
    }
}

/// Text in a filter or a cursor is only ever text.
pub async fn text_in_a_filter_is_not_sql(store: &dyn Store) {
    let name = "x' OR 1=1; DROP TABLE record; --\"?1 $.a";
    store.write(vec![create(&setting(name, 1)), create(&setting("other", 2))]).await.unwrap();
    for op in ["eq", "like"] {
        let json = json!({"field": "name", "op": op, "value": name});
        let filter = Some(Filter::parse(&json, definition(RecordType::Setting)).unwrap());
        let order = Order::parse("-name", definition(RecordType::Setting)).unwrap();
        let query = RecordQuery { filter, order, ..RecordQuery::default() };
        assert_eq!(store.query_records(RecordType::Setting, query).await.unwrap().records.len(), 1);
    }
    let query = RecordQuery { limit: 1, ..RecordQuery::default() };
    assert_eq!(record_ids(store, RecordType::Setting, query).await.len(), 2);
}

/// A cursor goes on only where it came from; anything else is refused.
pub async fn a_foreign_cursor_is_refused(store: &dyn Store) {
    let records = [create(&setting("a", 1)), create(&setting("b", 1)), create(&flow("c")), create(&flow("d"))];
    store.write(records.to_vec()).await.unwrap();
    for _ in 0..3 {
        store.end_execution(execution(Status::EndedSuccess), Vec::new(), false).await.unwrap();
    }
    let page = |record_type, order: &str, after: Option<&str>| {
        let order = if order.is_empty() { Vec::new() } else { Order::parse(order, definition(record_type)).unwrap() };
        let after = after.map(str::to_owned);
        store.query_records(record_type, RecordQuery { order, after, limit: 1, ..RecordQuery::default() })
    };
    let next = page(RecordType::Setting, "", None).await.unwrap().next.unwrap();
    assert!(next.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{next}");
    let second = page(RecordType::Setting, "", Some(&next)).await.unwrap();
    assert_eq!(second.records[0].meta.name, "b");
    assert!(second.next.is_none());

    let executions = |after: String| {
        store.query_executions(ExecutionQuery { after: Some(after), limit: 1, ..ExecutionQuery::default() })
    };
    let query = ExecutionQuery { limit: 1, ..ExecutionQuery::default() };
    let of_executions = store.query_executions(query).await.unwrap().next.unwrap();
    assert!(executions(of_executions.clone()).await.is_ok());
    for foreign in [next.as_str(), "", "x", "W10", "bnVsbA", "é", &of_executions[..of_executions.len() - 2]] {
        let outcome = executions(foreign.to_owned()).await;
        assert!(matches!(outcome, Err(Error::InvalidCursor)), "{foreign}: {outcome:?}");
    }
    for (record_type, order) in [(RecordType::Flow, ""), (RecordType::Setting, "-name"), (RecordType::Setting, "id")] {
        let outcome = page(record_type, order, Some(&next)).await;
        assert!(matches!(outcome, Err(Error::InvalidCursor)), "{record_type} {order}: {outcome:?}");
    }
    // A term of another type's property.
    let filter = Filter::parse(&json!({"field": "email", "value": "x"}), definition(RecordType::User)).unwrap();
    let query = RecordQuery { filter: Some(filter.clone()), ..RecordQuery::default() };
    let outcome = store.query_records(RecordType::Setting, query).await;
    assert!(matches!(outcome, Err(Error::UnknownField("email"))), "{outcome:?}");
    let query = ExecutionQuery { filter: Some(filter), ..ExecutionQuery::default() };
    assert!(matches!(store.query_executions(query).await, Err(Error::UnknownField("email"))));
}

/// A page ends when its records are large, with one at least, and the next goes on.
pub async fn a_page_ends_at_its_bytes(store: &dyn Store) {
    let records: Vec<_> = ["a", "b", "c"].map(|name| setting(name, 1)).into();
    store.write(records.iter().map(create).collect()).await.unwrap();
    let body = StoredRecord::from_record(&records[0]).unwrap().body.len();
    for (page_bytes, expected) in [(1, 1), (body, 1), (body + 1, 2), (3 * body, 3)] {
        let query = RecordQuery { page_bytes: Some(page_bytes), ..RecordQuery::default() };
        let page = store.query_records(RecordType::Setting, query.clone()).await.unwrap();
        assert_eq!((page.records.len(), page.next.is_some()), (expected, expected < 3), "{page_bytes}");
        if expected < 3 {
            let rest =
                store.query_records(RecordType::Setting, RecordQuery { after: page.next, ..query }).await.unwrap();
            assert_eq!(rest.records[0].meta.name, ["a", "b", "c"][expected]);
        }
    }
}

/// A page goes on behind its cursor, whatever was added, changed or removed meanwhile.
pub async fn a_page_goes_on_while_records_change(store: &dyn Store) {
    let records: Vec<_> = ["b", "d", "f", "h"].map(|name| setting(name, 1)).into();
    let revision = store.write(records.iter().map(create).collect()).await.unwrap();
    let query = RecordQuery { limit: 2, ..RecordQuery::default() };
    let first = store.query_records(RecordType::Setting, query.clone()).await.unwrap();
    let mut renamed = records[3].clone();
    renamed.meta.name = "g".to_owned();
    let changes: Vec<Write> = vec![
        super::delete(records[1].meta.id, revision),
        create(&setting("a", 1)),
        create(&setting("e", 1)),
        replace(&renamed, revision),
    ];
    store.write(changes).await.unwrap();
    let rest = RecordQuery { after: first.next, limit: 10, ..RecordQuery::default() };
    let rest = store.query_records(RecordType::Setting, rest).await.unwrap();
    let names: Vec<_> = rest.records.iter().map(|record| record.meta.name.as_str()).collect();
    assert_eq!(names, ["e", "f", "g"]);
    let none = RecordQuery { limit: 0, ..RecordQuery::default() };
    let none = store.query_records(RecordType::Setting, none).await.unwrap();
    assert!(none.records.is_empty() && none.next.is_none());
}
