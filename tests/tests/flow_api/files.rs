//! Files as flows read and change them, and as bytes over the API.

use flowhost_model::Timestamp;
use flowhost_tests::scene::{DAY, items, perform, results, text, webhook, webhook_with};
use flowhost_tests::{Answer, Host, Setup, after_every_commit};
use serde_json::{Value, json};

fn read(name: &str) -> Value {
    json!({ "op": "read", "name": name })
}

fn stat(name: &str) -> Value {
    json!({ "op": "stat", "name": name })
}

fn write(name: &str, content: &str) -> Value {
    json!({ "op": "write", "name": name, "text": content })
}

fn fill(name: &str, bytes: u64) -> Value {
    json!({ "op": "write", "name": name, "fill": bytes })
}

fn append(name: &str, content: &str) -> Value {
    json!({ "op": "append", "name": name, "text": content })
}

fn delete(name: &str) -> Value {
    json!({ "op": "delete", "name": name })
}

fn list(prefix: &str) -> Value {
    json!({ "op": "list", "prefix": prefix })
}

fn holds(content: &str) -> Value {
    json!({ "size": content.len(), "text": content })
}

/// The address of a file's bytes.
fn content(name: &str) -> String {
    format!("/api/latest/file/{}/content?by=name", name.replace('/', "%2F"))
}

fn download(host: &Host, name: &str) -> Answer {
    host.get(&content(name)).as_operator().send()
}

fn upload(host: &Host, name: &str, bytes: impl AsRef<[u8]>) -> Answer {
    host.request("PUT", &content(name)).body(bytes).as_operator().send()
}

/// A file's record, as it is read by itself.
fn record(host: &Host, name: &str) -> Value {
    host.read(&format!("file/{}?by=name", name.replace('/', "%2F"))).ok()
}

#[test]
fn a_file_is_made_read_replaced_grown_and_deleted() {
    let host = Host::shared();
    let webhook = webhook(host, "files-life", "files");
    let operations = json!([
        stat("life/a.txt"),
        read("life/a.txt"),
        delete("life/a.txt"),
        { "op": "write", "name": "life/a.txt", "text": "one", "type": "text/plain" },
        append("life/a.txt", ", zwö"),
        read("life/a.txt"),
        { "op": "range", "name": "life/a.txt", "offset": 5, "length": 2 },
        { "op": "range", "name": "life/a.txt", "offset": 9, "length": 100 },
        { "op": "range", "name": "life/a.txt", "offset": u64::MAX, "length": u64::MAX },
        write("life/a.txt", ""),
        read("life/a.txt"),
        append("life/b", "new"),
        list("life/"),
        delete("life/a.txt"),
        read("life/a.txt"),
        { "op": "write", "name": "life/b", "base64": "AP8=" },
        read("life/b"),
    ]);
    let missing = json!(["files.not-found"]);
    let expected = json!([
        null,
        missing,
        false,
        null,
        9,
        holds("one, zwö"),
        holds("zw"),
        holds(""),
        holds(""),
        null,
        holds(""),
        3,
        [["life/a.txt", 0], ["life/b", 3]],
        true,
        missing,
        null,
        { "size": 2, "base64": "AP8=" },
    ]);
    let results = perform(host, &webhook, operations);
    for (number, (given, expected)) in results.iter().zip(items(&expected)).enumerate() {
        assert_eq!(given, expected, "operation {number}");
    }
    assert_eq!(results.len(), items(&expected).len());
    let [info] = &perform(host, &webhook, json!([stat("life/b")]))[..] else { panic!("one result") };
    let kept = record(host, "life/b");
    assert_eq!((&info["name"], &info["size"], &info["type"]), (&json!("life/b"), &json!(2), &Value::Null));
    let modified: Timestamp = text(&kept, "modified_at").parse().unwrap();
    assert_eq!(info["modified_us"], modified.as_micros());
    // What flows change by the thousand is not remembered, and what they delete is gone.
    assert_eq!(host.read(&format!("file/{}/history", text(&kept, "id"))).ok(), json!([]));
    assert!(host.all("file?trash=true").iter().all(|file| file["name"] != "life/a.txt"));
}

#[test]
fn a_large_file_is_read_and_written_whole() {
    let host = Setup::new().set("cpu_ms", DAY).start();
    let webhook = webhook(&host, "files", "files");
    let size = (9 << 20) + 7;
    let operations = json!([
        fill("large", size),
        read("large"),
        append("large", "end"),
        { "op": "range", "name": "large", "offset": size - 2, "length": 100 },
        { "op": "range", "name": "large", "offset": 1, "length": u64::MAX },
    ]);
    let expected = json!([null, { "size": size }, size + 3, holds("xxend"), { "size": 4 << 20 }]);
    assert_eq!(json!(perform(&host, &webhook, operations)), expected);
    let answer = download(&host, "large");
    assert_eq!(answer.header("content-length"), Some(&*(size + 3).to_string()));
    assert_eq!(answer.body.len() as u64, size + 3);
    assert!(answer.body.ends_with(b"xxend"));
}

#[test]
fn what_cannot_be_a_file_is_refused_and_the_flow_goes_on() {
    let host = Host::shared();
    let webhook = webhook(host, "files-wrong", "files");
    for name in ["", " ", " blank", "blank ", "\ttab", "a\nb", &"x".repeat(129)] {
        let operations = [read(name), stat(name), write(name, "a"), append(name, "a"), delete(name)];
        for (operation, result) in operations.iter().zip(perform(host, &webhook, json!(operations))) {
            assert_eq!(result, json!(["record.invalid"]), "{operation}");
        }
    }
    let long_type = json!({ "op": "write", "name": "wrong", "text": "", "type": "x".repeat(129) });
    let operations = json!([long_type, stat("wrong"), write(&"é".repeat(128), "a")]);
    assert_eq!(perform(host, &webhook, operations), [json!(["record.invalid"]), json!(null), json!(null)]);
}

#[test]
fn what_is_read_only_is_not_changed() {
    let host = Host::shared();
    let webhook = webhook(host, "files-readonly", "files");
    host.create("file", &json!({ "name": "guarded", "content": "a", "is_readonly": true })).ok();
    let operations = json!([write("guarded", "b"), append("guarded", "b"), delete("guarded"), read("guarded")]);
    let refused = json!(["record.readonly"]);
    assert_eq!(perform(host, &webhook, operations), [refused.clone(), refused.clone(), refused, holds("a")]);
    upload(host, "guarded", "b").problem(409, "record.readonly");
}

#[test]
fn a_file_has_its_largest_size_however_it_is_written() {
    let host = Setup::new().set("file_bytes", 1_000_000).set("cpu_ms", DAY).start();
    let webhook = webhook(&host, "files", "files");
    let refused = json!(["files.too-large"]);
    let operations = json!([
        fill("full", 1_000_001),
        stat("full"),
        fill("full", 1_000_000),
        append("full", "x"),
        append("full", ""),
        // A memory's worth, of which nothing is kept.
        fill("huge", 64 << 20),
        { "op": "flood", "name": "flooded", "fill": 300_000 },
        { "op": "flood", "name": "drops", "fill": 10_000 },
    ]);
    let results = perform(&host, &webhook, operations);
    let code = "files.too-large";
    let expected = json!([refused, null, null, refused, 1_000_000, refused, [900_000, code], [1_000_000, code],]);
    assert_eq!(json!(results), expected);
    upload(&host, "full", vec![b'x'; 1_000_001]).problem(413, "files.too-large");
    upload(&host, "full", vec![b'y'; 1_000_000]).ok();
    host.create("file", &json!({ "name": "huge", "content": "x".repeat(1_000_001) })).problem(413, "files.too-large");
}

#[test]
fn what_is_read_counts_against_the_journal() {
    let host = Setup::new().set("journal_bytes", 100_000).start();
    let webhook = webhook(&host, "files", "files");
    // As it is: no text form of the bytes would fit.
    assert_eq!(perform(&host, &webhook, json!([fill("a", 95_000), read("a")]))[1], json!({ "size": 95_000 }));
    let operations = json!({ "ops": [fill("b", 10_000_000), fill("c", 60_000), read("c"), read("c")] });
    webhook.call(&host, &operations).send().problem(500, "flow.journal-limit");
}

#[test]
fn each_operation_on_a_file_needs_its_permission() {
    const FORBIDDEN: &str = "access.forbidden";
    let host = Host::shared();
    let with = |operations: &[&str]| {
        let role = format!("files-{}", operations.join("-"));
        let permissions: Vec<Value> =
            operations.iter().map(|operation| json!({ "record_type": "FILE", "operation": operation })).collect();
        host.create("role", &json!({ "name": role, "permissions": permissions })).ok();
        let webhook = webhook_with(host, &role, "files", json!({ "roles": [{ "role_name": role }] }));
        let operations = json!([
            read("needs"),
            stat("needs"),
            list("needs"),
            write("needs", "b"),
            append("needs", "c"),
            delete("needs"),
        ]);
        json!(perform(host, &webhook, operations))
    };
    host.create("file", &json!({ "name": "needs", "content": "a" })).ok();
    let no = || json!([FORBIDDEN]);
    let kept = |info: &Value| info["name"] == "needs";
    let results = with(&["READ"]);
    assert!(kept(&results[1]));
    assert_eq!(results[0], holds("a"));
    assert_eq!(results[2], json!([["needs", 1]]));
    assert_eq!([&results[3], &results[4], &results[5]], [&no(), &no(), &no()]);
    let results = with(&["READ", "UPDATE"]);
    assert_eq!([&results[3], &results[4], &results[5]], [&json!(null), &json!(2), &no()]);
    // Without leave to read, a name is taken and that is all.
    let taken = json!(["record.name-taken"]);
    let results = with(&["UPDATE", "DELETE"]);
    assert_eq!(results, json!([no(), no(), no(), taken, taken, no()]));
    assert_eq!(with(&["READ", "DELETE"])[5], true);
    // Neither is there one any more.
    let results = with(&["CREATE"]);
    assert_eq!(results, json!([no(), no(), no(), null, taken, no()]));
}

#[test]
fn a_role_for_a_project_reaches_the_files_of_that_project_only() {
    let host = Host::shared();
    let [own, _] = ["files-own", "files-other"].map(|name| {
        let project = host.create("project", &json!({ "name": name })).ok();
        host.create("file", &json!({ "name": name, "content": "secret", "project_id": project["id"] })).ok();
        project
    });
    let permissions = json!([{ "project_id": own["id"], "record_type": "FILE" }]);
    host.create("role", &json!({ "name": "files-reach", "permissions": permissions })).ok();
    let webhook = webhook_with(host, "files-reach", "files", json!({ "roles": [{ "role_name": "files-reach" }] }));
    let operations = json!([
        list("files-o"),
        append("files-own", "!"),
        read("files-other"),
        stat("files-other"),
        delete("files-other"),
        write("files-other", "mine"),
        append("files-other", "mine"),
    ]);
    let taken = json!(["record.name-taken"]);
    let expected = json!([[["files-own", 6]], 7, ["files.not-found"], null, false, taken, taken]);
    assert_eq!(json!(perform(host, &webhook, operations)), expected);
    assert_eq!(record(host, "files-other")["content"], "secret");
}

#[test]
fn a_file_is_written_once_however_often_the_host_dies() {
    let host = Host::start();
    let webhook = webhook(&host, "files", "files");
    let names = |commits: u64| ["log", "copy"].map(|name| format!("{name}-{commits}"));
    let call = |host: &Host, commits| {
        let [log, copy] = names(commits);
        let mut operations: Vec<Value> = (0..4).map(|number| append(&log, &format!("{number},"))).collect();
        let rest = [read(&log), write(&copy, "whole"), append(&copy, "."), delete(&log), append(&log, "new")];
        operations.extend(rest);
        webhook.call(host, &json!({ "ops": operations })).try_send()
    };
    // Eight changes.
    after_every_commit(host, &webhook, 6, call, |host, commits, ended| {
        let [log, copy] = names(commits);
        let expected = json!([2, 4, 6, 8, holds("0,1,2,3,"), null, 6, true, 3]);
        assert_eq!(json!(results(ended.outputs())), expected, "after {commits} commits");
        assert_eq!(record(host, &copy)["content"], "whole.");
        assert_eq!(record(host, &log)["content"], "new");
    });
}

#[test]
fn bytes_go_up_and_come_down_as_they_are() {
    let host = Host::shared();
    let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    let put = host.request("PUT", &content("api/raw.bin")).header("content-type", "image/x-test; a=b");
    let made = put.body(&bytes).as_operator().send().ok();
    assert_eq!(made["file"]["size"], 200_000);
    assert_eq!(made["file"]["content_type"], "image/x-test; a=b");
    assert_eq!(made["file"]["is_binary"], true);
    let answer = download(host, "api/raw.bin");
    assert_eq!((answer.status, &answer.body), (200, &bytes));
    for (header, value) in [
        ("content-type", "image/x-test; a=b"),
        ("content-length", "200000"),
        ("content-disposition", "attachment"),
        ("content-security-policy", "sandbox"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(header), Some(value), "{header}");
    }
    let head = host.request("HEAD", &content("api/raw.bin")).as_operator().send();
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("200000"), 0));
    // Without a type the former stays.
    upload(host, "api/raw.bin", "text").ok();
    let answer = download(host, "api/raw.bin");
    assert_eq!((answer.header("content-type"), answer.text()), (Some("image/x-test; a=b"), "text"));
    // As it was read, or not at all.
    let tag = answer.header("etag").unwrap().to_owned();
    upload(host, "api/raw.bin", "other").ok();
    let late = host.request("PUT", &content("api/raw.bin")).header("if-match", tag).body("late").as_operator().send();
    late.problem(412, "record.precondition-failed");
    // By its id as well, and only who may.
    let id = text(&record(host, "api/raw.bin"), "id").to_owned();
    let by_id = format!("/api/latest/file/{id}/content");
    assert_eq!(host.get(&by_id).as_operator().send().text(), "other");
    host.get(&by_id).send().problem(401, "access.unauthorized");
    host.request("PUT", &by_id).body("x").send().problem(401, "access.unauthorized");
    host.get("/api/latest/file/none/content?by=name").as_operator().send().problem(404, "record.not-found");
}

#[test]
fn content_in_json_is_what_the_bytes_are() {
    let host = Host::shared();
    let made = host.create("file", &json!({ "name": "json.txt", "content": "ä", "content_type": "text/plain" })).ok();
    let path = format!("file/{}", text(&made, "id"));
    let of = |record: &Value| json!([record["content"], record["is_binary"], record["size"]]);
    assert_eq!(of(&made), json!(["ä", false, 2]));
    assert_eq!(download(host, "json.txt").text(), "ä");
    // Sent back as it was read, and without what a list does not tell, it stays.
    assert_eq!(of(&host.change(&path, &host.read(&path).ok()).ok()), of(&made));
    let listed = host.all("file").into_iter().find(|file| file["name"] == "json.txt").unwrap();
    assert_eq!(of(&listed), json!([null, false, 2]));
    assert_eq!(of(&host.change(&path, &listed).ok()), of(&made));
    // Bytes that are no text are told in base64.
    upload(host, "json.txt", [0, 255]).ok();
    assert_eq!(of(&host.read(&path).ok()), json!(["AP8=", true, 2]));
    assert_eq!(of(&host.change(&path, &json!({ "content": "AAA=" })).ok()), json!(["AAA=", true, 2]));
    let problem = host.change(&path, &json!({ "is_binary": false })).problem(422, "record.invalid");
    assert!(text(&problem, "detail").contains("`is_binary`"));
    let changed = host.change(&path, &json!({ "content": "AAA=", "is_binary": false })).ok();
    assert_eq!(of(&changed), json!(["AAA=", false, 4]));
    host.change(&path, &json!({ "size": 7 })).problem(422, "record.invalid");
    // More than JSON has room for.
    upload(host, "json.txt", vec![b'x'; (1 << 20) + 1]).ok();
    assert_eq!(of(&host.read(&path).ok()), json!([null, false, (1 << 20) + 1]));
    // By its size files are found.
    let filter = "%7B%22field%22:%22size%22,%22op%22:%22gt%22,%22value%22:1048576%7D";
    let large = host.all(&format!("file?filter={filter}"));
    assert!(large.iter().any(|file| file["name"] == "json.txt"));
}

#[test]
fn a_file_in_the_trash_keeps_its_bytes() {
    let host = Host::shared();
    upload(host, "trashed", "bytes").ok();
    let id = text(&record(host, "trashed"), "id").to_owned();
    assert_eq!(host.delete(&format!("file/{id}")).status, 204);
    let webhook = webhook(host, "files-trash", "files");
    assert_eq!(perform(host, &webhook, json!([read("trashed")])), [json!(["files.not-found"])]);
    let by_id = format!("/api/latest/file/{id}/content");
    host.request("PUT", &by_id).body("x").as_operator().send().problem(409, "record.readonly");
    host.request("POST", &format!("/api/latest/file/{id}/action/restore")).as_operator().send().ok();
    assert_eq!(perform(host, &webhook, json!([read("trashed")])), [holds("bytes")]);
}
