//! Requests as people type them: `curl 'http://hub/api/v1/query?query=up{job="node"}'`.
//!
//! A `"`, `<` or `>` in an address should be percent-encoded. Upstream takes them as they are and guides
//! show them so, but the HTTP library refuses them. This reader encodes them in the request line, the only
//! place it ever changes. It follows requests without a body; from the first one with a body on, the
//! connection is passed on unread.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes read at once while request lines are looked at.
const READ_BYTES: usize = 4096;
/// Enough of a header line to know its name.
const NAME_BYTES_MAX: usize = 20;

/// A stream whose request lines are mended.
pub(super) struct Lenient<S> {
    stream: S,
    filter: Filter,
    /// Mended, not yet handed on.
    mended: Vec<u8>,
    /// How much of it was.
    taken: usize,
}

impl<S> Lenient<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, filter: Filter::default(), mended: Vec::new(), taken: 0 }
    }
}

/// Where in the request the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Before the first space.
    #[default]
    Method,
    /// After it.
    Target,
    /// In a header line.
    Header,
    /// Nothing is looked at any more.
    Pass,
}

#[derive(Default)]
struct Filter {
    state: State,
    /// The front of the current line, in lower case.
    line: Vec<u8>,
}

impl Filter {
    fn mend(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for (at, &byte) in bytes.iter().enumerate() {
            if self.state == State::Pass {
                out.extend_from_slice(&bytes[at..]);
                return;
            }
            match byte {
                b'"' | b'<' | b'>' if self.state == State::Target => {
                    out.extend_from_slice(format!("%{byte:02X}").as_bytes());
                }
                byte => out.push(byte),
            }
            self.step(byte);
        }
    }

    fn step(&mut self, byte: u8) {
        if byte == b'\n' {
            self.end_line();
            return;
        }
        if self.line.len() < NAME_BYTES_MAX && byte != b'\r' {
            self.line.push(byte.to_ascii_lowercase());
        }
        if self.state == State::Method && byte == b' ' {
            // HTTP/2 begins with a request line of its own kind.
            self.state = if self.line == b"pri " { State::Pass } else { State::Target };
        }
    }

    fn end_line(&mut self) {
        let has_body = |name: &[u8]| self.line.starts_with(name);
        self.state = match self.state {
            State::Target => State::Header,
            State::Header if self.line.is_empty() => State::Method,
            State::Header
                if has_body(b"content-length:")
                    || has_body(b"transfer-encoding:")
                    || has_body(b"upgrade:") =>
            {
                State::Pass
            }
            other => other,
        };
        self.line.clear();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.taken == this.mended.len() {
            if this.filter.state == State::Pass {
                return Pin::new(&mut this.stream).poll_read(context, buffer);
            }
            let mut bytes = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut read))?;
            this.mended.clear();
            this.taken = 0;
            this.filter.mend(read.filled(), &mut this.mended);
        }
        let count = buffer.remaining().min(this.mended.len() - this.taken);
        buffer.put_slice(&this.mended[this.taken..this.taken + count]);
        this.taken += count;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lenient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_request_lines_are_mended() {
        for (given, expect) in [
            ("GET /q?a=\"<>\" HTTP/1.1\r\n\r\n", "GET /q?a=%22%3C%3E%22 HTTP/1.1\r\n\r\n"),
            // Headers stay, and the next request is mended again.
            (
                "GET / HTTP/1.1\r\nx: \"\r\n\r\nGET /\" HTTP/1.1\r\n\r\n",
                "GET / HTTP/1.1\r\nx: \"\r\n\r\nGET /%22 HTTP/1.1\r\n\r\n",
            ),
            // Bodies stay, and so does all that follows one.
            (
                "POST /\" HTTP/1.1\r\nContent-Length: 3\r\n\r\n\"\"\"GET /\" HTTP/1.1\r\n\r\n",
                "POST /%22 HTTP/1.1\r\nContent-Length: 3\r\n\r\n\"\"\"GET /\" HTTP/1.1\r\n\r\n",
            ),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\"<>", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\"<>"),
            ("", ""),
            ("\"\"\"", "\"\"\""),
        ] {
            let (mut whole, mut pieces) = (Vec::new(), Vec::new());
            Filter::default().mend(given.as_bytes(), &mut whole);
            let mut filter = Filter::default();
            for byte in given.bytes() {
                filter.mend(&[byte], &mut pieces);
            }
            assert_eq!(String::from_utf8(whole).unwrap(), expect);
            assert_eq!(String::from_utf8(pieces).unwrap(), expect, "byte by byte");
        }
    }
}
