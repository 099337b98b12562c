//! A host inside of your own program: deploy a flow, call it, read what it left behind.
//!
//! ```sh
//! cargo xtask guests
//! cargo run --release -p embed -- target/guests/hello.wasm
//! ```

use std::error::Error;

use flowhost::Host;
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: embed COMPONENT.wasm")?;
    let folder = tempfile::tempdir()?;

    let host = Host::builder().data(folder.path()).build().await?;
    let deployed = host.deploy("hello", std::fs::read(file)?).await?;
    println!("deployed {} version {}", deployed.flow.meta.name, deployed.version.version);

    let execution = host.call("hello", json!({ "name": "Ada" })).await?;
    println!("answered {}", execution.output_value);

    let id = host.call_async("hello", json!({ "name": "Grace" })).await?;
    host.shutdown().await;

    // Another host on the same data: what was accepted is still there.
    let host = Host::builder().data(folder.path()).build().await?;
    println!("accepted {id}, now {}", host.execution(id).await?.status);
    host.shutdown().await;
    Ok(())
}
