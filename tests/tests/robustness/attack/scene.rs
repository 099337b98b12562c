//! The host under attack: what the good caller has there, and the crews that attack each pool.

use std::sync::Arc;

use flowhost_tests::outside::Outside;
use flowhost_tests::scene::text;
use flowhost_tests::{Host, Setup, Webhook, component};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use super::crew::{Crew, Line};
use super::http_2::Http2;

/// The password of the good caller.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Exchanges of one flow that are under way when its attack is on: half of all.
pub(crate) const EXCHANGES: usize = 128;

/// More than one webhook's or user's half of the queue's 10,000 places.
const FLOOD: usize = 5_200;

/// Bytes of a large body, below what a webhook takes.
const LARGE: usize = 900_000;

/// A host with what the good caller and the attackers have.
pub(crate) struct Scene {
    pub(crate) host: Host,
    pub(crate) good: Webhook,
    pub(crate) good_token: String,
    /// A server that never answers.
    pub(crate) outside: Outside,
    /// The token of a user who attacks.
    attacker: String,
    /// The id of an execution with a large input.
    large: String,
}

impl Scene {
    /// The host has the defaults but for three keys. `guest_bytes` is half of the machine's memory otherwise, so that the sum
    /// would depend on the machine. The other two let a flow reach the server that stands for the outside world.
    pub(crate) fn start() -> Self {
        // The attackers' connections are files of this process.
        let files = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum }).unwrap();
        let setup = Setup::new().set("guest_bytes", 128 << 20);
        let host = setup.flag("--set", "http_private=127.0.0.0/8").flag("--set", "http_allow=http://*:*").start();
        let good = host.webhook("good", "hello");
        host.set("good", "own").ok();
        let user = |name: &str, more: Value| {
            let mut members = json!({ "name": name, "roles": [{ "role_name": "Developer" }] });
            members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let record = host.create("user", &members).ok();
            let token = host.create(&format!("user/{}/token", text(&record, "id")), &json!({ "name": "test" })).ok();
            text(&token, "token").to_owned()
        };
        let good_token = user("good", json!({ "password": PASSWORD }));
        let attacker = user("attacker", json!({}));
        // What takes long is done before the attack: compilations, and large records.
        for guest in ["spin", "parent", "http", "respond", "memory-bomb", "big-output"] {
            host.deploy(guest);
        }
        host.deploy_as("attack-schema", schema_component()).ok();
        let description = "a".repeat(64 << 10);
        for number in 0..100 {
            let setting = json!({ "name": format!("attack-{number}"), "value": 1, "description": description });
            host.create("setting", &setting).ok();
        }
        let large = good.call(&host, &json!({ "large": "x".repeat(LARGE) })).send();
        let large = large.header("flowhost-execution-id").unwrap().to_owned();
        Self { good, good_token, attacker, large, outside: Outside::start(), host }
    }

    /// A webhook for a flow of its own.
    fn webhook(&self, name: &str, guest: &str) -> Webhook {
        self.webhook_of(name, &component(guest), &json!({}), &json!({}))
    }

    fn webhook_of(&self, name: &str, component: &[u8], options: &Value, members: &Value) -> Webhook {
        self.host.deploy_as(name, component).ok();
        let flow = self.host.read(&format!("flow/{name}?by=name")).ok();
        self.host.change(&format!("flow/{}", text(&flow, "id")), &json!({ "options": options })).ok();
        let mut record = json!({ "name": name, "flow_name": name, "is_enabled": true });
        record.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        Webhook { record: self.host.create("webhook", &record).ok() }
    }

    /// So many connections from 127.0.`network`.1 that each send a request so many times.
    fn lines(&self, network: u8, count: usize, times: usize, request: &Arc<[u8]>) -> Vec<Line> {
        (0..count).map(|_| Line::new(&self.host, network, 1).times(times, request)).collect()
    }

    fn crew(&self, name: &'static str, network: u8, count: usize, times: usize, request: Vec<u8>) -> Crew {
        Crew::new(name, self.lines(network, count, times, &request.into()))
    }

    fn as_attacker(&self, target: &str) -> Vec<u8> {
        request("GET", target, &[("Authorization", &format!("Bearer {}", self.attacker))], b"")
    }

    pub(crate) fn wrong_keys(&self) -> Crew {
        let members = json!({ "key": "the-key-of-the-webhook" });
        let webhook = self.webhook_of("attack-key", &component("hello"), &json!({}), &members);
        let guess = request("POST", webhook.path(), &[("X-Api-Key", "not-the-key-of-it")], b"");
        self.crew("keys", 2, 4, 50, guess)
    }

    pub(crate) fn paused_calls(&self) -> Crew {
        self.host.deploy_as("attack-paused", component("hello")).ok();
        // A user who is never active.
        self.host.user("away");
        self.host.set("client.webhook.attack-paused", "flow_name: attack-paused\nuser_name: away\nmode: dev").ok();
        let call = request("POST", "/api/latest/webhook/default/attack-paused", &[], b"");
        let lines = self.lines(3, 8, FLOOD / 8, &call.into()).into_iter().map(|line| line.at_once(32));
        Crew::new("paused calls", lines.collect())
    }

    pub(crate) fn accepted_calls(&self) -> Crew {
        let webhook = self.webhook("attack-accepted", "spin");
        let call = request("POST", &format!("{}?async", webhook.path()), &[], b"");
        let lines = self.lines(4, 8, FLOOD / 8, &call.into()).into_iter().map(|line| line.at_once(32));
        Crew::new("accepted calls", lines.collect())
    }

    pub(crate) fn children(&self) -> Crew {
        let roles = json!({ "roles": [{ "role_name": "Developer" }] });
        let webhook = self.webhook_of("attack-children", &component("parent"), &json!({}), &roles);
        self.host.deploy_as("attack-child", component("spin")).ok();
        let children = vec![json!({ "flow": "attack-child", "input": null }); 600];
        let plan = json!({ "children": children, "when": "ALL_ENDED" });
        self.crew("children", 5, 10, 1, post(webhook.path(), &plan))
    }

    pub(crate) fn exchanges(&self) -> Crew {
        let options = json!({ "http_allow": ["http://*:*"] });
        let webhook = self.webhook_of("attack-exchanges", &component("http"), &options, &json!({}));
        let sent = vec![json!({ "url": self.outside.url("/gate") }); 8];
        let plan = json!({ "steps": [{ "send": sent }] });
        self.crew("exchanges", 6, 40, 1, post(webhook.path(), &plan))
    }

    pub(crate) fn written_answers(&self) -> Crew {
        let webhook = self.webhook("attack-written", "respond");
        let plan = json!({ "ops": [
            { "op": "start-body", "content_type": "text/plain" }, { "op": "write-until-refused" },
        ] });
        let lines = self.lines(7, 60, 1, &post(webhook.path(), &plan).into());
        Crew::new("written answers", lines.into_iter().map(Line::deaf).collect())
    }

    pub(crate) fn hungry_guests(&self) -> Crew {
        let webhook = self.webhook("attack-memory", "memory-bomb");
        self.crew("guests' memory", 8, 16, 2, post(webhook.path(), &json!({})))
    }

    pub(crate) fn wrong_logins(&self) -> Crew {
        let login = |name: String| post("/api/latest/auth/login", &json!({ "user_name": name, "password": "wrong" }));
        let line = |network, number| {
            let name = format!("wrong-{network}-{number}");
            Line::new(&self.host, network, 1).times(1, &login(name).into())
        };
        let lines = (0..150).map(|number| line(9, number)).chain((0..40).map(|number| line(10, number)));
        Crew::new("logins", lines.collect())
    }

    pub(crate) fn costly_lists(&self) -> Crew {
        let pattern = format!("%{}b%", "a".repeat(120));
        let term = json!({ "field": "description", "op": "like", "value": pattern });
        let filter = json!({ "or": [term, term, term, term] }).to_string();
        let escaped: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
        self.crew("costly lists", 11, 12, 4, self.as_attacker(&format!("/api/latest/setting?filter={escaped}")))
    }

    pub(crate) fn large_records(&self) -> Crew {
        let read = self.as_attacker(&format!("/api/latest/execution/{}", self.large));
        self.crew("large records", 12, 40, 5, read)
    }

    pub(crate) fn forms(&self) -> Crew {
        let webhook = self.webhook("attack-forms", "hello");
        let part = format!("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{}\r\n", "x".repeat(800));
        let body = format!("{}--b--\r\n", part.repeat(1_000));
        let form = [("Content-Type", "multipart/form-data; boundary=b")];
        self.crew("forms", 13, 16, 4, request("POST", webhook.path(), &form, body.as_bytes()))
    }

    pub(crate) fn schemas(&self) -> Crew {
        let webhook =
            self.webhook_of("attack-schema", &schema_component(), &json!({ "validate_input": true }), &json!({}));
        let items = vec![json!({ "a": 1 }); LARGE / 8];
        self.crew("schemas", 14, 16, 4, post(webhook.path(), &json!(items)))
    }

    pub(crate) fn compilations(&self) -> Crew {
        let line = |number: usize| {
            let target = format!("/api/latest/flow?name=attack-{number}");
            let token = format!("Bearer {}", self.attacker);
            let headers = [("Authorization", token.as_str()), ("Content-Type", "application/wasm")];
            let deploy = request("POST", &target, &headers, &as_component(&format!("attack-{number}")));
            Line::new(&self.host, 15, 1).times(1, &deploy.into())
        };
        Crew::new("compilations", (0..12).map(line).collect())
    }

    pub(crate) fn unfinished_bodies(&self) -> Crew {
        let mut body = post(self.good.path(), &json!("x".repeat(LARGE)));
        body.pop();
        self.crew("bodies", 16, 60, 1, body)
    }

    pub(crate) fn unfinished_bodies_over_http_2(&self) -> Crew {
        let head = |line: Line| {
            let announced = |stream| Http2::post(self.good.path(), LARGE).part_of_body(stream, &[b' '; 1_000]);
            line.http_2(64, Http2::begin(u16::MAX.into()), announced)
        };
        let lines = (0..3).map(|_| head(Line::new(&self.host, 17, 1)));
        Crew::new("bodies over HTTP/2", lines.collect())
    }

    pub(crate) fn untaken_answers(&self) -> Crew {
        let webhook = self.webhook("attack-untaken", "big-output");
        let body = json!({ "bytes": LARGE }).to_string();
        let call = |stream| Http2::post(webhook.path(), body.len()).whole(stream, body.as_bytes());
        let line = |line: Line| line.http_2(64, Http2::begin(0), call);
        Crew::new("answers not taken", (0..8).map(|_| line(Line::new(&self.host, 18, 1))).collect())
    }

    pub(crate) fn idle_connections(&self) -> Crew {
        // So many networks that their shares leave no place at all.
        let lines = (0..25).flat_map(|network| (0..60).map(move |_| Line::new(&self.host, 100 + network, 1)));
        Crew::new("connections", lines.collect())
    }
}

/// The bytes of a request whose connection stays open.
fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: flowhost\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn post(target: &str, payload: &Value) -> Vec<u8> {
    request("POST", target, &[("Content-Type", "application/json")], payload.to_string().as_bytes())
}

/// The component of a flow whose input is checked.
fn schema_component() -> Vec<u8> {
    let schema = json!({ "type": "array", "items": { "type": "object", "required": ["a"] } });
    saying(&json!({ "input_schema": schema }))
}

/// The component of `hello`, which says this about itself.
fn saying(metadata: &Value) -> Vec<u8> {
    fn length(length: usize) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), length);
        while rest >= 0x80 {
            bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        bytes.push(u8::try_from(rest).unwrap());
        bytes
    }
    let (name, mut said) = ("flowhost:flow", component("hello"));
    let section = [&length(name.len()), name.as_bytes(), metadata.to_string().as_bytes()].concat();
    said.push(0);
    said.extend(length(section.len()));
    said.extend(section);
    said
}

/// The component of `hello` with another title, so that it is compiled anew.
pub(crate) fn as_component(title: &str) -> Vec<u8> {
    saying(&json!({ "title": title }))
}
