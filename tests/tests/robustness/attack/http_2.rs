//! Bytes of HTTP/2, for clients that never do what they should next.

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The setting with the window that each stream begins with.
const INITIAL_WINDOW: u16 = 4;

/// A POST request.
pub(crate) struct Http2 {
    head: Vec<u8>,
}

impl Http2 {
    /// What a client sends first. It takes `window` bytes of each answer until it says otherwise.
    pub(crate) fn begin(window: u32) -> Vec<u8> {
        let settings = [&INITIAL_WINDOW.to_be_bytes()[..], &window.to_be_bytes()].concat();
        [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &settings)[..]].concat()
    }

    /// The head of a request with JSON of so many bytes.
    pub(crate) fn post(path: &str, length: usize) -> Self {
        // Indices of the static table: `:method POST`, `:scheme http`, `:path`, `:authority`, `content-length`, `content-type`.
        let mut head = vec![0x83, 0x86, 0x04];
        text(&mut head, path);
        head.push(0x01);
        text(&mut head, "flowhost");
        head.extend([0x0f, 28 - 15]);
        text(&mut head, &length.to_string());
        head.extend([0x0f, 31 - 15]);
        text(&mut head, "application/json");
        Self { head }
    }

    /// The request with all of its body.
    pub(crate) fn whole(&self, stream: u32, body: &[u8]) -> Vec<u8> {
        [frame(HEADERS, END_HEADERS, stream, &self.head), frame(DATA, END_STREAM, stream, body)].concat()
    }

    /// The request with the begin of its body.
    pub(crate) fn part_of_body(&self, stream: u32, begin: &[u8]) -> Vec<u8> {
        [frame(HEADERS, END_HEADERS, stream, &self.head), frame(DATA, 0, stream, begin)].concat()
    }
}

fn text(head: &mut Vec<u8>, text: &str) {
    head.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
    head.extend_from_slice(text.as_bytes());
}

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// The statuses of the answers that a client was sent, out of the frames at the begin of `arrived`, which are taken out.
pub(crate) fn take_statuses(arrived: &mut Vec<u8>) -> Vec<String> {
    let (mut statuses, mut from) = (Vec::new(), 0);
    while let Some(head) = arrived.get(from..from + 9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let kind = head[3];
        let Some(content) = arrived.get(from + 9..from + 9 + length) else { break };
        if kind == HEADERS {
            // Only 200 is looked for, which has an index of its own.
            statuses.push(if content.contains(&0x88) { "200" } else { "refused" }.to_owned());
        }
        from += 9 + length;
    }
    arrived.drain(..from);
    statuses
}
