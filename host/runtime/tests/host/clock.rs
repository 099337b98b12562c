//! What happens when somebody sets the clock of the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use flowhost::model::{Execution, RecordId, RecordType, Status, Timestamp};
use flowhost::{Budget, Clock, Code, Deletion, Host, Limits, ListRequest, Login, NewToken};
use rusqlite::Connection;
use serde_json::{Map, Value, json};

use crate::fixture::{Fixture, component, limits};

/// Far more than anything takes here, and far less than the clock jumps.
const PATIENCE: Duration = Duration::from_secs(60);

const HOUR: i64 = 3600 * 1_000_000;

/// The machine's clock, set by so many microseconds.
#[derive(Debug, Default)]
struct SetClock(AtomicI64);

impl SetClock {
    fn set(&self, by: i64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(Timestamp::now().0 + self.0.load(Ordering::Relaxed))
    }
}

/// A host whose clock can be set and that unloads what waits after `unload`.
async fn host(unload: Duration) -> (Fixture, Arc<SetClock>) {
    let clock = Arc::new(SetClock::default());
    let folder = tempfile::tempdir().unwrap();
    let budget = Budget { handles: 1_000, ..limits().budget };
    let limits = Limits { unload, budget, ..limits() };
    let host = Host::builder().data(folder.path()).limits(limits).clock(clock.clone()).build().await.unwrap();
    for guest in ["nap", "parent", "wait-forever", "messages", "locks", "hello"] {
        host.deploy(guest, component(guest)).await.unwrap();
    }
    (Fixture { host, folder }, clock)
}

async fn until(fixture: &Fixture, id: RecordId, is_so: impl Fn(&Execution) -> bool) -> Execution {
    tokio::time::timeout(PATIENCE, fixture.until(id, is_so)).await.expect("it takes as long as it should")
}

async fn until_ended(fixture: &Fixture, id: RecordId) -> Execution {
    let ended = until(fixture, id, |execution| execution.status.is_ended()).await;
    assert_eq!(ended.status, Status::EndedSuccess, "{:?}", ended.status_message);
    ended
}

fn waits(execution: &Execution) -> bool {
    execution.status == Status::Waiting
}

fn is_unloaded(execution: &Execution) -> bool {
    waits(execution) && execution.wake_at.is_some()
}

/// Waits for so many milliseconds, each in its own way: by the host's interface, by WASI, and for a child that does not end.
fn waiting_for(milliseconds: u64) -> [(&'static str, Value); 3] {
    let child = json!({ "flow": "wait-forever" });
    let wait = json!({ "children": [child], "when": "ALL_ENDED", "timeout_ms": milliseconds, "handle": true });
    [("nap", json!({ "for_ms": milliseconds })), ("nap", json!({ "wasi_ms": milliseconds })), ("parent", wait)]
}

/// Sets the clock while executions wait that unload after `unload`, and checks that they wait as long as they should.
async fn waits_stay_as_long(unload: Duration, by: i64, set_when: fn(&Execution) -> bool) {
    let (fixture, clock) = host(unload).await;
    let whole = Duration::from_secs(3);
    let mut waiting = Vec::new();
    for (flow, input) in waiting_for(whole.as_millis().try_into().unwrap()) {
        let began = Instant::now();
        waiting.push((began, fixture.host.call_async(flow, input).await.unwrap()));
    }
    for (_, id) in &waiting {
        until(&fixture, *id, set_when).await;
    }
    clock.set(by);
    for (began, id) in waiting {
        until_ended(&fixture, id).await;
        assert!(began.elapsed() >= whole, "it waited for {:?} only", began.elapsed());
    }
}

/// Half an hour, in milliseconds: less than the clock is set by.
const HALF_AN_HOUR: u64 = 1_800_000;

/// Asks for an answer with this timeout.
fn asking(timeout_ms: u64) -> Value {
    let send = json!({ "op": "send", "subject": "Really?" });
    json!({ "ops": [send, { "op": "wait", "message": 0, "timeout_ms": timeout_ms }] })
}

fn database(fixture: &Fixture) -> Connection {
    Connection::open(fixture.folder.path().join("flowhost.sqlite3")).unwrap()
}

/// Answers the one message that is open.
async fn answer(fixture: &Fixture) {
    let id: [u8; 16] = database(fixture).query_one("SELECT message FROM open_message", [], |row| row.get(0)).unwrap();
    let (host, id) = (&fixture.host, RecordId::from_bytes(id));
    host.respond_to_message(&host.admin(), id, b"true").await.unwrap();
}

/// Waits until the host has noticed that the clock was set.
async fn until_noticed(fixture: &Fixture) {
    let data = database(fixture);
    let is_noticed = "SELECT EXISTS (SELECT 1 FROM host_value WHERE name = 'clock-shifted-us')";
    while !data.query_one(is_noticed, [], |row| row.get::<_, bool>(0)).unwrap() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn results(ended: &Execution) -> Value {
    let outputs: Value = serde_json::from_str(ended.output_value.get()).unwrap();
    outputs["results"].clone()
}

#[tokio::test]
async fn answer_in_time_is_no_timeout_when_the_clock_is_set() {
    for unload in [LONG, Duration::from_millis(1)] {
        let (fixture, clock) = host(unload).await;
        let id = fixture.host.call_async("messages", asking(HALF_AN_HOUR)).await.unwrap();
        until(&fixture, id, if unload == LONG { waits } else { is_unloaded }).await;
        clock.set(HOUR);
        answer(&fixture).await;
        assert_eq!(results(&until_ended(&fixture, id).await)[1]["ok"], true);
    }
}

#[tokio::test]
async fn child_that_ends_in_time_is_no_timeout_when_the_clock_is_set() {
    for unload in [LONG, Duration::from_millis(1)] {
        let (fixture, clock) = host(unload).await;
        let child = json!({ "flow": "messages", "input": asking(HALF_AN_HOUR) });
        let wait = json!({ "children": [child], "when": "ALL_ENDED", "timeout_ms": HALF_AN_HOUR });
        let id = fixture.host.call_async("parent", wait).await.unwrap();
        until(&fixture, id, if unload == LONG { waits } else { is_unloaded }).await;
        while database(&fixture).query_one("SELECT COUNT(*) FROM open_message", [], |row| row.get::<_, i64>(0)).unwrap()
            == 0
        {
            tokio::task::yield_now().await;
        }
        clock.set(HOUR);
        answer(&fixture).await;
        until_ended(&fixture, id).await;
    }
}

#[tokio::test]
async fn lock_released_in_time_is_no_timeout_when_the_clock_is_set() {
    for unload in [LONG, Duration::from_millis(1)] {
        let (fixture, clock) = host(unload).await;
        let hold = json!({ "ops": [{ "op": "acquire", "name": "a" }, { "op": "sleep", "ms": 86_400_000_u64 }] });
        let holder = fixture.host.call_async("locks", hold).await.unwrap();
        until(&fixture, holder, waits).await;
        let want = json!({ "ops": [{ "op": "acquire", "name": "a", "timeout_ms": HALF_AN_HOUR }] });
        let id = fixture.host.call_async("locks", want).await.unwrap();
        until(&fixture, id, if unload == LONG { waits } else { is_unloaded }).await;
        clock.set(HOUR);
        fixture.cancel(holder).await;
        assert_eq!(results(&until_ended(&fixture, id).await)[0], json!({ "ok": null }));
    }
}

#[tokio::test]
async fn wait_goes_on_with_what_is_left_after_a_restart() {
    for (unload, by) in [(LONG, HOUR), (LONG, -HOUR), (Duration::from_millis(1), HOUR)] {
        let (fixture, clock) = host(unload).await;
        let id = fixture.host.call_async("messages", asking(HALF_AN_HOUR)).await.unwrap();
        until(&fixture, id, if unload == LONG { waits } else { is_unloaded }).await;
        clock.set(by);
        until_noticed(&fixture).await;
        let limits = fixture.host.limits().clone();
        fixture.host.shutdown_within(Duration::ZERO).await;
        let Fixture { folder, .. } = fixture;
        let host = Host::builder().data(folder.path()).limits(limits).clock(clock.clone()).build().await.unwrap();
        let fixture = Fixture { host, folder };
        until(&fixture, id, waits).await;
        answer(&fixture).await;
        assert_eq!(results(&until_ended(&fixture, id).await)[1]["ok"], true);
    }
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn waits_in_memory_stay_as_long_when_the_clock_is_set_forward() {
    waits_stay_as_long(LONG, HOUR, waits).await;
}

#[tokio::test]
async fn waits_in_memory_stay_as_long_when_the_clock_is_set_back() {
    waits_stay_as_long(LONG, -HOUR, waits).await;
}

#[tokio::test]
async fn waits_in_the_store_stay_as_long_when_the_clock_is_set_forward() {
    waits_stay_as_long(Duration::from_millis(1), HOUR, is_unloaded).await;
}

#[tokio::test]
async fn waits_in_the_store_stay_as_long_when_the_clock_is_set_back() {
    waits_stay_as_long(Duration::from_millis(1), -HOUR, is_unloaded).await;
}

// They leave memory when the host has noticed already that the clock was set.
const AFTER_A_WHILE: Duration = Duration::from_millis(1_500);

#[tokio::test]
async fn waits_that_leave_memory_stay_as_long_when_the_clock_was_set_forward() {
    waits_stay_as_long(AFTER_A_WHILE, HOUR, waits).await;
}

#[tokio::test]
async fn waits_that_leave_memory_stay_as_long_when_the_clock_was_set_back() {
    waits_stay_as_long(AFTER_A_WHILE, -HOUR, waits).await;
}

#[tokio::test]
async fn a_sleep_that_begins_after_the_clock_was_set_back_is_not_longer() {
    for unload in [LONG, Duration::from_millis(1)] {
        let (fixture, clock) = host(unload).await;
        for kind in ["for_ms", "wasi_ms"] {
            let id = fixture.host.call_async("nap", json!({ kind: 300, "times": 3 })).await.unwrap();
            until(&fixture, id, waits).await;
            clock.set(-HOUR);
            let ended = until_ended(&fixture, id).await;
            // The flow's clock never goes back.
            let outputs: Value = serde_json::from_str(ended.output_value.get()).unwrap();
            let times = outputs["naps"].as_array().unwrap().iter().flat_map(|nap| [&nap["before"], &nap["after"]]);
            let times: Vec<u64> = times.map(|time| time.as_u64().unwrap()).collect();
            assert!(times.is_sorted(), "{times:?}");
        }
    }
}

#[tokio::test]
async fn a_sleep_until_a_time_follows_the_clock() {
    for unload in [LONG, Duration::from_millis(1)] {
        let (fixture, clock) = host(unload).await;
        let until_time = |from_now: i64| json!({ "until": clock.now().0 + from_now });
        let id = fixture.host.call_async("nap", until_time(HOUR)).await.unwrap();
        until(&fixture, id, waits).await;
        clock.set(HOUR);
        until_ended(&fixture, id).await;

        let id = fixture.host.call_async("nap", until_time(3_000_000)).await.unwrap();
        until(&fixture, id, if unload == LONG { waits } else { is_unloaded }).await;
        clock.set(-HOUR);
        // It would be over by now.
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(4_500) {
            assert!(waits(&fixture.host.execution(id).await.unwrap()));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        clock.set(HOUR);
        until_ended(&fixture, id).await;
    }
}

#[tokio::test]
async fn the_lease_is_held_and_the_host_goes_on() {
    let (fixture, clock) = host(LONG).await;
    let data = Connection::open(fixture.folder.path().join("flowhost.sqlite3")).unwrap();
    for by in [HOUR, -HOUR, -HOUR] {
        clock.set(by);
        let is_held = async {
            loop {
                let until: i64 = data.query_one("SELECT lease_until FROM owner", [], |row| row.get(0)).unwrap();
                let left = until - clock.now().0;
                if (1..=60 * 1_000_000).contains(&left) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        // Sooner than it is extended anyway.
        tokio::time::timeout(Duration::from_secs(5), is_held).await.expect("the lease is held after the clock was set");
        fixture.call("nap", json!({ "for_ms": 1 })).await;
        let id = fixture.host.call_async("nap", json!({ "for_ms": 1 })).await.unwrap();
        until_ended(&fixture, id).await;
    }
}

#[tokio::test]
async fn sessions_outlive_a_clock_that_is_set() {
    let (fixture, clock) = host(LONG).await;
    let host = &fixture.host;
    let user = json!({ "name": "ada", "password": "correct horse battery" });
    let members = user.as_object().unwrap().clone();
    host.create_record(&host.admin(), RecordType::User, members).await.unwrap();
    let login = async || {
        let login = json!({ "user_name": "ada", "password": "correct horse battery" });
        let login: Login = serde_json::from_value(login).unwrap();
        host.login(login, None).await.unwrap().token
    };
    let token = login().await;
    for by in [HOUR, -HOUR, -HOUR, HOUR] {
        clock.set(by);
        host.authenticate(&token).unwrap();
    }
    // What was ended stays so, and who logs in again is let in, whatever the clock says.
    let former = login().await;
    host.logout(&host.authenticate(&former).unwrap()).await.unwrap();
    clock.set(-HOUR);
    assert!(host.authenticate(&former).is_err());
    let next = login().await;
    host.authenticate(&next).unwrap();
    assert!(host.authenticate(&former).is_err());
}

/// The clock of an embedder that is far ahead of the machine's from the start.
async fn host_ahead() -> (Fixture, Arc<SetClock>) {
    let clock = Arc::new(SetClock::default());
    clock.set(10 * HOUR);
    let folder = tempfile::tempdir().unwrap();
    let host = Host::builder().data(folder.path()).limits(limits()).clock(clock.clone()).build().await.unwrap();
    host.deploy("logger", component("logger")).await.unwrap();
    (Fixture { host, folder }, clock)
}

fn members(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

async fn login(host: &Host, password: &str) -> Result<String, Code> {
    let login: Login = serde_json::from_value(json!({ "user_name": "ada", "password": password })).unwrap();
    host.login(login, None).await.map(|session| session.token).map_err(|problem| problem.code)
}

#[tokio::test]
async fn changed_password_ends_sessions_by_the_hosts_clock() {
    let (fixture, clock) = host_ahead().await;
    let (host, admin) = (&fixture.host, fixture.host.admin());
    let user = json!({ "name": "ada", "password": "correct horse battery" });
    let user = host.create_record(&admin, RecordType::User, members(user)).await.unwrap();
    clock.set(1);
    let token = login(host, "correct horse battery").await.unwrap();
    host.authenticate(&token).unwrap();
    clock.set(1);
    let change = members(json!({ "password": "another horse battery" }));
    host.update_record(&admin, RecordType::User, user.id, change, None).await.unwrap();
    assert_eq!(host.authenticate(&token).unwrap_err().code, Code::Unauthorized);
    clock.set(1);
    let session = login(host, "another horse battery").await.unwrap();
    host.authenticate(&session).unwrap();
}

#[tokio::test]
async fn tokens_and_lockouts_end_by_the_hosts_clock() {
    let (fixture, clock) = host_ahead().await;
    let (host, admin) = (&fixture.host, fixture.host.admin());
    let user = json!({ "name": "ada", "password": "correct horse battery" });
    let user = host.create_record(&admin, RecordType::User, members(user)).await.unwrap();
    let until = |from_now: i64| -> NewToken {
        let expires_at = Timestamp(clock.now().0 + from_now);
        serde_json::from_value(json!({ "name": "t", "expires_at": expires_at })).unwrap()
    };
    // By the machine's clock it is hours from its end.
    let past = host.create_token(&admin, user.id, until(-HOUR)).await.unwrap_err();
    assert_eq!(past.code, Code::RecordInvalid);
    let issued = host.create_token(&admin, user.id, until(HOUR)).await.unwrap();
    assert!((clock.now().0 - issued.created_at.0) < HOUR);
    host.authenticate(issued.token.as_deref().unwrap()).unwrap();
    clock.set(2 * HOUR);
    assert_eq!(host.authenticate(issued.token.as_deref().unwrap()).unwrap_err().code, Code::Unauthorized);

    for _ in 0..5 {
        assert_eq!(login(host, "wrong horse battery").await, Err(Code::LoginFailed));
    }
    assert_eq!(login(host, "correct horse battery").await, Err(Code::LockedOut));
    clock.set(HOUR);
    login(host, "correct horse battery").await.unwrap();
}

#[tokio::test]
async fn records_and_logs_have_the_times_of_the_hosts_clock() {
    let (fixture, clock) = host_ahead().await;
    let (host, admin) = (&fixture.host, fixture.host.admin());
    // Far less than the clock is ahead.
    let is_now = |at: &str| (clock.now().0 - at.parse::<Timestamp>().unwrap().0).abs() < HOUR;
    let setting = members(json!({ "name": "s", "value": 1 }));
    let setting = host.create_record(&admin, RecordType::Setting, setting).await.unwrap();
    let at = |members: &Map<String, Value>, name: &str| members[name].as_str().unwrap().to_owned();
    assert!(is_now(&at(&setting.members, "created_at")) && is_now(&at(&setting.members, "modified_at")));
    clock.set(2 * HOUR);
    let change = members(json!({ "value": 2 }));
    let changed = host.update_record(&admin, RecordType::Setting, setting.id, change, None).await.unwrap();
    assert!(is_now(&at(&changed.members, "modified_at")) && !is_now(&at(&changed.members, "created_at")));
    clock.set(2 * HOUR);
    host.delete_record(&admin, RecordType::Setting, setting.id, Deletion::default(), None).await.unwrap();
    let trashed = host.read_record(&admin, RecordType::Setting, setting.id).await.unwrap();
    assert!(is_now(&at(&trashed.members, "deleted_at")));
    let history = host.record_history(&admin, RecordType::Setting, setting.id, ListRequest::default()).await.unwrap();
    let ages: Vec<i64> = history.items.iter().map(|entry| (clock.now().0 - entry.at.0) / HOUR).collect();
    assert_eq!(ages, [0, 2, 4]);

    // What the host made at its start, and what was deployed then.
    for (record_type, property) in [(RecordType::Workspace, "created_at"), (RecordType::Flow, "modified_at")] {
        let made = host.list_records(&admin, record_type, ListRequest::default()).await.unwrap();
        let made: Timestamp = at(&made.items[0].members, property).parse().unwrap();
        assert_eq!((clock.now().0 - made.0) / HOUR, 4);
    }
    let execution = fixture.call("logger", json!(null)).await;
    let lines = fixture.log(execution.id).await;
    assert!(!lines.is_empty() && lines.iter().all(|line| is_now(&line.at.to_string())), "{lines:?}");
}
