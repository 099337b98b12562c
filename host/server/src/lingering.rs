//! The end of a connection whose client may still be sending.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// How long a connection stays open for what its client still sends.
const LINGERS: Duration = Duration::from_secs(2);

/// Says that nothing more comes, and reads what the client still sends until it closes, for a limited time.
///
/// The system resets a connection that is closed with something unread, and the reset may overtake the answer.
pub(crate) async fn close(stream: TcpStream) {
    let _left = tokio::time::timeout(LINGERS, read_to_end(stream)).await;
}

async fn read_to_end(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut unread = [0; 4096];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut unread) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
