//! The examples, on the requests that lie beside them.

use data_encoding::BASE64;
use flowhost_tests::{Answer, Host, Setup, Webhook, workspace_file};
use serde_json::{Value, json};

/// Sends what lies in the example's folder: a body, and headers in the form that curl's `-H @FILE` takes.
fn send(host: &Host, webhook: &Webhook, body: &str, headers: Option<&str>) -> Answer {
    let mut request = host.post(webhook.path(), workspace_file(&format!("examples/{body}")));
    if let Some(headers) = headers {
        let headers = String::from_utf8(workspace_file(&format!("examples/{headers}"))).unwrap();
        for header in headers.lines() {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
    }
    request.send()
}

#[test]
fn hello_greets() {
    let host = Host::shared();
    let webhook = host.webhook("example-hello", "hello");
    let greeting = |answer: Answer| answer.ok()["output_value"].clone();
    assert_eq!(greeting(send(host, &webhook, "hello/requests/hello.json", None)), json!({ "greeting": "Hello, Ada!" }));
    assert_eq!(greeting(host.get(webhook.path()).send()), json!({ "greeting": "Hello, world!" }));
    let query = format!("{}?name=Grace", webhook.path());
    let answer = host.post(&query, r#"{"name":"Ada"}"#).send();
    let id = answer.header("flowhost-execution-id").unwrap().to_owned();
    assert_eq!(greeting(answer), json!({ "greeting": "Hello, Grace!" }));
    assert_eq!(host.log_of(&id)[0]["message"], "greeting Grace");
}

#[test]
fn signup_takes_a_signup_and_names_the_field_that_is_missing() {
    let host = Host::shared();
    let webhook = host.webhook("example-signup", "signup");
    let execution = send(host, &webhook, "signup/requests/signup.json", None).ok();
    let entry = json!({
        "email": "ada.lovelace@example.org",
        "name": "Ada Lovelace",
        "topics": ["releases", "events"],
        "greeting": "Welcome, Ada Lovelace! We will write to ada.lovelace@example.org.",
    });
    assert_eq!(execution["output_value"], entry);
    let log = host.log_of(execution["id"].as_str().unwrap());
    assert_eq!(log[0]["fields"], json!({ "email": "ada.lovelace@example.org", "topics": ["releases", "events"] }));

    let problem = send(host, &webhook, "signup/requests/no-email.json", None).problem(422, "flow.invalid-input");
    assert!(problem["detail"].as_str().unwrap().contains("email"), "{problem}");
    let form = host.post(webhook.path(), "email=a%40b.org&name=A&topics=jobs");
    let execution = form.header("Content-Type", "application/x-www-form-urlencoded").send().ok();
    assert_eq!(execution["output_value"]["topics"], json!(["jobs"]));
}

#[test]
fn github_push_sums_up_a_delivery() {
    let host = Host::shared();
    let webhook = host.webhook("example-github", "github-push");
    let deliver = |event: &str| {
        let [body, headers] = ["json", "headers"].map(|kind| format!("github-push/requests/{event}.{kind}"));
        send(host, &webhook, &body, Some(&headers)).ok()["output_value"].clone()
    };
    let push = deliver("push");
    assert_eq!(push["event"], "push");
    assert_eq!(push["summary"], "jpetersen pushed 3 commits to main of harbour-works/tide-tables");
    let titles: Vec<&Value> = push["commits"].as_array().unwrap().iter().map(|commit| &commit["title"]).collect();
    let expected =
        ["Read the gauge over HTTP", "Round times to the minute", "Merge pull request #52 from harbour-works/drop-xml"];
    assert_eq!(titles, expected);
    assert_eq!(push["files"]["src/gauge/http.rs"], "added");
    assert_eq!(push["files"].as_object().unwrap().len(), 9);
    let ping = json!({ "hook_id": 534_402_117, "zen": "Responsive is better than fast.", "event": "ping" });
    assert_eq!(deliver("ping"), ping);
    let problem = host.post(webhook.path(), "{}").send().problem(422, "flow.invalid-input");
    assert!(problem["detail"].as_str().unwrap().contains("X-GitHub-Event"));

    let json = workspace_file("examples/github-push/requests/push.json");
    let escaped: String = json.iter().map(|byte| format!("%{byte:02X}")).collect();
    let form = host.post(webhook.path(), format!("payload={escaped}")).header("X-GitHub-Event", "push");
    let form = form.header("Content-Type", "application/x-www-form-urlencoded").send().ok();
    assert_eq!(form["output_value"], push, "GitHub sends a form unless told otherwise");
}

#[test]
fn github_push_with_a_secret_takes_what_is_signed() {
    let host = Setup::new().variable("FLOWHOST_SECRET_KEY", &BASE64.encode(&[7; 32])).start();
    let role = json!({ "roles": [{ "role_name": "Developer" }] });
    let webhook = host.webhook_with("signed", "github-push", &role);
    let stranger = host.webhook("signed-without-role", "github-push");
    let deliver = |signature: &str| {
        let request = host.post(webhook.path(), "Hello, World!").header("Content-Type", "text/plain");
        request.header("X-GitHub-Event", "star").header("X-Hub-Signature-256", signature).send()
    };
    let secret = json!({ "name": "github-push", "value": "It's a Secret to Everybody", "is_readable": true });
    host.create("secret", &secret).ok();
    // The example of GitHub's documentation.
    let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(deliver(right).ok()["output_value"]["ignored"], true);
    let problem = deliver(&right.replace('7', "8")).problem(500, "flow.error");
    assert_eq!(problem["detail"], "no delivery of GitHub: its signature is not that of the secret");
    let unread = host.post(stranger.path(), "Hello, World!").header("X-GitHub-Event", "star");
    let unread = unread.header("Content-Type", "text/plain").header("X-Hub-Signature-256", right).send();
    assert!(unread.problem(500, "flow.error")["detail"].as_str().unwrap().contains("may read it"));
}

#[test]
fn order_form_prices_an_order() {
    let host = Host::shared();
    let webhook = host.webhook("example-order", "order-form");
    let form = |form: &[u8], accept: &str| {
        let request = host.post(webhook.path(), form).header("Accept", accept);
        request.header("Content-Type", "application/x-www-form-urlencoded").send()
    };
    let order = workspace_file("examples/order-form/requests/order.form");
    let order = form(&order, "application/json").ok()["output_value"].clone();
    let expected = json!({
        "customer": "Ada Lovelace",
        "email": "ada@example.org",
        "product": "spelt",
        "quantity": 4,
        "extras": ["sliced", "gift-wrap"],
        "note": "Ring twice, please – the bell sticks.",
        "subtotal_cents": 2840,
        "discount_cents": 284,
        "total_cents": 2556,
        "total": "25.56 €",
    });
    assert_eq!(order, expected);
    let unknown = b"customer=A&email=a%40b.org&product=rye&quantity=1&voucher=%3Ci%3ENOPE";
    let problem = form(unknown, "*/*").problem(500, "flow.error");
    assert_eq!(problem["detail"], "the voucher `<i>NOPE` is not valid");
    form(b"customer=A&email=a%40b.org&product=cake&quantity=1", "*/*").problem(422, "flow.invalid-input");

    // A browser is shown a page.
    let headers = Some("order-form/requests/order.headers");
    let page = send(host, &webhook, "order-form/requests/order.form", headers);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("<h1>Thank you, Ada Lovelace!</h1>"), "{}", page.text());
    assert!(page.text().contains("4 × spelt (sliced, gift-wrap) for 25.56 €."), "{}", page.text());
    let page = form(unknown, "text/html");
    assert_eq!(page.status, 422);
    assert!(page.text().contains("the voucher `&lt;i&gt;NOPE` is not valid"), "{}", page.text());
}

/// A webhook for an example whose executions start flows and keep settings.
fn webhook_with_role(host: &Host, example: &str) -> Webhook {
    let name = format!("example-{example}");
    host.webhook_with(&name, example, &json!({ "roles": [{ "role_name": "Developer" }] }))
}

#[test]
fn fan_out_counts_texts_side_by_side() {
    let host = Host::shared();
    host.deploy("fan-out-worker");
    let webhook = webhook_with_role(host, "fan-out");
    let execution = send(host, &webhook, "fan-out/requests/texts.json", None).ok();
    let expected = json!({
        "words": 14,
        "most_frequent": [["sea", 3], ["the", 3], ["each", 1], ["fall", 1], ["into", 1]],
        "texts": { "sea": 7, "rain": 7 },
        "failed": { "blank": "the text has no words" },
    });
    assert_eq!(execution["output_value"], expected);
    host.post(webhook.path(), r#"{"texts":{}}"#).send().problem(422, "flow.invalid-input");
    let log = host.log_of(execution["id"].as_str().unwrap());
    assert_eq!(log[0]["fields"]["title"], "blank");
}

#[test]
fn reminder_reminds_after_a_restart() {
    let host = Setup::new().set("unload_ms", 1).start();
    let webhook = webhook_with_role(&host, "reminder");
    let set = |payload: &Value| {
        let id = webhook.call_async(&host, payload);
        host.wait_until(&id, "sleeps", |execution| execution["wake_at"].is_string())
    };
    let of_file = |file: &str| serde_json::from_slice(&workspace_file(&format!("examples/reminder/{file}"))).unwrap();
    let birthday = set(&of_file("requests/birthday.json"));
    assert_eq!(birthday["wake_at"], "2030-12-10T07:00:00.000000+00:00");
    assert_eq!(birthday["status_message"], "reminds at 2030-12-10T07:00:00Z");
    let mut tea: Value = of_file("requests/tea.json");
    tea["in_seconds"] = json!(2);
    let called_off = set(&json!({ "name": "walk", "text": "Walk the dog", "in_seconds": 4 }));
    assert_eq!(host.delete("setting/reminder.walk?by=name&permanently=true").status, 204);
    let tea = set(&tea);
    host.terminate();
    assert!(host.wait().success());
    let host = host.restart();
    let kept = |name: &str| host.read(&format!("setting/reminder.{name}?by=name"));
    let reminded = host.wait_until_ended(tea["id"].as_str().unwrap());
    assert_eq!((reminded.status(), &reminded.outputs()["text"]), ("ENDED_SUCCESS", &json!("The tea is ready")));
    assert!(reminded.outputs()["reminded_at"].as_str() >= reminded.outputs()["due"].as_str());
    assert_eq!(kept("tea").ok()["value"], *reminded.outputs());
    let called_off = host.wait_until_ended(called_off["id"].as_str().unwrap());
    assert_eq!((called_off.status(), &called_off.outputs()["reminded_at"]), ("ENDED_SUCCESS", &Value::Null));
    kept("walk").problem(404, "record.not-found");
    assert_eq!(host.read(&format!("execution/{}", birthday["id"].as_str().unwrap())).ok()["status"], "WAITING");
}

#[test]
fn report_keeps_orders_and_gives_a_table_to_download() {
    let host = Setup::new().start();
    let webhook = webhook_with_role(&host, "report");
    for order in ["bread", "december", "rolls"] {
        send(&host, &webhook, &format!("report/requests/{order}.json"), None).ok();
    }
    let november = format!("{}?month=2026-11", webhook.path());
    let answer = host.get(&november).send();
    let table = "day,customer,product,quantity,price\n\
                 2026-11-22,\"Café \"\"Zur Post\"\", Graz\",rye,12,46.80\n\
                 2026-11-22,Ada Lovelace,rolls,30,21.00\n\
                 total,,,,67.80\n";
    assert_eq!((answer.status, answer.text()), (200, table));
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"orders-2026-11.csv\""));
    // The file stays, and people find it.
    let kept = host.get("/api/latest/file/reports%2F2026-11.csv/content?by=name").as_operator().send();
    assert_eq!(kept.text(), table);
    host.get(&format!("{}?month=never", webhook.path())).send().problem(422, "flow.invalid-input");
}

#[test]
fn the_settings_beside_the_examples_make_their_webhooks() {
    let host = Setup::new().start();
    host.user("kevin");
    for (example, webhook, payload) in [
        ("hello", "my-webhook", r#"{"key":"my-secret-api-key"}"#),
        ("signup", "signup", r#"{"key":"my-secret-api-key","email":"a@b.org","name":"A"}"#),
    ] {
        host.deploy(example);
        let setting = workspace_file(&format!("examples/{example}/setting.yaml"));
        host.set(&format!("client.webhook.{webhook}"), setting).ok();
        host.post(&format!("/api/1/webhook/default/{webhook}"), payload).send().ok();
        host.post(&format!("/api/1/webhook/default/{webhook}"), "{}").send().problem(401, "webhook.unauthorized");
    }
}
