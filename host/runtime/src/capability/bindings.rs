//! The contract's interfaces as the host implements them.

#![allow(missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package flowhost:runtime;
        world capabilities {
            import flowhost:flow/execution@1.2.0;
            import flowhost:flow/request@1.2.0;
            import flowhost:flow/response@1.2.0;
            import flowhost:flow/settings@1.2.0;
            import flowhost:flow/sleep@1.2.0;
            import flowhost:flow/children@1.2.0;
            import flowhost:flow/files@1.2.0;
            import flowhost:flow/http@1.2.0;
            import flowhost:flow/locks@1.2.0;
            import flowhost:flow/messages@1.2.0;
            import flowhost:flow/secrets@1.2.0;
            import flowhost:flow/records@1.2.0;
        }
    ",
    imports: {
        "flowhost:flow/execution.acting-identity": async | trappable,
        "flowhost:flow/execution.clone": async | trappable,
        "flowhost:flow/response.set-file": async | trappable,
        "flowhost:flow/response.send": async | trappable,
        "flowhost:flow/response.start-body": async | trappable,
        "flowhost:flow/response.[method]body-stream.write": async | trappable,
        "flowhost:flow/response.[method]body-stream.finish": async | trappable,
        "flowhost:flow/settings": async | trappable,
        "flowhost:flow/sleep": async | trappable,
        "flowhost:flow/children.wait": async | trappable,
        "flowhost:flow/children.get-status": async | trappable,
        "flowhost:flow/children.get-message": async | trappable,
        "flowhost:flow/children.get-failure": async | trappable,
        "flowhost:flow/children.get-outputs": async | trappable,
        "flowhost:flow/children.cancel": async | trappable,
        "flowhost:flow/children.[method]new-child.start": async | trappable,
        "flowhost:flow/files": async | trappable,
        "flowhost:flow/http.[method]new-request.send": async | trappable,
        "flowhost:flow/http.send-all": async | trappable,
        "flowhost:flow/locks": async | trappable,
        "flowhost:flow/records": async | trappable,
        "flowhost:flow/messages.[method]new-message.send": async | trappable,
        "flowhost:flow/messages.wait": async | trappable,
        "flowhost:flow/messages.get-response": async | trappable,
        "flowhost:flow/messages.get-responder": async | trappable,
        "flowhost:flow/messages.close": async | trappable,
        default: trappable,
    },
    with: {
        "flowhost:flow/request.incoming-request": super::request::Held,
        "flowhost:flow/response.body-stream": super::response::BodyStream,
        "flowhost:flow/children.new-child": super::children::Unstarted,
        "flowhost:flow/messages.new-message": super::messages::Draft,
        "flowhost:flow/http.new-request": super::http::Unsent,
        "flowhost:flow/http.incoming-response": super::http::Received,
    },
    additional_derives: [serde::Deserialize, serde::Serialize],
});
