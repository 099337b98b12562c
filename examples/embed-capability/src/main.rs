//! Offers flows an interface of the embedder's own: `acme:shop/stock`, the shelves of a shop.
//!
//! ```sh
//! cargo xtask guests
//! cargo run --release -p embed-capability -- target/guests/embed-capability-flow.wasm
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use flowhost::wasmtime::component::Linker;
use flowhost::{Capability, ExecutionContext, Host, Slots, State, WholeState, wasmtime};
use serde_json::json;

use bindings::acme::shop::stock;

#[allow(missing_docs)]
mod bindings {
    flowhost::wasmtime::component::bindgen!({
        path: "wit",
        world: "shop",
        imports: { default: trappable },
        wasmtime_crate: flowhost::wasmtime,
    });
}

/// The shelves: one value for the whole program, of which each execution gets a share.
#[derive(Clone, Default)]
struct Shelves(Arc<Mutex<HashMap<String, u32>>>);

impl Capability for Shelves {
    fn interfaces(&self) -> &[&str] {
        &["acme:shop/stock"]
    }

    fn link(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        stock::add_to_linker::<_, WholeState>(linker, |state| state)
    }

    fn prepare(&self, _execution: &ExecutionContext, slots: &mut Slots) {
        slots.insert(self.clone());
    }
}

impl stock::Host for State {
    fn count(&mut self, article: String) -> wasmtime::Result<u32> {
        let shelves = self.slot::<Shelves>()?.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(shelves.get(&article).copied().unwrap_or(0))
    }

    fn take(&mut self, article: String, pieces: u32) -> wasmtime::Result<Result<u32, u32>> {
        let mut shelves = self.slot::<Shelves>()?.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = shelves.entry(article).or_default();
        Ok(left.checked_sub(pieces).inspect(|rest| *left = *rest).ok_or(*left))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: embed-capability COMPONENT.wasm")?;
    let folder = tempfile::tempdir()?;
    let shelves = Shelves(Arc::new(Mutex::new(HashMap::from([("lamp".to_owned(), 3)]))));

    let host = Host::builder().data(folder.path()).capability(shelves).build().await?;
    host.deploy("order", std::fs::read(file)?).await?;
    for pieces in [2, 2] {
        match host.call("order", json!({ "article": "lamp", "pieces": pieces })).await {
            Ok(execution) => println!("{}", execution.output_value),
            Err(problem) => println!("{problem}"),
        }
    }
    host.shutdown().await;
    Ok(())
}
