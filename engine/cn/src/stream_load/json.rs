//! Takes the outer array off a JSON body: `[{…}, {…}]` becomes `{…} {…}`, piece by piece.

use std::borrow::Cow;

/// Where in the body the scan is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before the opening bracket.
    #[default]
    Before,
    /// In the array; the depth of braces and brackets below it.
    Within(u32),
    /// In a string of a value at that depth; whether the last byte was a backslash.
    Text(u32, bool),
    /// After the closing bracket.
    After,
}

/// The scan; keeps its place between pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct OuterArray {
    at: At,
}

impl OuterArray {
    /// The piece with the array's own brackets and commas as spaces.
    pub(super) fn strip<'a>(&mut self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
        let mut stripped = bytes.to_vec();
        for byte in &mut stripped {
            self.at = match (self.at, *byte) {
                (At::Before, b'[') => {
                    *byte = b' ';
                    At::Within(0)
                }
                (At::Within(0), b']') => {
                    *byte = b' ';
                    At::After
                }
                (At::Within(0), b',') => {
                    *byte = b' ';
                    At::Within(0)
                }
                (at @ (At::Before | At::After), b' ' | b'\t' | b'\r' | b'\n') => at,
                (At::Before, _) => {
                    return Err("the body does not begin with `[`, though strip_outer_array is set".into());
                }
                (At::After, _) => return Err("there is more after the outer array".into()),
                (At::Within(depth), b'{' | b'[') => At::Within(depth + 1),
                (At::Within(depth), b'}' | b']') => At::Within(depth.saturating_sub(1)),
                (At::Within(depth), b'"') => At::Text(depth, false),
                (at @ At::Within(_), _) => at,
                (At::Text(depth, true), _) => At::Text(depth, false),
                (At::Text(depth, false), b'\\') => At::Text(depth, true),
                (At::Text(depth, false), b'"') => At::Within(depth),
                (at @ At::Text(..), _) => at,
            };
        }
        Ok(Cow::Owned(stripped))
    }

    /// The body has ended: the array must have, too.
    pub(super) fn finish(&self) -> Result<(), String> {
        match self.at {
            At::After => Ok(()),
            At::Before => Err("the body is empty, though strip_outer_array is set; an empty array is `[]`".into()),
            At::Within(_) | At::Text(..) => Err("the body ends within the outer array".into()),
        }
    }
}

#[cfg(test)]
mod tests;
