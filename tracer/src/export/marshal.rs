//! Python's `marshal` format, as far as the files of cProfile need it: every version of Python reads it.

use std::io::{self, Write};

/// Where values go.
pub(super) struct Marshal<'a>(pub(super) &'a mut dyn Write);

impl Marshal<'_> {
    /// The beginning of a dict: keys and values follow in turn, then [`Marshal::end_dict`].
    pub(super) fn begin_dict(&mut self) -> io::Result<()> {
        self.0.write_all(b"{")
    }

    /// The end of a dict.
    pub(super) fn end_dict(&mut self) -> io::Result<()> {
        self.0.write_all(b"0")
    }

    /// The beginning of a tuple; so many items follow.
    pub(super) fn tuple(&mut self, items: u8) -> io::Result<()> {
        self.0.write_all(b"(")?;
        self.0.write_all(&u32::from(items).to_le_bytes())
    }

    /// An `int`. What has more than 32 bits is written in digits of 15.
    pub(super) fn int(&mut self, value: u64) -> io::Result<()> {
        if let Ok(small) = i32::try_from(value) {
            self.0.write_all(b"i")?;
            return self.0.write_all(&small.to_le_bytes());
        }
        let digits = value.ilog2() / 15 + 1;
        self.0.write_all(b"l")?;
        self.0.write_all(&digits.to_le_bytes())?;
        (0..digits).try_for_each(|at| {
            let digit = (value >> (15 * at)) & 0x7fff;
            self.0.write_all(&(digit as u16).to_le_bytes())
        })
    }

    /// A `float`.
    pub(super) fn float(&mut self, value: f64) -> io::Result<()> {
        self.0.write_all(b"g")?;
        self.0.write_all(&value.to_le_bytes())
    }

    /// A `str`.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        let length = i32::try_from(text.len()).map_err(|_| io::Error::other("a name is too long"))?;
        self.0.write_all(b"u")?;
        self.0.write_all(&length.to_le_bytes())?;
        self.0.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Marshal<'_>) -> io::Result<()>) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut Marshal(&mut out)).unwrap();
        out
    }

    /// What `marshal.dumps(value, 2)` gives.
    #[test]
    fn values_are_as_python_writes_them() {
        assert_eq!(written(|out| out.int(7)), b"i\x07\0\0\0");
        assert_eq!(written(|out| out.int(1 << 31)), b"l\x03\0\0\0\0\0\0\0\x02\0");
        assert_eq!(written(|out| out.int(1 << 45)), b"l\x04\0\0\0\0\0\0\0\0\0\x01\0");
        assert_eq!(written(|out| out.float(0.5)), b"g\0\0\0\0\0\0\xe0\x3f");
        assert_eq!(written(|out| out.text("\u{e9}")), b"u\x02\0\0\0\xc3\xa9");
        assert_eq!(written(|out| out.tuple(2)), b"(\x02\0\0\0");
        assert_eq!(
            written(|out| {
                out.begin_dict()?;
                out.end_dict()
            }),
            b"{0"
        );
    }
}
