//! `cargo xtask demo`: the main job, from nothing to answered calls, with every step as one would type it.

mod call;
mod transcript;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use call::{Call, Payload};
use clap::Args;
use transcript::Transcript;

use crate::run::Outcome;
use crate::server::Server;
use crate::workspace::{self, Metadata};
use crate::{guests, host};

/// The client in the addresses of the setting form, as the description of the setting has it.
const WORKSPACE: &str = "myclient";

/// The key that the description of the setting has.
const KEY: &str = "my-secret-api-key";

/// The example flows.
const FLOWS: [&str; 8] =
    ["hello", "signup", "github-push", "order-form", "fan-out", "fan-out-worker", "slack-command", "todo"];

/// How to show it.
#[derive(Args)]
pub(crate) struct Demo {
    /// End after the calls; the exit status is 0 only if every answer was right
    #[arg(long)]
    once: bool,
    /// Where the server listens [default: 127.0.0.1:8080, or a free port with --once]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

/// Builds, starts, deploys, calls.
pub(crate) fn run(demo: &Demo) -> Outcome<()> {
    let start = Instant::now();
    let metadata = Metadata::load()?;
    guests::build(&metadata)?;
    let flowhost = host::build(&metadata, &[])?;
    eprintln!("host and flows are built ({:.0} s)\n", start.elapsed().as_secs_f64());

    // Kept by whoever looks at the demo; a check must not meet what an earlier one left.
    let fresh = demo.once.then(|| tempfile::Builder::new().prefix("flowhost-demo-").tempdir()).transpose()?;
    let data = fresh.as_ref().map_or_else(|| workspace::root().join("flowhost-data/demo"), |it| it.path().join("data"));
    fs::create_dir_all(&data)?;
    let listen = demo.listen.as_deref().unwrap_or(if demo.once { "127.0.0.1:0" } else { "127.0.0.1:8080" });
    let log = data.join("server.log");
    let mut serve = Command::new(&flowhost);
    serve.args(["serve", "--listen", listen, "--workspace", WORKSPACE, "--data"]).arg(&data);
    let mut server = Server::start(&mut serve, &log)?;

    let mut transcript = Transcript::new(&flowhost, &server.url, &data);
    show(&mut transcript)?;
    let (calls, wrong) = transcript.verdict();
    println!(
        "\n── {calls} calls, {} answered right, {wrong} wrong ({:.0} s)",
        calls - wrong,
        start.elapsed().as_secs_f64()
    );
    if wrong > 0 {
        return Err(format!("{wrong} of {calls} answers were wrong; the server's log is {}", log.display()).into());
    }
    if !demo.once {
        transcript.next_things_to_try(&log);
        server.wait()?;
    }
    Ok(())
}

/// Deploys the examples, sets up their webhooks and calls them.
fn show(transcript: &mut Transcript<'_>) -> Outcome<()> {
    transcript.title("an author deploys flows");
    for flow in FLOWS {
        let component = format!("target/guests/{flow}.wasm");
        transcript.flowhost(&["deploy", &component, "--name", flow])?;
    }

    transcript.title("an operator makes webhooks: six as records, three of them for flows that do more than compute…");
    for (webhook, options) in [
        ("hello", &[][..]),
        ("github-push", &["--key", KEY, "--answer", "outputs"]),
        ("order-form", &[]),
        ("fan-out", &["--role", "Developer", "--answer", "outputs"]),
        ("slack-command", &["--role", "Developer", "--key", KEY]),
        ("todo", &["--role", "Developer"]),
    ] {
        let create = ["webhook", "create", webhook, "--flow", webhook, "--enable"];
        if !transcript.create(&[&create[..], options].concat())? {
            transcript.flowhost(&["webhook", "enable", webhook])?;
        }
    }
    transcript.title("…and two as settings, which run with the permissions of the user that they name");
    transcript.create(&["user", "create", "kevin"])?;
    transcript.flowhost(&["setting", "set", "client.webhook.signup", "examples/signup/setting.yaml"])?;
    transcript.flowhost(&["setting", "set", "client.webhook.my-webhook", "examples/hello/setting.yaml"])?;
    transcript.flowhost(&["webhook", "list"])?;

    transcript.title("callers call: a JSON payload, and the whole execution as the answer");
    transcript.call(
        Call::post("/api/latest/webhook/hello/call", Payload::Text(r#"{"name": "Ada"}"#))
            .expect("/status", "ENDED_SUCCESS")
            .expect("/output_value/greeting", "Hello, Ada!"),
    )?;

    transcript.title("the two calls of the setting's description; the flow never sees the key");
    transcript.call(
        Call::post(format!("/api/1/webhook/{WORKSPACE}/my-webhook"), Payload::Text(r#"{"key": "my-secret-api-key"}"#))
            .expect("/status", "ENDED_SUCCESS")
            .expect("/input_value/json", serde_json::json!({}))
            .expect("/output_value/greeting", "Hello, world!"),
    )?;
    let accepted = transcript.call(
        Call::post(
            format!("/api/latest/webhook/{WORKSPACE}/my-webhook?async"),
            Payload::Text(r#"{"key": "my-secret-api-key"}"#),
        )
        .status(202),
    )?;
    transcript.say("the answer's Location leads to the result, without a login");
    let result = transcript.until_ended(&accepted)?;

    transcript.title("a key in the query, and a GET");
    transcript.call(
        Call::get(format!("/api/latest/webhook/{WORKSPACE}/my-webhook?key={KEY}&name=Grace"))
            .expect("/output_value/greeting", "Hello, Grace!"),
    )?;

    transcript.title("a program signs somebody up; the key is in a header");
    transcript.call(
        Call::post(
            format!("/api/latest/webhook/{WORKSPACE}/signup"),
            Payload::File("examples/signup/requests/signup.json"),
        )
        .header("X-Api-Key", KEY)
        .expect("/output_value/email", "ada.lovelace@example.org")
        .expect("/output_value/topics", serde_json::json!(["releases", "events"])),
    )?;

    transcript.title("GitHub delivers a push; this webhook answers with the outputs alone");
    transcript.call(
        Call::post(
            format!("/api/latest/webhook/github-push/call?key={KEY}"),
            Payload::File("examples/github-push/requests/push.json"),
        )
        .headers_of("examples/github-push/requests/push.headers")
        .expect("/event", "push")
        .expect("/summary", "jpetersen pushed 3 commits to main of harbour-works/tide-tables"),
    )?;

    transcript.title("a browser sends an HTML form, and is shown a page");
    transcript.call(
        Call::post("/api/latest/webhook/order-form/call", Payload::File("examples/order-form/requests/order.form"))
            .headers_of("examples/order-form/requests/order.headers")
            .expect_text("4 × spelt (sliced, gift-wrap) for 25.56 €"),
    )?;

    transcript.title("a flow starts others, side by side, and waits for them");
    transcript.call(
        Call::post("/api/latest/webhook/fan-out/call", Payload::File("examples/fan-out/requests/texts.json"))
            .expect("/words", 14)
            .expect("/failed/blank", "the text has no words"),
    )?;

    transcript.title("Slack sends a command; the flow shapes its answer, and would work on where it may run something");
    transcript.call(
        Call::post(
            format!("/api/latest/webhook/slack-command/call?key={KEY}"),
            Payload::File("examples/slack-command/requests/run.form"),
        )
        .headers_of("examples/slack-command/requests/run.headers")
        .expect("/response_type", "ephemeral"),
    )?;
    transcript.say("a page to open in a browser: /api/latest/webhook/todo/call");

    transcript.title("mistakes get clear answers");
    transcript.call(
        Call::post(format!("/api/latest/webhook/{WORKSPACE}/signup"), Payload::Text(r#"{"key": "a guess"}"#))
            .status(401)
            .expect("/code", "webhook.unauthorized"),
    )?;
    transcript.call(
        Call::post(
            format!("/api/latest/webhook/{WORKSPACE}/signup"),
            Payload::File("examples/signup/requests/no-email.json"),
        )
        .header("X-Api-Key", KEY)
        .status(422)
        .expect("/code", "flow.invalid-input")
        .expect("/execution/status", "ENDED_ERROR"),
    )?;

    transcript.title("the operator looks at what is left: a record of every execution");
    transcript.flowhost(&["executions", "list", "--limit", "10"])?;
    transcript.flowhost(&["logs", &result])
}

/// A path for reading: relative to the folder where the person stands, if it is below it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
