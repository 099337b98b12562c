//! All of WASI 0.2's `wasi:cli/imports`, with nothing granted.
//!
//! Toolchains import it whether or not a flow uses it. Files and sockets are wasmtime's own implementation without a
//! preopened folder and without an allowed address; what could differ when a flow is run again (clocks, polling,
//! randomness) and what belongs to the execution (standard output and error) are ours, in the modules below.

mod cli;
mod clocks;
mod poll;
mod random;
mod stdio;

pub(crate) use stdio::LogBudgetExceeded;

use chacha20::ChaCha20Rng;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::{
    cli as cli_bindings, clocks as clocks_bindings, filesystem, random as random_bindings, sockets,
};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsCtx, WasiSocketsCtxView};
use wasmtime_wasi_io::bindings::wasi::io;

use crate::{State, WholeState};

/// What WASI keeps for one call. All of it is made when it is first asked for: most flows never ask.
pub(crate) struct Wasi {
    seed: [u8; 32],
    random: Option<ChaCha20Rng>,
    filesystem: WasiFilesystemCtx,
    sockets: Option<WasiSocketsCtx>,
    timers: clocks::Timers,
    stdout: stdio::LineBuffer,
    stderr: stdio::LineBuffer,
}

impl Wasi {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self {
            seed,
            random: None,
            filesystem: WasiFilesystemCtx::default(),
            sockets: None,
            timers: clocks::Timers::default(),
            stdout: stdio::LineBuffer::default(),
            stderr: stdio::LineBuffer::default(),
        }
    }
}

/// Gives wasmtime's own streams the table.
struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

fn filesystem_view(state: &mut State) -> WasiFilesystemCtxView<'_> {
    WasiFilesystemCtxView { ctx: &mut state.wasi.filesystem, table: &mut state.table }
}

fn sockets_view(state: &mut State) -> WasiSocketsCtxView<'_> {
    let ctx = state.wasi.sockets.get_or_insert_with(WasiSocketsCtx::default);
    WasiSocketsCtxView { ctx, table: &mut state.table }
}

/// Links every interface of `wasi:cli/imports`.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    io::error::add_to_linker::<_, Table>(linker, |state| &mut state.table)?;
    io::streams::add_to_linker::<_, Table>(linker, |state| &mut state.table)?;
    io::poll::add_to_linker::<_, WholeState>(linker, |state| state)?;

    clocks_bindings::monotonic_clock::add_to_linker::<_, WholeState>(linker, |state| state)?;
    clocks_bindings::wall_clock::add_to_linker::<_, WholeState>(linker, |state| state)?;
    random_bindings::random::add_to_linker::<_, WholeState>(linker, |state| state)?;
    random_bindings::insecure::add_to_linker::<_, WholeState>(linker, |state| state)?;
    random_bindings::insecure_seed::add_to_linker::<_, WholeState>(linker, |state| state)?;

    cli_bindings::environment::add_to_linker::<_, WholeState>(linker, |state| state)?;
    cli_bindings::exit::add_to_linker::<_, WholeState>(linker, |state| state)?;
    cli_bindings::stdin::add_to_linker::<_, WholeState>(linker, |state| state)?;
    cli_bindings::stdout::add_to_linker::<_, WholeState>(linker, |state| state)?;
    cli_bindings::stderr::add_to_linker::<_, WholeState>(linker, |state| state)?;
    cli_bindings::terminal_input::add_to_linker::<_, WholeState>(linker, |state| state)?;
    cli_bindings::terminal_output::add_to_linker::<_, WholeState>(linker, |state| state)?;
    cli_bindings::terminal_stdin::add_to_linker::<_, WholeState>(linker, |state| state)?;
    cli_bindings::terminal_stdout::add_to_linker::<_, WholeState>(linker, |state| state)?;
    cli_bindings::terminal_stderr::add_to_linker::<_, WholeState>(linker, |state| state)?;

    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, filesystem_view)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, filesystem_view)?;
    sockets::network::add_to_linker::<_, WasiSockets>(linker, &sockets::network::LinkOptions::default(), sockets_view)?;
    sockets::instance_network::add_to_linker::<_, WasiSockets>(linker, sockets_view)?;
    sockets::ip_name_lookup::add_to_linker::<_, WasiSockets>(linker, sockets_view)?;
    sockets::tcp::add_to_linker::<_, WasiSockets>(linker, sockets_view)?;
    sockets::tcp_create_socket::add_to_linker::<_, WasiSockets>(linker, sockets_view)?;
    sockets::udp::add_to_linker::<_, WasiSockets>(linker, sockets_view)?;
    sockets::udp_create_socket::add_to_linker::<_, WasiSockets>(linker, sockets_view)?;
    Ok(())
}
