//! A flow finds nothing of other calls and reaches nothing outside of its sandbox.

use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test]
async fn an_instance_is_fresh_however_often_its_place_was_used() {
    let fixture = Fixture::new(&["canary"]).await;
    for number in 0..50 {
        let outputs = fixture.outputs("canary", json!({ "secret": number })).await;
        assert_eq!(outputs, json!({ "calls": 1, "found": null }));
    }
}

#[tokio::test]
async fn files_environment_and_arguments_are_out_of_reach() {
    let fixture = Fixture::new(&["files-env"]).await;
    let outputs = fixture.outputs("files-env", json!(null)).await;
    for attempt in ["read_file", "write_file", "list_root", "list_here"] {
        assert!(outputs[attempt]["refused"].is_string(), "{attempt}: {outputs}");
    }
    assert_eq!(outputs["stdin"], json!({ "granted": "" }));
    assert_eq!((&outputs["environment"], &outputs["arguments"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn sockets_are_out_of_reach() {
    let fixture = Fixture::new(&["sockets"]).await;
    let outputs = fixture.outputs("sockets", json!(null)).await;
    for attempt in ["tcp_connect", "tcp_listen", "udp_bind", "resolve"] {
        assert!(outputs[attempt]["refused"].is_string(), "{attempt}: {outputs}");
    }
}

#[tokio::test]
async fn clocks_stand_still_and_randomness_is_each_executions_own() {
    let fixture = Fixture::new(&["clock-random"]).await;
    let first = fixture.outputs("clock-random", json!(null)).await;
    let second = fixture.outputs("clock-random", json!(null)).await;
    for outputs in [&first, &second] {
        assert_eq!(outputs["elapsed_ns"], 0);
    }
    assert!(second["now_us"].as_u64() >= first["now_us"].as_u64());
    assert_ne!(first["random"], second["random"]);
    assert_ne!(first["hash"], second["hash"]);
}
