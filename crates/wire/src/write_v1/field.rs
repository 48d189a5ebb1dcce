//! Protobuf's wire format: tags, varints, lengths. Positions are offsets into the whole body, so that
//! errors say where they are.

use super::Error;

/// How a field is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Varint,
    Fixed64,
    Bytes,
    Fixed32,
}

/// A cursor over `body[at..end]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) at: usize,
    pub(crate) end: usize,
}

impl<'a> Fields<'a> {
    /// All of `body`.
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0, end: body.len() }
    }

    #[cold]
    fn broken<T>(&self, expected: &'static str) -> Result<T, Error> {
        Err(Error::Protobuf { offset: self.at, expected })
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    /// The next field's number and layout; `None` at the end.
    #[inline]
    pub(crate) fn tag(&mut self) -> Result<Option<(u32, Wire)>, Error> {
        if self.is_empty() {
            return Ok(None);
        }
        let start = *self;
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Bytes,
            5 => Wire::Fixed32,
            _ => return start.broken("a field without groups"),
        };
        match u32::try_from(tag >> 3) {
            Ok(number @ 1..=0x1fff_ffff) => Ok(Some((number, wire))),
            _ => start.broken("a field number from 1 to 536870911"),
        }
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        if let Some(&byte) = self.body.get(self.at)
            && byte < 0x80
            && self.at < self.end
        {
            self.at += 1;
            return Ok(u64::from(byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64, Error> {
        let mut rest = &self.body[self.at..self.end];
        match nave_base::varint::take_u64(&mut rest) {
            Some(value) => {
                self.at = self.end - rest.len();
                Ok(value)
            }
            None => self.broken("a varint of at most 64 bits"),
        }
    }

    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, Error> {
        match self.body[self.at..self.end].first_chunk::<8>() {
            Some(bytes) => {
                self.at += 8;
                Ok(u64::from_le_bytes(*bytes))
            }
            None => self.broken("8 bytes of a double"),
        }
    }

    pub(crate) fn double(&mut self) -> Result<f64, Error> {
        self.fixed64().map(f64::from_bits)
    }

    /// A nested message or text: a cursor over it.
    #[inline]
    pub(crate) fn nested(&mut self) -> Result<Fields<'a>, Error> {
        let start = *self;
        let len = self.varint()?;
        match usize::try_from(len) {
            Ok(len) if len <= self.end - self.at => {
                let nested = Fields { body: self.body, at: self.at, end: self.at + len };
                self.at = nested.end;
                Ok(nested)
            }
            _ => start.broken("a length within the message"),
        }
    }

    /// The bytes from here to the end.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.body[self.at..self.end]
    }

    /// Steps over a field of no interest.
    pub(crate) fn skip(&mut self, wire: Wire) -> Result<(), Error> {
        match wire {
            Wire::Varint => self.varint().map(drop),
            Wire::Fixed64 => self.fixed64().map(drop),
            Wire::Bytes => self.nested().map(drop),
            Wire::Fixed32 if self.end - self.at >= 4 => {
                self.at += 4;
                Ok(())
            }
            Wire::Fixed32 => self.broken("4 bytes of a fixed32"),
        }
    }

    /// A known field of a layout that its message does not define.
    #[cold]
    pub(crate) fn wrong_wire<T>(&self) -> Result<T, Error> {
        self.broken("the field in the layout that the message defines")
    }
}

/// Walks the fields of a message.
pub(crate) fn each<'a>(
    mut fields: Fields<'a>,
    mut act: impl FnMut(u32, Wire, &mut Fields<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    while let Some((number, wire)) = fields.tag()? {
        act(number, wire, &mut fields)?;
    }
    Ok(())
}

/// The inverse of zigzag.
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
