//! Reaches for the network through WASI's own interfaces, and says what came of each attempt.

#![cfg(target_family = "wasm")]

use flowhost_guest::{FlowError, Outputs, flow, json};
use serde_json::Value;
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp_create_socket::create_udp_socket;

#[flow]
fn sockets() -> Result<Outputs, FlowError> {
    Ok(Outputs::new()
        .set("tcp_connect", outcome(tcp_connect()))
        .set("tcp_listen", outcome(tcp_listen()))
        .set("udp_bind", outcome(udp_bind()))
        .set("resolve", outcome(resolve())))
}

fn tcp_connect() -> Result<(), ErrorCode> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    socket.start_connect(&instance_network(), local(80))?;
    socket.subscribe().block();
    socket.finish_connect().map(drop)
}

fn tcp_listen() -> Result<(), ErrorCode> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    socket.start_bind(&instance_network(), local(0))?;
    socket.subscribe().block();
    socket.finish_bind()
}

fn udp_bind() -> Result<(), ErrorCode> {
    let socket = create_udp_socket(IpAddressFamily::Ipv4)?;
    socket.start_bind(&instance_network(), local(0))?;
    socket.subscribe().block();
    socket.finish_bind()
}

fn resolve() -> Result<(), ErrorCode> {
    let addresses = resolve_addresses(&instance_network(), "localhost")?;
    addresses.subscribe().block();
    addresses.resolve_next_address().map(drop)
}

fn local(port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) })
}

/// `{"granted": true}` or `{"refused": …}` with the name of WASI's error.
fn outcome(attempt: Result<(), ErrorCode>) -> Value {
    match attempt {
        Ok(()) => json!({ "granted": true }),
        Err(refused) => json!({ "refused": refused.name() }),
    }
}
