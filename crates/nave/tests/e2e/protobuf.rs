//! Protobuf written by hand: what test targets and test senders say.

/// A message in the making.
#[derive(Clone, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn put(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// An integer, an enum or a bool.
    pub(crate) fn varint(mut self, number: u64, value: u64) -> Self {
        self.put(number << 3);
        self.put(value);
        self
    }

    /// A `sint32` or `sint64`.
    pub(crate) fn zigzag(self, number: u64, value: i64) -> Self {
        self.varint(number, ((value << 1) ^ (value >> 63)) as u64)
    }

    /// A `double`.
    pub(crate) fn double(self, number: u64, value: f64) -> Self {
        self.fixed64(number, value.to_bits())
    }

    /// A `fixed64`.
    pub(crate) fn fixed64(mut self, number: u64, value: u64) -> Self {
        self.put(number << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Text, bytes or a packed field.
    pub(crate) fn bytes_of(mut self, number: u64, value: &[u8]) -> Self {
        self.put(number << 3 | 2);
        self.put(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// A text.
    pub(crate) fn text(self, number: u64, value: &str) -> Self {
        self.bytes_of(number, value.as_bytes())
    }

    /// A message within.
    pub(crate) fn message(self, number: u64, value: &Self) -> Self {
        self.bytes_of(number, &value.0)
    }

    /// What was written.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn label(name: &str, value: &str) -> Message {
    Message::new().text(1, name).text(2, value)
}

fn exemplar(id: &str, value: f64, seconds: u64) -> Message {
    let time = Message::new().varint(1, seconds);
    Message::new().message(1, &label("trace_id", id)).double(2, value).message(3, &time)
}

fn bucket(bound: f64, count: u64) -> Message {
    Message::new().varint(1, count).double(2, bound)
}

fn native(count: u64) -> Message {
    let span = |offset, length| Message::new().zigzag(1, offset).varint(2, length);
    Message::new()
        .varint(1, count)
        .double(2, 4.5)
        .zigzag(5, 3)
        .double(6, 0.001)
        .varint(7, 2)
        .message(12, &span(-1, 3))
        .message(12, &span(4, 2))
        .zigzag(13, 1)
        .zigzag(13, 1)
        .zigzag(13, -2)
        .zigzag(13, 2)
        .zigzag(13, 0)
}

fn family(page: &mut Vec<u8>, name: &str, kind: u64, metrics: &[Message]) {
    let family = Message::new().text(1, name).text(2, "What it is.").varint(3, kind);
    let family = metrics.iter().fold(family, |family, metric| family.message(4, metric));
    let mut length = Message::new();
    length.put(family.0.len() as u64);
    page.extend(length.0);
    page.extend(family.0);
}

/// A page with metrics of every type, native and classic histograms among them.
pub(crate) fn page() -> Vec<u8> {
    let mut page = Vec::new();
    let now = nave_base::clock::SystemClock::shared().now_ms() as u64 / 1_000;
    let counter = Message::new().double(1, 5.0).message(2, &exemplar("counted", 0.5, now));
    let metric = |value: &Message, number: u64| {
        Message::new()
            .message(1, &label("path", "/\"a\"\n"))
            .message(1, &label("code", "200"))
            .message(number, value)
    };
    family(&mut page, "requests_total", 0, &[metric(&counter, 3)]);
    let gauge = |value| Message::new().message(2, &Message::new().double(1, value));
    family(
        &mut page,
        "temperature",
        1,
        &[gauge(-2.5), gauge(f64::NAN).message(1, &label("place", "h\u{f6}lle"))],
    );
    let quantile = |at, value| Message::new().double(1, at).double(2, value);
    let summary = Message::new().varint(1, 2).double(2, 99.0);
    let summary = summary.message(3, &quantile(0.5, 42.0)).message(3, &quantile(1.0, 57.0));
    family(&mut page, "size", 2, &[metric(&summary, 4)]);
    family(&mut page, "thing", 3, &[Message::new().message(5, &Message::new().double(1, 1e300))]);
    let classic = Message::new().varint(1, 7).double(2, 3.5);
    let classic = classic.message(3, &bucket(0.1, 4)).message(3, &bucket(1.0, 6)).message(3, &bucket(1e6, 6));
    family(&mut page, "classic_seconds", 4, &[metric(&classic, 7)]);
    let both = native(9).message(3, &bucket(1.0, 4)).message(3, &bucket(2.0, 8));
    let both = both.message(16, &exemplar("native", 0.7, now));
    family(&mut page, "latency_seconds", 4, &[metric(&both, 7)]);
    family(&mut page, "temperature_spread", 5, &[metric(&native(9), 7)]);
    let span = Message::new().zigzag(1, 0).varint(2, 2);
    let float = Message::new()
        .double(4, 2.5)
        .double(2, 1.5)
        .zigzag(5, 0)
        .message(9, &span)
        .double(11, 1.0)
        .double(11, 1.5);
    family(&mut page, "float_seconds", 4, &[metric(&float, 7)]);
    let empty = Message::new().message(12, &Message::new());
    family(&mut page, "empty_seconds", 4, &[metric(&empty, 7)]);
    page
}
